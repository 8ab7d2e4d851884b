/** `vqgen evaluate`: how well a run's tokenizer reconstructs, its prior predicts, and its samples resemble images. */
import path from 'node:path';
import { expected } from '../base/errors.js';
import { must, pairs } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { readRunConfig } from '../checkpoint/run.js';
import type { Config } from '../config/schema.js';
import { everyImage, readableSplits, type Subset } from '../data/dataset.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { ninetieth } from '../data/mean-colour.js';
import { noPattern, patternOf, patternWarning } from '../data/pattern.js';
import { classOf, describeSkipped, listImages } from '../data/source.js';
import type { Device } from '../engine/device.js';
import { accuracyOn, type Classifier, openClassifier } from '../perceptual/classifier.js';
import { type ClassOf, inProportion } from '../sample/classes.js';
import { checkOut, checkPicture, checkSamples, obstacleInSamples } from '../sample/out.js';
import { type DrawingOptions, drawingOptions } from '../sample/source.js';
import { openSource } from '../sample/sources.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { checkPictures } from '../stage1-vqgan/moved.js';
import { loadTokenizer } from '../stage1-vqgan/trained.js';
import { maskedPercents } from '../stage2-transformer/prior.js';
import { drawnGrids } from '../stage2-transformer/told.js';
import { codebookUse } from '../train/book-use.js';
import { collapseWarning } from '../train/usage-watch.js';
import { type FeatureSpace, type Measures, measureNames, onnxSpace, vqgenSpace } from './features.js';
import { type FolderResult, measureFolder } from './folder.js';
import { frechetDistance } from './frechet.js';
import { memorising, shownPairs } from './memorising.js';
import { NEIGHBOURS, precisionRecall } from './neighbours.js';
import { findPrior } from './prior.js';
import { drawSamples } from './samples.js';
import { readStatistics, type Statistics, writeStatistics } from './statistics.js';

