/**
 * Where latents that are numbers are drawn from: N(0, I) for a VAE, around the class's mean for one that knows
 * classes, and for an autoencoder, of whose latents nothing is known, a Gaussian fitted to those of its training
 * images.
 */

import { expected } from '../base/errors.js';
import { must, take } from '../base/lookup.js';
import { stream } from '../base/rng.js';
import { firstAxis, float32, sizeOf } from '../base/tensor.js';
import { weightsSum } from '../checkpoint/content-sum.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { streamEvalImages } from '../data/batches.js';
import { readableSplits } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import type { Skipped } from '../data/source.js';
import type { Graph } from '../engine/device.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import type { Latent } from '../stage1-vqgan/latent.js';
import { modelOf } from '../stage1-vqgan/model.js';
import { checkPictures } from '../stage1-vqgan/moved.js';
import { decodeProgram, encodeProgram } from '../stage1-vqgan/programs.js';
import { aroundMeans, type Draw } from './around-means.js';
import { chosenClasses, inTurn } from './classes.js';
import { loadedOf } from './loaded.js';
import { samplesName } from './out.js';
import { drawingOptions, type Source, type SourceOptions, sampleBatch } from './source.js';

/** A tokenizer whose latents are numbers, not opened yet. */
export interface Numbers {
  readonly config: Config;
  readonly weights: Source['weights'];
  /** How a latent is drawn. @throws UserError where nothing tells */
  draw(): Promise<Draw>;
  /** @param batch images at a time */
  decoder(batch: number): Promise<Graph<never, 'images'>>;
}

/** Training images that a Gaussian is fitted to at most. */
const mostFitted = 4096;

/**
 * @throws UserError for a run without a trained model, settings that act on codes alone, and an autoencoder whose
 * training images are gone
 */
export async function numbersSource(o: SourceOptions, numbers?: Numbers): Promise<Source> {
  const { config, weights, ...opening } = numbers ?? (await numbersOf(o));
  const latent = numbersIn(config);
  refuseForCodes(o);
  const { signal } = o;
  const { size } = config.data;
  const seed = o.seed ?? config.seed;
  const temperature = o.temperature ?? config.sample.temperature;
  if (!(temperature > 0)) {
    throw expected('a number above 0', '--temperature', temperature, 'Near 0 always draws the mean.');
  }
  const classes = latent.kind === 'gaussian' ? latent.classes : [];
  const chosen = chosenClasses(o.classes, classes);
  const classOf = classes.length > 0 ? (o.classOf ?? inTurn(chosen)) : undefined;
  const draw = await opening.draw();
  const decodeBatch = inferenceBatch(size);
  const decoder = await opening.decoder(decodeBatch);
  const settings = (t: number) => ({ choice: { temperature: t, topK: 0, topP: 1 }, cfgScale: 1 });
  return {
    seed,
    name: samplesName(
      { seed, ...settings(temperature), classes: take(classes, chosen) },
      { ...settings(config.sample.temperature), classes },
    ),
    size,
    batch: sampleBatch,
    places: 1,
    tokens: 1,
    classes,
    settings: { temperature },
    weights,
    async draw(first, onPlace) {
      const before = performance.now();
      const labels = Int32Array.from({ length: sampleBatch }, (_, row) => classOf?.(first + row) ?? -1);
      const latents = Array.from(labels, (label, row) =>
        draw({ seed, image: first + row, label, temperature }),
      );
      const seconds = (performance.now() - before) / 1000;
      const images: Float32Array[] = [];
      for (let at = 0; at < sampleBatch; at += decodeBatch) {
        signal?.throwIfAborted();
        const part = float32([decodeBatch, ...latent.shape]);
        for (const [i, numbers] of latents.slice(at, at + decodeBatch).entries())
          part.data.set(numbers, i * numbers.length);
        const decoded = await decoder.run({ latent: part });
        for (let i = 0; i < decodeBatch; i++) images.push(imageAt(decoded.images, i));
      }
      onPlace(0);
      return { images, labels, seconds };
    },
    dispose: () => decoder.dispose(),
  };
}

