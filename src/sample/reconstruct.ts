/** `vqgen reconstruct`: originals above reconstructions, and how close they are. Streams. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { float32 } from '../base/tensor.js';
import { readRunConfig, runPaths } from '../checkpoint/run.js';
import { loadModel } from '../checkpoint/store.js';
import { streamEvalImages } from '../data/batches.js';
import { everyImage, type Subset } from '../data/dataset.js';
import { missing } from '../data/file-names.js';
import { imageAt, writePairs } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import { readEvalImage, toBytes } from '../data/pictures.js';
import { describeSkipped, listImages, type Skipped } from '../data/source.js';
import type { Device } from '../engine/device.js';
import { reconstructProgram } from '../stage1-vqgan/programs.js';
import { checkOutOrRun } from './out.js';

export interface ReconstructOptions {
  readonly run: string;
  /** Files, and folders of them. */
  readonly images: readonly string[];
  readonly out?: string;
  readonly device: Device;
  readonly reporter: Reporter;
}

export interface ReconstructSummary {
  readonly images: number;
  /** dB, mean over images. */
  readonly psnr: number;
  readonly out: string;
}

const shownPairs = 16;

/** @throws UserError for a run without a tokenizer, a path that does not exist, a file that is no picture */
export async function reconstruct(o: ReconstructOptions): Promise<ReconstructSummary> {
  const config = readRunConfig(o.run);
  const { tensors } = await loadModel(o.run, 'stage1');
  checkOutOrRun(o.out, o.run);
  const places = await Promise.all(o.images.map((place) => findImages(place, o.reporter)));
  const { size } = config.data;
  const batch = inferenceBatch(size);
  const graph = await o.device.prepare(reconstructProgram(config, tensors, batch));
  const total = places.reduce(
    (sum, place) => sum + (typeof place === 'string' ? 1 : place.indices.length),
    0,
  );
  const progress = o.reporter.progress({ label: 'Reconstruct', total, unit: 'images' });
  const skipped: Skipped[] = [];
  const shown: { original: Float32Array; second: Float32Array }[] = [];
  let images = 0;
  let decibels = 0;
  try {
    for await (const originals of batches(eachImage(places, size, skipped), batch)) {
      const data = float32([originals.length, size, size, 3]);
      for (const [i, image] of originals.entries()) data.data.set(image, i * image.length);
      const { reconstruction } = await graph.run({ images: padBatch(data, batch) });
      for (const [i, original] of originals.entries()) {
        const second = imageAt(reconstruction!, i);
        decibels += psnr(original, second);
        images++;
        if (shown.length < shownPairs) shown.push({ original, second });
      }
      progress.update(images + skipped.length);
    }
  } finally {
    progress.stop();
    await graph.dispose();
  }
  if (skipped.length > 0) o.reporter.warn(describeSkipped(skipped, total));
  const out = o.out ?? path.join(runPaths(o.run).samples, 'reconstruction.png');
  await writePairs(
    out,
    shown.map(({ original }) => original),
    shown.map(({ second }) => second),
    size,
  );
  return { images, psnr: decibels / images, out };
}

/** A file's path, or the images of a folder. */
async function findImages(place: string, reporter: Reporter): Promise<string | Subset> {
  const stat = statSync(place, { throwIfNoEntry: false });
  if (!stat) throw expected('an image or a folder', 'IMAGE', missing(place));
  return stat.isDirectory() ? everyImage(await listImages(place, 'IMAGE', { reporter })) : place;
}

/** Evaluation views [S, S, 3], one after another. A named file that is no picture is an error, in a folder it is skipped. */
async function* eachImage(
  places: readonly (string | Subset)[],
  size: number,
  skipped: Skipped[],
): AsyncGenerator<Float32Array> {
  for (const place of places) {
    if (typeof place === 'string') yield (await readEvalImage(place, size)).data as Float32Array;
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

/** A difference below a hundredth of one grey level counts as none. */
const leastError = 1e-10;

/** 10·log₁₀(1/MSE) on 8-bit pixels scaled to [0, 1], dB; at most 100. */
export function psnr(a: Float32Array, b: Float32Array): number {
  const [x, y] = [toBytes(float32([a.length], a)), toBytes(float32([b.length], b))];
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i]! - y[i]!) ** 2;
  return -10 * Math.log10(Math.max(sum / x.length / 255 ** 2, leastError));
}
