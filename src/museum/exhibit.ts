/** What a room shows: pictures made by its run, all by the same rules, and how it measures. */
import path from 'node:path';
import { writeFileAtomic } from '../base/files.js';
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { stream } from '../base/rng.js';
import { float32, type HostTensor, sizeOf } from '../base/tensor.js';
import { readRunConfig } from '../checkpoint/run.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import { psnr } from '../data/psnr.js';
import { classOf } from '../data/source.js';
import { tilesOf } from '../data/tiles.js';
import type { Device } from '../engine/device.js';
import { type FeatureSpace, vqgenSpace } from '../evaluate/features.js';
import { type FolderResult, measureFolder } from '../evaluate/folder.js';
import { frechetDistance, Moments } from '../evaluate/frechet.js';
import { type FolderBatch, observeFolder, rounded } from '../evaluate/observe.js';
import { countParams } from '../nn/params.js';
import { type ClassOf, inProportion, inTurn } from '../sample/classes.js';
import { openSource } from '../sample/sources.js';
import { straight } from '../sample/ways.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { describeLatent, type Latent } from '../stage1-vqgan/latent.js';
import { gridsOf, modelOf, networksOf, stage1Params } from '../stage1-vqgan/model.js';
import { decodeProgram, reconstructProgram, restoreProgram, walkPrograms } from '../stage1-vqgan/programs.js';
import { loadTrainedParts, type TrainedPrior } from '../stage2-transformer/model.js';
import { drawnGrids } from '../stage2-transformer/told.js';
import type { Exhibit, FigureSize } from './ledger.js';
import { figureColumns } from './places.js';
import type { Room } from './rooms.js';

/** Rows of samples. */
const sampleRows = 5;

