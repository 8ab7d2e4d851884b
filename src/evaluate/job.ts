/** What `vqgen evaluate` measures and with what, opened before any work. */
import path from 'node:path';
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { readRunConfig } from '../checkpoint/run.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { everyImage, readableSplits, type Subset } from '../data/dataset.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { classOf, listImages } from '../data/source.js';
import type { Device } from '../engine/device.js';
import { type Classifier, openClassifier } from '../perceptual/classifier.js';
import { checkOut, checkPicture, checkSamples, obstacleInSamples } from '../sample/out.js';
import { type DrawingOptions, drawingOptions } from '../sample/source.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { checkPictures } from '../stage1-vqgan/moved.js';
import { loadTokenizer } from '../stage1-vqgan/trained.js';
import { type FeatureSpace, onnxSpace, vqgenSpace } from './features.js';
import { findPrior, type Measured } from './prior.js';
import { readStatistics, type Statistics } from './statistics.js';

export interface JobOptions extends DrawingOptions {
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

export interface Job {
  readonly config: Config;
  readonly tokenizer: TrainedModel;
  /** The folder's images. */
  readonly subset: Subset;
  readonly classifier?: Classifier;
  /** Images whose class it knows. */
  readonly known?: Subset;
  readonly measured?: Measured;
  /** Whether samples are drawn, how many, and the classes that may be drawn. */
  readonly draws: boolean;
  readonly n: number;
  readonly classes: readonly string[];
  readonly batch: number;
  readonly space: FeatureSpace;
  /** In place of the folder's statistics. */
  readonly reference?: Statistics;
}

/**
 * Does the work with all that it needs.
 *
 * @throws UserError for a run without a tokenizer, a folder with fewer than two images, files that do not fit
 */
export async function withJob<T>(o: JobOptions, work: (job: Job) => Promise<T>): Promise<T> {
  const { n = 256, device } = o;
  const config = readRunConfig(o.run);
  checkPlaces(o, config);
  const tokenizer = await loadTokenizer(o.run, config, o);
  if (n < 2) throw expected('at least 2', '--n', n, 'One sample has no covariance.');
  const subset = await chosenImages(config, o);
  const classifier = o.classifier === undefined ? undefined : await openClassifier(device, o.classifier);
  const { latent } = bottleneckOf(config);
  const coded = latent.kind === 'codes';
  const measured = coded ? await findPrior(config, subset, o) : undefined;
  const classes = measured?.prior.classes ?? (latent.kind === 'gaussian' ? latent.classes : []);
  const draws = !coded || measured !== undefined;
  if (!draws) warnOfIdle(o);
  const batch = inferenceBatch(config.data.size);
  const space = o.features
    ? await onnxSpace(o.features, o.threads)
    : await vqgenSpace(device, config.data.size, batch);
  try {
    const known = classifier && knownTo(classifier, subset, o);
    const reference = o.stats === undefined ? undefined : await readStatistics(o.stats, space);
    const given = { config, tokenizer, subset, classifier, known, measured, reference };
    return await work({ ...given, draws, n, classes, batch, space });
  } finally {
    await space.dispose();
    await classifier?.dispose();
  }
}

/** @throws UserError for what cannot be written, or is read */
function checkPlaces(o: JobOptions, { data }: Config): void {
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

async function chosenImages(config: Config, { run, data, reporter, signal }: JobOptions): Promise<Subset> {
  if (data === undefined) checkPictures(run, config.data);
  const subset =
    data === undefined
      ? (await readableSplits(config.data, 'data.dir', { reporter, signal })).val
      : everyImage(await listImages(data, '--data', { reporter, data: config.data }));
  checkEnough(subset.indices.length, subset.source.origin);
  return subset;
}

export function checkEnough(images: number, { where, value }: Subset['source']['origin']): void {
  if (images >= 2) return;
  throw expected('at least 2 images', where, `${value} with ${images}`, 'One image has no covariance.');
}

/** @throws UserError where a classifier knows the class of none */
function knownTo({ classes }: Classifier, { source, indices }: Subset, o: JobOptions): Subset {
  const known = indices.filter((i) => classes.includes(classOf(source, i)));
  if (known.length > 0) return { source, indices: known };
  throw expected(
    `images in subfolders named like its classes (${classes.join(', ')})`,
    '--classifier',
    `${o.classifier} and ${source.origin.value} with ${source.classes.join(', ')}`,
    'Name a folder of such images with --data, or train a classifier on these: vqgen train-perceptual.',
  );
}

/** Options that act on samples alone. */
const ofSamples = { n: '--n', out: '--out', stats: '--stats', ...drawingOptions } as const;

function warnOfIdle(o: JobOptions): void {
  const names = Object.entries(ofSamples).filter(([key]) => o[key as keyof typeof ofSamples] !== undefined);
  if (names.length === 0) return;
  const listed = names.map(([, name]) => name).join(', ');
  o.reporter.warn(`Without samples nothing comes of ${listed}.`);
}
