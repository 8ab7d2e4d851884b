/**
 * Where latents that are numbers are drawn from: N(0, I) for a VAE, around the class's mean for one that knows classes, and for an autoencoder,
 * of whose latents nothing is known, a Gaussian fitted to those of its training images.
 */

import type { Reporter } from '../base/progress.js';
import { stream } from '../base/rng.js';
import { sizeOf } from '../base/tensor.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { streamEvalImages } from '../data/batches.js';
import { readableSplits } from '../data/dataset.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import type { Skipped } from '../data/source.js';
import type { Device } from '../engine/device.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { checkPictures } from '../stage1-vqgan/moved.js';
import { encodeProgram } from '../stage1-vqgan/programs.js';

/** Draws of a latent of D numbers. */
export interface Numbers {
  /** Of one image. */
  readonly shape: readonly number[];
  /** Names of the classes with means of their own. */
  readonly classes: readonly string[];
  /**
   * The latent of image number `image` of a seed.
   *
   * @param label index into `classes`, −1 without
   * @param temperature factor of the deviation from the mean
   */
  draw(o: { seed: number; image: number; label: number; temperature: number }): Float32Array;
}

/** Training images that a Gaussian is fitted to at most. */
const mostFitted = 4096;

/**
 * @param tokenizer trained, with latents that are numbers
 * @throws UserError when the training images of an autoencoder cannot be found
 */
export async function openNumbers(o: {
  readonly run: string;
  readonly config: Config;
  readonly tokenizer: TrainedModel;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}): Promise<Numbers> {
  const { latent } = bottleneckOf(o.config);
  if (latent.kind === 'codes') throw new Error('internal: codes are drawn by a prior');
  const { shape } = latent;
  if (latent.kind === 'gaussian') {
    const means = classMeans(o.tokenizer, latent.classes.length, sizeOf(shape));
    return {
      shape,
      classes: latent.classes,
      draw: ({ seed, image, label, temperature }) => {
        const rng = stream(seed, 'sample', image);
        const mean = means[label];
        return Float32Array.from(
          { length: sizeOf(shape) },
          (_, i) => (mean?.[i] ?? 0) + temperature * rng.normal(),
        );
      },
    };
  }
  const fitted = await fitGaussian(o, sizeOf(shape));
  o.reporter.note(
    `An autoencoder has nothing to draw from: a Gaussian is fitted to the latents of ${fitted.rows.length} of its training images.`,
  );
  return {
    shape,
    classes: [],
    draw: ({ seed, image, temperature }) => drawFitted(fitted, stream(seed, 'sample', image), temperature),
  };
}

/** μ_y of each class, in the order of the config's classes. */
export function classMeans({ tensors }: Pick<TrainedModel, 'tensors'>, classes: number, width: number) {
  const all = tensors['bottleneck.class_means']?.data as Float32Array | undefined;
  return Array.from({ length: classes }, (_, y) => all!.subarray(y * width, (y + 1) * width));
}

interface Fitted {
  readonly mean: Float32Array;
  /** Latents less the mean. */
  readonly rows: readonly Float32Array[];
}

async function fitGaussian(o: Parameters<typeof openNumbers>[0], width: number): Promise<Fitted> {
  const { config, run, tokenizer, device, reporter, signal } = o;
  checkPictures(run, config.data);
  const { train } = await readableSplits(config.data, 'data.dir', reporter);
  const { size } = config.data;
  const batch = inferenceBatch(size);
  const count = Math.min(mostFitted, train.indices.length);
  const indices = Array.from(
    { length: count },
    (_, i) => train.indices[Math.floor((i * train.indices.length) / count)]!,
  );
  const graph = await device.prepare(encodeProgram(config, tokenizer.tensors, batch));
  const progress = reporter.progress({ label: 'Fit', total: count, unit: 'images' });
  const skipped: Skipped[] = [];
  const rows: Float32Array[] = [];
  try {
    for await (const { images } of streamEvalImages(
      { source: train.source, indices },
      { size, batchSize: batch, skipped },
    )) {
      signal?.throwIfAborted();
      const n = images.shape[0]!;
      const { latent } = await graph.run({ images: padBatch(images, batch) });
      const data = latent!.data as Float32Array;
      for (let i = 0; i < n; i++) rows.push(data.slice(i * width, (i + 1) * width));
      progress.update(rows.length + skipped.length);
    }
  } finally {
    progress.stop();
    await graph.dispose();
  }
  const mean = new Float32Array(width);
  for (const row of rows) for (let i = 0; i < width; i++) mean[i]! += row[i]! / rows.length;
  for (const row of rows) for (let i = 0; i < width; i++) row[i]! -= mean[i]!;
  return { mean, rows };
}

/**
 * A draw of N(mean, Σ), Σ the covariance of the rows: their sum with normal weights, over √(n − 1), has just this distribution, so that Σ need
 * neither be made nor factored.
 */
export function drawFitted(
  { mean, rows }: Fitted,
  rng: { normal(): number },
  temperature: number,
): Float32Array {
  const drawn = new Float64Array(mean.length);
  const scale = temperature / Math.sqrt(Math.max(1, rows.length - 1));
  for (const row of rows) {
    const weight = scale * rng.normal();
    for (let i = 0; i < drawn.length; i++) drawn[i]! += weight * row[i]!;
  }
  return Float32Array.from(mean, (value, i) => value + drawn[i]!);
}