/** A run's. */
async function numbersOf(o: SourceOptions): Promise<Numbers> {
  const loaded = loadedOf(o);
  const { config } = loaded;
  const model = await loaded.tokenizer();
  const latent = numbersIn(config);
  const width = sizeOf(latent.shape);
  return {
    config,
    weights: { tokenizer: weightsSum(model.tensors) },
    draw: async () =>
      latent.kind === 'gaussian'
        ? aroundMeans(classMeans(model, latent.classes.length, width), width)
        : fittedToTraining(o, config, model, width),
    decoder: (batch) => o.device.prepare(decodeProgram(modelOf(config), model.tensors, batch)),
  };
}

function numbersIn(config: Config): Exclude<Latent, { kind: 'codes' }> {
  const { latent } = bottleneckOf(config);
  if (latent.kind === 'codes') throw new Error('internal: codes are drawn by a prior');
  return latent;
}

const others = { only: '--only', precision: '--precision', condition: '--condition' };

/** @throws UserError for options that only codes drawn by a prior have a use for */
function refuseForCodes({ run, ...o }: SourceOptions): void {
  const { temperature: _, ...ofCodes } = drawingOptions;
  for (const [key, option] of Object.entries({ ...ofCodes, ...others })) {
    const value = o[key as keyof typeof o] as string | number | undefined;
    if (value === undefined || value === 'f32') continue;
    throw expected(
      'nothing',
      option,
      `${value}, where ${run} has no codes to choose among`,
      'Its latents are numbers, on which --temperature acts.',
    );
  }
}

async function fittedToTraining(
  o: SourceOptions,
  config: Config,
  model: TrainedModel,
  width: number,
): Promise<Draw> {
  const fitted = await fitGaussian(o, config, model, width);
  o.reporter.note(
    `Nothing is known of an autoencoder's latents: a Gaussian is fitted to those of ${fitted.rows.length} training images, and drawn from.`,
  );
  return ({ seed, image, temperature }) => drawFitted(fitted, stream(seed, 'sample', image), temperature);
}

/** μ_y of each class, in the order of the config's classes. */
export function classMeans({ tensors }: Pick<TrainedModel, 'tensors'>, classes: number, width: number) {
  if (classes === 0) return [];
  const all = must(tensors['bottleneck.class_means'], 'class means').data as Float32Array;
  return Array.from({ length: classes }, (_, y) => all.subarray(y * width, (y + 1) * width));
}

interface Fitted {
  readonly mean: Float32Array;
  /** Latents less the mean. */
  readonly rows: readonly Float32Array[];
}

async function fitGaussian(
  { run, device, reporter, signal }: SourceOptions,
  config: Config,
  model: TrainedModel,
  width: number,
): Promise<Fitted> {
  checkPictures(run, config.data);
  const { train } = await readableSplits(config.data, 'data.dir', { reporter, signal });
  const { size } = config.data;
  const batch = inferenceBatch(size);
  const count = Math.min(mostFitted, train.indices.length);
  const spread = Array.from({ length: count }, (_, i) => Math.floor((i * train.indices.length) / count));
  const indices = take(train.indices, spread);
  const graph = await device.prepare(encodeProgram(modelOf(config), model.tensors, batch));
  const progress = reporter.progress({ label: 'Fit', total: count, unit: 'images' });
  const skipped: Skipped[] = [];
  const rows: Float32Array[] = [];
  try {
    for await (const { images } of streamEvalImages(
      { source: train.source, indices },
      { size, batchSize: batch, skipped, signal },
    )) {
      const n = firstAxis(images);
      const { latent } = await graph.run({ images: padBatch(images, batch) });
      const data = must(latent, 'latent').data as Float32Array;
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
 * A draw of N(mean, Σ), Σ the covariance of the rows: their sum with normal weights, over √(n − 1), has just this
 * distribution, so that Σ need neither be made nor factored.
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