export interface EvaluateOptions extends DrawingOptions {
  readonly run: string;
  /** Folder of images; the run's own validation images unless given. */
  readonly data?: string;
  /** Number of samples; 256 unless given. */
  readonly n?: number;
  /**
   * A classifier of `train-perceptual`: how often it finds the class of the folder's images, and that which samples
   * were drawn of.
   */
  readonly classifier?: string;
  /** An ONNX file whose features take the place of vqgen's own. */
  readonly features?: string;
  /** Reference statistics: the samples' distance is to these instead of to the folder's. */
  readonly stats?: string;
  /** Where the folder's statistics go. */
  readonly saveStats?: string;
  readonly seed?: number;
  /** Where the picture of nearest training images goes. */
  readonly out?: string;
  readonly threads?: number;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

export interface EvaluateSummary {
  readonly run: string;
  readonly data: string;
  readonly images: number;
  readonly skipped: number;
  readonly features: { readonly name: string; readonly width: number };
  /** null where no classifier was named. */
  readonly classifier: Measures | null;
  readonly tokenizer: Measures;
  /** null where the run has no prior. */
  readonly prior: Measures | null;
  readonly samples: Measures | null;
  readonly seconds: number;
}

/** From about here on a Fréchet distance takes seconds. */
const manyFeatures = 1000;

/** @throws UserError for a run without a tokenizer, a folder with fewer than two images, files that do not fit */
export async function evaluate(o: EvaluateOptions): Promise<EvaluateSummary> {
  const started = performance.now();
  const { reporter, n = 256 } = o;
  const config = readRunConfig(o.run);
  checkPlaces(o, config);
  const tokenizer = await loadTokenizer(o.run, config, o);
  if (n < 2) throw expected('at least 2', '--n', n, 'One sample has no covariance.');
  const subset = await chosenImages(config, o);
  const classifier = o.classifier === undefined ? undefined : await openClassifier(o.device, o.classifier);
  const { latent } = bottleneckOf(config);
  const coded = latent.kind === 'codes';
  const measured = coded ? await findPrior(config, subset, o) : undefined;
  const prior = measured?.prior;
  const knownClasses = prior?.classes ?? (latent.kind === 'gaussian' ? latent.classes : []);
  const draws = !coded || prior !== undefined;
  if (!draws) warnOfIdle(o);
  const batch = inferenceBatch(config.data.size);
  const space = o.features
    ? await onnxSpace(o.features, o.threads)
    : await vqgenSpace(o.device, config.data.size, batch);
  try {
    const found = classifier ? await classified(classifier, subset, o) : null;
    const reference = o.stats === undefined ? undefined : await readStatistics(o.stats, space);
    const { device, signal } = o;
    const teller = await measured?.tell?.(device);
    const folder = await measureFolder({
      ...{ config, subset, tokenizer, prior, space, device, reporter, signal, teller },
      keep: draws ? n : 0,
    }).finally(() => teller?.conditioner.dispose());
    const { origin } = subset.source;
    checkEnough(folder.images, origin);
    const total = folder.images + folder.skipped.length;
    if (folder.skipped.length > 0) reporter.warn(describeSkipped(folder.skipped, total));
    const originals: Statistics = {
      ...folder.originals.gaussian(),
      features: space.name,
      digest: folder.digest,
    };
    if (o.saveStats !== undefined) await writeStatistics(o.saveStats, originals);
    if (space.width > manyFeatures)
      reporter.note(`Fréchet distances of ${space.width} features take up to a minute each.`);
    warnOfBias(measureNames(space.label).rfd, folder.images, space, reporter);
    const warning = patternWarning('Reconstructions', folder.pattern, {
      pictures: folder.spectrum.count,
      stage1: config.stage1,
    });
    if (warning) reporter.warn(warning);
    const collapse = collapseWarning(codebookUse(folder.uses));
    if (collapse) reporter.warn(collapse);
    const result = {
      run: o.run,
      data: origin.value,
      images: folder.images,
      skipped: folder.skipped.length,
      features: { name: space.name, width: space.width },
      classifier: found,
      tokenizer: tokenizerMeasures(folder, originals, space),
      prior:
        folder.nats === undefined || !prior
          ? null
          : priorMeasures(folder, cellsIn(drawnGrids(prior.model)), config),
      samples: draws
        ? await samplesMeasures(o, {
            n,
            batch,
            config,
            space,
            folder,
            classifier,
            classOf: proportions(subset, knownClasses, reporter),
            data: origin.value,
            reference: reference ?? originals,
          })
        : null,
    };
    return { ...result, seconds: (performance.now() - started) / 1000 };
  } finally {
    await space.dispose();
    await classifier?.dispose();
  }
}

/** @throws UserError for what cannot be written, or is read */
function checkPlaces(o: EvaluateOptions, { data }: Config): void {
  const { run, out, saveStats, reporter } = o;
  const files = [o.classifier, o.features, o.stats];
  const read = o.data === undefined ? [data.dir, data.val_dir, ...files] : [o.data, ...files];
  checkPicture(out, { run, read: [...read, saveStats] });
  checkOut(saveStats, { run, read: [...read, out] }, '--save-stats', 'photos.safetensors');
  if (out !== undefined && saveStats !== undefined && path.resolve(out) === path.resolve(saveStats)) {
    throw expected('another file than --out', '--save-stats', saveStats);
  }
  if (out !== undefined) return;
  checkSamples(run);
  const obstacle = obstacleInSamples(run);
  if (obstacle === undefined) return;
  reporter.warn(
    `The picture of nearest training images is left out: ${run} takes none, ${obstacle}. --out names another place.`,
  );
}

async function chosenImages(
  config: Config,
  { run, data, reporter, signal }: EvaluateOptions,
): Promise<Subset> {
  if (data === undefined) checkPictures(run, config.data);
  const subset =
    data === undefined
      ? (await readableSplits(config.data, 'data.dir', { reporter, signal })).val
      : everyImage(await listImages(data, '--data', { reporter, data: config.data }));
  checkEnough(subset.indices.length, subset.source.origin);
  return subset;
}

function checkEnough(images: number, { where, value }: Subset['source']['origin']): void {
  if (images >= 2) return;
  throw expected('at least 2 images', where, `${value} with ${images}`, 'One image has no covariance.');
}

/** How often a classifier finds what the folder's images show, of those whose class it knows. */
async function classified(
  classifier: Classifier,
  { source, indices }: Subset,
  { classifier: place, signal }: EvaluateOptions,
): Promise<Measures> {
  const { name, classes } = classifier;
  const known = indices.filter((i) => classes.includes(classOf(source, i)));
  if (known.length === 0) {
    throw expected(
      `images in subfolders named like its classes (${classes.join(', ')})`,
      '--classifier',
      `${place} and ${source.origin.value} with ${source.classes.join(', ')}`,
      'Name a folder of such images with --data, or train a classifier on these: vqgen train-perceptual.',
    );
  }
  return { name, ...(await accuracyOn(classifier, { source, indices: known }, { signal })) };
}

/** Options that act on samples alone. */
const ofSamples = { n: '--n', out: '--out', stats: '--stats', ...drawingOptions } as const;

function warnOfIdle(o: EvaluateOptions): void {
  const names = Object.entries(ofSamples).filter(([key]) => o[key as keyof typeof ofSamples] !== undefined);
  if (names.length === 0) return;
  const listed = names.map(([, name]) => name).join(', ');
  o.reporter.warn(`Without samples nothing comes of ${listed}.`);
}

function tokenizerMeasures(folder: FolderResult, originals: Statistics, space: FeatureSpace): Measures {
  return {
    psnr: folder.psnr,
    ssim: folder.ssim,
    perceptual: folder.perceptual,
    perceptual_network: folder.perceptualNetwork,
    ...(folder.labelAccuracy !== undefined && { label_accuracy: folder.labelAccuracy }),
    ...noPattern,
    ...folder.pattern,
    ...(folder.colourShifts.length > 0 && { colour_shift: ninetieth(folder.colourShifts) }),
    [measureNames(space.label).rfd]: frechetDistance(folder.reconstructions.gaussian(), originals),
    ...codebookUse(folder.uses),
    ...folder.bound,
  };
}

/** The bits of all tokens over all values of the image: a code length of the codes, not of the exact pixels. */
function priorMeasures(
  { nats = 0, natsMasked = [] }: FolderResult,
  tokens: number,
  config: Config,
): Measures {
  const bits = nats / Math.LN2;
  return {
    loss: nats,
    bits_per_token: bits,
    bits_per_dimension: (bits * tokens) / (3 * config.data.size ** 2),
    ...(natsMasked.length > 0 && { passes_of_bound: tokens }),
    ...Object.fromEntries(
      pairs(maskedPercents.slice(0, natsMasked.length), natsMasked).map(([percent, masked]) => [
        `bits_masked_${percent}`,
        masked / Math.LN2,
      ]),
    ),
  };
}

interface SampleWork {
  readonly n: number;
  readonly batch: number;
  readonly config: Config;
  readonly space: FeatureSpace;
  readonly folder: FolderResult;
  readonly classOf?: ClassOf;
  readonly classifier?: Classifier;
  /** What the folder is called. */
  readonly data: string;
  readonly reference: Statistics;
}

async function samplesMeasures(o: EvaluateOptions, work: SampleWork): Promise<Measures> {
  const { n, batch, space, folder, reference, classOf, classifier } = work;
  const { reporter } = o;
  const source = await openSource({ ...o, classOf, ...ofFolder(folder) });
  let drawn: Awaited<ReturnType<typeof drawSamples>>;
  try {
    drawn = await drawSamples(source, { n, batch, space, classifier, reporter, show: shownPairs });
  } finally {
    await source.dispose();
  }
  const names = measureNames(space.label);
  warnOfBias(names.fd, Math.min(n, reference.count), space, reporter);
  const pattern = patternOf(folder.spectrum, drawn.spectrum);
  const pictures = Math.min(folder.spectrum.count, drawn.spectrum.count);
  const warning = patternWarning('Samples', pattern, { pictures, stage1: work.config.stage1 });
  if (warning) reporter.warn(warning);
  return {
    n,
    seed: source.seed,
    ...source.settings,
    ...(drawn.classified.images > 0 && {
      class_accuracy: drawn.classified.right / drawn.classified.images,
      classified: drawn.classified.images,
    }),
    ...noPattern,
    ...pattern,
    [names.fd]: frechetDistance(drawn.moments.gaussian(), reference),
    reference: o.stats ?? work.data,
    reference_images: reference.count,
    ...manifolds(drawn.features, folder.kept.originals, space),
    ...(await memorising(o, { ...work, drawn, unseen: folder.kept.reconstructions })),
  };
}

/** Where the prior is told of images, samples are told of the kept ones, in turn, each of its own class. */
function ofFolder({ told }: FolderResult): { toldOf?: (i: number) => Int32Array; classOf?: ClassOf } {
  if (told.length === 0) return {};
  const at = (i: number) => must(told[i % told.length], 'told');
  return { toldOf: (i) => at(i).codes, classOf: (i) => at(i).label };
}

/**
 * Samples are of the prior's classes as often as the images are; of all alike where the images are of none of them.
 */
function proportions(
  { source, indices }: Subset,
  classes: readonly string[],
  reporter: Reporter,
): ClassOf | undefined {
  const counts = classes.map(() => 0);
  for (const i of indices) {
    const label = classes.indexOf(classOf(source, i));
    if (label >= 0) counts[label]!++;
  }
  const known = counts.reduce((sum, count) => sum + count, 0);
  if (classes.length > 0 && known < indices.length) {
    reporter.warn(
      `${indices.length - known} of ${indices.length} images are of no class that the run knows: their likelihoods are those of images without, or left out of the bound.`,
    );
  }
  return known > 0 ? inProportion(counts) : undefined;
}

/** As many samples as images of the folder: the paper's measure compares equal numbers. */
function manifolds(drawn: Float32Array, real: Float32Array, space: FeatureSpace): Measures {
  const { precision, recall } = measureNames(space.label);
  const compared = Math.min(drawn.length, real.length) / space.width;
  if (compared <= NEIGHBOURS) return { [precision]: null, [recall]: null, compared };
  const part = (rows: Float32Array) => rows.subarray(0, compared * space.width);
  const result = precisionRecall(part(real), part(drawn), space.width);
  return { [precision]: result.precision, [recall]: result.recall, compared };
}

function warnOfBias(name: string, images: number, { width }: FeatureSpace, reporter: Reporter): void {
  if (images > width) return;
  reporter.warn(
    `${name} is of ${images} images in ${width} dimensions and too high: a covariance needs at least ${width + 1}, a number to compare some thousands.`,
  );
}