export interface ExhibitOptions {
  readonly room: Room;
  readonly run: string;
  /** Where its figures go. */
  readonly folder: string;
  /** The unseen pictures that all rooms show, [S, S, 3] in [−1, 1]. */
  readonly shown: readonly Float32Array[];
  /** Those that all rooms are measured on; as many samples are measured. */
  readonly unseen: Subset;
  readonly seed: number;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

/** @throws UserError for a run that is not trained */
export async function makeExhibit(o: ExhibitOptions): Promise<Exhibit> {
  const config = readRunConfig(o.run);
  const parts = await loadTrainedParts(o.run, o.reporter);
  const { size } = config.data;
  const batch = inferenceBatch(size);
  const figures: Record<string, FigureSize> = {};
  const hang: Hang = async (name, pictures) => {
    const { png, ...extent } = await tilesOf(pictures, { size, columns: figureColumns });
    await writeFileAtomic(path.join(o.folder, `${name}.png`), png);
    figures[name] = { ...extent, pictures: pictures.length };
  };
  const work: Work = { ...o, ...parts, config, batch, hang };
  const { latent } = bottleneckOf(config);

  await reconstructions(work);
  const corrupted = config.stage1.corrupt.kind === 'none' ? undefined : await restorations(work);
  if (latent.kind !== 'codes' && !corrupted) await between(work);
  if (latent.kind === 'plain' && !corrupted) await ofNormal(work, latent);
  const space = await vqgenSpace(o.device, size, batch);
  try {
    const total = o.unseen.indices.length;
    const { width } = space;
    const folder = await measureFolder(observed(work, space), { config, total, keep: 0, width });
    const { moments, settings, classes } = await samples(work, latent, space);
    const parameters = stage1Params(networksOf(config));
    return {
      parameters: {
        tokenizer: parameters.encoder + parameters.bottleneck + parameters.decoder,
        prior: parts.prior ? countParams(parts.prior.model.learned) : 0,
      },
      latent: describeLatent(latent),
      psnr: folder.psnr,
      ...(corrupted && { corrupted }),
      rfd_vqgen: distance(folder.reconstructions, folder),
      fd_vqgen: distance(moments, folder),
      ...bitsOf(config, folder, parts.prior),
      measured: folder.images,
      drawn: o.unseen.indices.length,
      settings,
      classes,
      figures,
    };
  } finally {
    await space.dispose();
  }
}

type Hang = (name: string, pictures: readonly Float32Array[]) => Promise<void>;

interface Work extends ExhibitOptions {
  readonly config: Config;
  readonly tokenizer: TrainedModel;
  readonly prior?: TrainedPrior;
  readonly batch: number;
  readonly hang: Hang;
}

async function* observed(o: Work, space: FeatureSpace): AsyncGenerator<FolderBatch> {
  const total = o.unseen.indices.length;
  const progress = o.reporter.progress({ label: 'Evaluate', total, unit: 'images' });
  let done = 0;
  try {
    for await (const seen of observeFolder({ ...o, subset: o.unseen, space, skipped: [] })) {
      yield seen;
      done += seen.places.length;
      progress.update(done);
    }
  } finally {
    progress.stop();
  }
}

/** null of sets that have no covariance */
const distance = (moments: Moments, { originals, images }: FolderResult): number | null =>
  images < 2 ? null : frechetDistance(moments.gaussian(), originals.gaussian());

/** What a picture costs: by the prior, by a prior's bound, by a VAE's KL. */
function bitsOf(
  config: Config,
  { nats, bound }: FolderResult,
  prior: TrainedPrior | undefined,
): Pick<Exhibit, 'bits' | 'raw_bits'> {
  if (bound) return { bits: { value: bound.latent_bits, by: 'kl' } };
  if (nats === undefined || !prior) return {};
  const cells = cellsIn(drawnGrids(prior.model));
  const raw = gridsOf(config).reduce((sum, grid) => sum + cellsIn([grid]) * Math.log2(grid.vocab), 0);
  const by = prior.model.maskedBy ? 'bound' : 'prior';
  return { bits: { value: (nats / Math.LN2) * cells, by }, raw_bits: raw };
}

async function reconstructions({ config, tokenizer, batch, device, shown, hang }: Work): Promise<void> {
  const graph = await device.prepare(reconstructProgram(modelOf(config), tokenizer.tensors, batch));
  try {
    const made: Float32Array[] = [];
    for (const images of inBatches(shown, batch)) {
      const { reconstruction } = await graph.run({ images: padBatch(images, batch) });
      made.push(...picturesIn(reconstruction, images.shape[0] ?? 0));
    }
    await hang('reconstructions', made);
    await hang('reconstructions-row', made.slice(0, figureColumns));
  } finally {
    await graph.dispose();
  }
}

/** What the encoder sees of a row of pictures, and what comes back. */
async function restorations(o: Work): Promise<NonNullable<Exhibit['corrupted']>> {
  const { config, tokenizer, batch, device, hang } = o;
  const model = modelOf(config);
  const row = o.shown.slice(0, figureColumns);
  const graph = await device.prepare(restoreProgram(model, tokenizer.tensors, batch));
  const [seen, restored]: [Float32Array[], Float32Array[]] = [[], []];
  try {
    for (const images of inBatches(row, batch)) {
      const feed = model.corruption.feed(`museum ${seen.length}`, batch);
      const passed = await graph.run({ images: padBatch(images, batch), ...feed });
      seen.push(...picturesIn(passed.seen, images.shape[0] ?? 0));
      restored.push(...picturesIn(passed.reconstruction, images.shape[0] ?? 0));
    }
  } finally {
    await graph.dispose();
  }
  await hang('originals', row);
  await hang('seen', seen);
  await hang('restored', restored);
  const mean = (made: readonly Float32Array[]): number =>
    row.reduce((sum, picture, i) => sum + psnr(picture, must(made[i], 'picture')), 0) / row.length;
  return { seen: mean(seen), restored: mean(restored) };
}

/** On a straight line from one picture to another, of another class where there is one. */
async function between({ config, tokenizer, device, shown, hang }: Work): Promise<void> {
  const from = shown[0];
  const to = shown[Math.floor(Math.min(figureColumns, shown.length) / 2)];
  if (!from || !to || from === to) return;
  const { toPoint, fromPoint, shape } = walkPrograms(modelOf(config), tokenizer.tensors, 1);
  const encoder = await device.prepare(toPoint);
  const decoder = await device.prepare(fromPoint);
  const { size } = config.data;
  try {
    const pointOf = async (image: Float32Array): Promise<Float32Array> => {
      const { point } = await encoder.run({ images: float32([1, size, size, 3], image) });
      return Float32Array.from(point.data);
    };
    const [start, end] = [await pointOf(from), await pointOf(to)];
    const made: Float32Array[] = [];
    const steps = figureColumns - 2;
    for (let i = 0; i < steps; i++) {
      const point = float32([1, ...shape], straight(start, end, i / (steps - 1)));
      made.push(imageAt((await decoder.run({ point })).images, 0));
    }
    await hang('between', [from, ...made, to]);
  } finally {
    await encoder.dispose();
    await decoder.dispose();
  }
}

/** What an autoencoder makes of the numbers that a VAE draws from. */
async function ofNormal(o: Work, latent: Exclude<Latent, { kind: 'codes' }>): Promise<void> {
  const { config, tokenizer, batch, device, hang, seed } = o;
  const decoder = await device.prepare(decodeProgram(modelOf(config), tokenizer.tensors, batch));
  const width = sizeOf(latent.shape);
  const made: Float32Array[] = [];
  try {
    while (made.length < 2 * figureColumns) {
      const latents = float32([batch, ...latent.shape]);
      for (let row = 0; row < batch; row++) {
        const rng = stream(seed, 'sample', made.length + row);
        for (let i = 0; i < width; i++) latents.data[row * width + i] = rng.normal();
      }
      made.push(...picturesIn((await decoder.run({ latent: latents })).images, batch));
    }
  } finally {
    await decoder.dispose();
  }
  await hang('normal', made.slice(0, 2 * figureColumns));
}

/**
 * The first ones are shown, a class in each column; those after them are of the classes as often as unseen pictures
 * are, and are measured.
 */
async function samples(
  o: Work,
  latent: Latent,
  space: FeatureSpace,
): Promise<{ moments: Moments } & Pick<Exhibit, 'settings' | 'classes'>> {
  const { room, run, prior, unseen, seed, device, reporter, signal, batch } = o;
  const known = prior?.classes ?? (latent.kind === 'gaussian' ? latent.classes : []);
  const columns = known.slice(0, figureColumns);
  const hung = figureColumns * sampleRows;
  const n = hung + unseen.indices.length;
  const { revise } = room;
  const source = await openSource({
    ...{ run, n, seed, device, reporter, signal, revise },
    ...(columns.length > 0 && { classOf: classesOf(columns.length, hung, proportion(unseen, known)) }),
  });
  const total = Math.ceil(n / source.batch) * source.places;
  const progress = reporter.progress({ label: 'Sample', total, unit: 'places' });
  const moments = new Moments(space.width);
  const pictures: Float32Array[] = [];
  try {
    for (let first = 0; first < n; first += source.batch) {
      const before = (first / source.batch) * source.places;
      const drawn = await source.draw(first, (place) => progress.update(before + place + 1));
      signal?.throwIfAborted();
      const images = drawn.images.slice(0, n - first);
      const measured = images.slice(Math.max(0, hung - first));
      for (const part of inBatches(measured, batch)) moments.add(await space.extract(rounded(part)));
      pictures.push(...images.slice(0, Math.max(0, hung - pictures.length)));
    }
  } finally {
    progress.stop();
    await source.dispose();
  }
  await o.hang('samples', pictures);
  await o.hang('samples-row', pictures.slice(0, figureColumns));
  return { moments, settings: source.settings, classes: [...columns] };
}

/** Columns of classes first, then as `later` has it. */
const classesOf = (columns: number, hung: number, later: ClassOf): ClassOf => {
  const column = inTurn(Array.from({ length: columns }, (_, i) => i));
  // Fewer classes than columns: each row begins with the first one.
  return (i) => (i < hung ? column(i % figureColumns) : later(i - hung));
};

/** As often as among the pictures; all alike where these are of none. */
function proportion({ source, indices }: Subset, known: readonly string[]): ClassOf {
  const counts = known.map(() => 0);
  for (const i of indices) {
    const label = known.indexOf(classOf(source, i));
    if (label >= 0) counts[label]!++;
  }
  return inProportion(counts.some(Boolean) ? counts : counts.map(() => 1));
}

/** [n, S, S, 3] each, n at most `most`. */
function* inBatches(pictures: readonly Float32Array[], most: number): Generator<HostTensor> {
  const side = Math.round(Math.sqrt((pictures[0]?.length ?? 0) / 3));
  for (let at = 0; at < pictures.length; at += most) {
    const part = pictures.slice(at, at + most);
    const all = float32([part.length, side, side, 3]);
    for (const [i, picture] of part.entries()) all.data.set(picture, i * picture.length);
    yield all;
  }
}

const picturesIn = (images: HostTensor, n: number): Float32Array[] =>
  Array.from({ length: n }, (_, i) => imageAt(images, i));
