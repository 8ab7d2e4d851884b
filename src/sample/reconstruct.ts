/**
 * `vqgen reconstruct`: originals above reconstructions, with `--corrupt` above what the encoder saw and what was
 * restored; how close they are. Streams.
 */

import { statSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { entry } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { float32, type HostTensor, type HostTensors } from '../base/tensor.js';
import { runPaths } from '../checkpoint/run.js';
import type { Config, DataConfig } from '../config/schema.js';
import { streamEvalImages } from '../data/batches.js';
import { everyImage, type Subset } from '../data/dataset.js';
import { missing } from '../data/file-names.js';
import { imageAt, writeVersions } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import { psnr } from '../data/psnr.js';
import { type PictureData, readEvalImage } from '../data/reading.js';
import { describeSkipped, listImages, type Skipped } from '../data/source.js';
import type { Device } from '../engine/device.js';
import type { Corruption } from '../stage1-vqgan/autoencoder/corruption.js';
import { gridsOf, modelOf } from '../stage1-vqgan/model.js';
import { reconstructProgram, restoreProgram } from '../stage1-vqgan/programs.js';
import { type BookUse, codebookUse, countCodes, noUse } from '../train/book-use.js';
import { collapseWarning } from '../train/usage-watch.js';
import { type Loaded, loadedOf } from './loaded.js';
import { checkOutOrRun } from './out.js';

export interface ReconstructOptions {
  readonly run: string;
  /** Of the run; read from its folder unless given. */
  readonly loaded?: Loaded;
  /** Files, and folders of them. */
  readonly images: readonly string[];
  /** Also from corrupted images, as the run trained with them. */
  readonly corrupt?: boolean;
  /** Of the corruption; the config's unless given. */
  readonly seed?: number;
  readonly out?: string;
  readonly device: Device;
  readonly reporter: Reporter;
}

export interface ReconstructSummary {
  readonly images: number;
  /** dB, mean over images. */
  readonly psnr: number;
  /** Of the corrupted images themselves, and of what is restored from them. */
  readonly corrupted_psnr?: number;
  readonly restored_psnr?: number;
  readonly out: string;
}

const shownPairs = 16;

/** @throws UserError for a run without a tokenizer, a path that does not exist, a file that is no picture */
export async function reconstruct(o: ReconstructOptions): Promise<ReconstructSummary> {
  const loaded = loadedOf(o);
  const { config } = loaded;
  checkOutOrRun(o.out, { run: o.run, read: o.images });
  const { tensors } = await loaded.tokenizer();
  const { data } = config;
  const places = await Promise.all(o.images.map((place) => findImages(place, data, o.reporter)));
  const corruption = o.corrupt ? chosenCorruption(config, o.run, o.seed) : undefined;
  const total = places.reduce(
    (sum, place) => sum + (typeof place === 'string' ? 1 : place.indices.length),
    0,
  );
  const progress = o.reporter.progress({ label: 'Reconstruct', total, unit: 'images' });
  const skipped: Skipped[] = [];
  const shown: Float32Array[][] = [];
  const decibels = { clean: 0, corrupted: 0, restored: 0 };
  let images = 0;
  const uses = noUse(gridsOf(config));
  const { device } = o;
  try {
    const found = eachImage(places, data, skipped);
    for await (const { original, made, seen, restored } of reconstructed(found, {
      ...{ config, tensors, device, corruption, uses },
    })) {
      decibels.clean += psnr(original, made);
      if (seen && restored) {
        decibels.corrupted += psnr(original, seen);
        decibels.restored += psnr(original, restored);
      }
      images++;
      if (shown.length < shownPairs)
        shown.push(seen && restored ? [original, seen, restored] : [original, made]);
      progress.update(images + skipped.length);
    }
  } finally {
    progress.stop();
  }
  if (skipped.length > 0) o.reporter.warn(describeSkipped(skipped, total));
  const collapse = images > 1 ? collapseWarning(codebookUse(uses)) : undefined;
  if (collapse) o.reporter.warn(collapse);
  const out = o.out ?? path.join(runPaths(o.run).samples, 'reconstruction.png');
  await writeVersions(
    out,
    shown[0]!.map((_, version) => shown.map((column) => column[version]!)),
    { size: data.size },
  );
  return {
    images,
    psnr: decibels.clean / images,
    ...(corruption && {
      corrupted_psnr: decibels.corrupted / images,
      restored_psnr: decibels.restored / images,
    }),
    out,
  };
}

/** [S, S, 3] each. */
export interface Reconstructed {
  readonly original: Float32Array;
  readonly made: Float32Array;
  /** With a corruption: what the encoder saw of it, and what was made of that. */
  readonly seen?: Float32Array;
  readonly restored?: Float32Array;
}

/** One after another, in batches of one size. @param o.uses counts the codes that were used */
export async function* reconstructed(
  images: AsyncIterable<Float32Array>,
  o: {
    readonly config: Config;
    readonly tensors: HostTensors;
    readonly device: Device;
    readonly corruption?: Corruption;
    readonly uses?: readonly BookUse[];
  },
): AsyncGenerator<Reconstructed> {
  const { config, tensors, device, corruption, uses } = o;
  const { size } = config.data;
  const batch = inferenceBatch(size);
  const model = modelOf(config);
  const grids = gridsOf(config);
  const graph = await device.prepare(reconstructProgram(model, tensors, batch));
  const restoring = corruption && (await device.prepare(restoreProgram(model, tensors, batch)));
  let first = 0;
  try {
    for await (const originals of batches(images, batch)) {
      const data = float32([originals.length, size, size, 3]);
      for (const [i, image] of originals.entries()) data.data.set(image, i * image.length);
      const padded = padBatch(data, batch);
      const { reconstruction, ...codes } = await graph.run({ images: padded });
      if (uses)
        countCodes(
          uses,
          grids.map(({ name }) => inFirst(entry(codes, name), originals.length)),
        );
      const feed = corruption?.feed(`image ${first}`, batch);
      const restored = await restoring?.run({ images: padded, ...feed });
      for (const [i, original] of originals.entries()) {
        const made = imageAt(reconstruction, i);
        if (!restored) yield { original, made };
        else
          yield {
            ...{ original, made },
            ...{ seen: imageAt(restored.seen, i), restored: imageAt(restored.reconstruction, i) },
          };
      }
      first += originals.length;
    }
  } finally {
    await graph.dispose();
    await restoring?.dispose();
  }
}

/** The values of the first `n` rows. */
const inFirst = ({ shape, data }: HostTensor, n: number) =>
  data.subarray(0, (data.length / (shape[0] ?? 1)) * n);

/** @throws UserError for a run that was trained without */
function chosenCorruption(config: Config, run: string, seed = config.seed): Corruption {
  if (config.stage1.corrupt.kind !== 'none') return modelOf({ ...config, seed }).corruption;
  throw expected(
    'a run that was trained on corrupted images',
    '--corrupt',
    `${run}, whose stage1.corrupt.kind is none`,
    'The configs dae and mae are such.',
  );
}

/** A file's path, or the images of a folder. */
async function findImages(place: string, data: PictureData, reporter: Reporter): Promise<string | Subset> {
  const stat = statSync(place, { throwIfNoEntry: false });
  if (!stat) throw expected('an image or a folder', 'IMAGE', missing(place));
  return stat.isDirectory() ? everyImage(await listImages(place, 'IMAGE', { reporter, data })) : place;
}

/**
 * Evaluation views [S, S, 3], one after another. A named file that is no picture is an error, in a folder it is
 * skipped.
 */
async function* eachImage(
  places: readonly (string | Subset)[],
  data: DataConfig,
  skipped: Skipped[],
): AsyncGenerator<Float32Array> {
  const { size } = data;
  for (const place of places) {
    if (typeof place === 'string') yield (await readEvalImage(place, size, data)).data as Float32Array;
    else {
      for await (const { images, names } of streamEvalImages(place, { size, batchSize: 16, skipped })) {
        for (let i = 0; i < names.length; i++) yield imageAt(images, i);
      }
    }
  }
}

async function* batches<T>(items: AsyncIterable<T>, most: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length === most) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}
