/** Whether samples are training images learned by heart, or one another. */
import path from 'node:path';
import { UserError } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { runPaths } from '../checkpoint/run.js';
import type { Config } from '../config/schema.js';
import { readableSplits, type Subset } from '../data/dataset.js';
import { writeVersions } from '../data/grid.js';
import { obstacleInSamples } from '../sample/out.js';
import { checkPictures } from '../stage1-vqgan/moved.js';
import type { FeatureSpace, Measures } from './features.js';
import { nearestOther } from './neighbours.js';
import type { Passes } from './passes.js';
import { nearestTraining } from './samples.js';

/** Samples that are shown above their nearest training images. */
export const shownPairs = 32;

/**
 * Samples beside their nearest training images, and each other, in feature space. Whether they are too near is seen
 * beside reconstructions of images that were not trained on, which went through the same decoder; what is smallest, beside
 * as many of them.
 */
export async function memorising(
  o: { run: string; out?: string; reporter: Reporter; signal?: AbortSignal },
  work: {
    config: Config;
    space: FeatureSpace;
    passes: Pick<Passes, 'training'>;
    drawn: { features: Float32Array; shown: readonly Float32Array[] };
    /** Features of reconstructions, [m, F]. */
    unseen: Float32Array;
  },
): Promise<Measures> {
  const { space, drawn, unseen } = work;
  const { data } = work.config;
  const { width } = space;
  const [samples, others] = [drawn.features.length / width, unseen.length / width];
  const spread = (count: number) =>
    Array.from({ length: Math.min(samples, others) }, (_, i) =>
      Math.floor((i * count) / Math.min(samples, others)),
    );
  const among = {
    nearest_sample_least: least(nearestOther(rows(drawn.features, spread(samples), width), width)),
    nearest_reconstruction_least: least(nearestOther(rows(unseen, spread(others), width), width)),
  };
  const train = await trainingImages(o, work.config);
  if (!train) {
    return {
      ...among,
      nearest_train: null,
      nearest_train_reconstructions: null,
      nearest_train_least: null,
      nearest_train_reconstructions_least: null,
      picture: null,
    };
  }
  const points = new Float32Array(drawn.features.length + unseen.length);
  points.set(drawn.features);
  points.set(unseen, drawn.features.length);
  const { size } = data;
  const batches = work.passes.training(train);
  const nearest = await nearestTraining(points, batches, { train, size, show: shownPairs, width });
  const obstacle = o.out === undefined ? obstacleInSamples(o.run) : undefined;
  const picture = obstacle ? null : (o.out ?? path.join(runPaths(o.run).samples, 'nearest.png'));
  if (picture) await writeVersions(picture, [drawn.shown, nearest.images], data);
  const ofSamples = nearest.distances.subarray(0, samples);
  const ofUnseen = nearest.distances.subarray(samples);
  return {
    ...among,
    nearest_train: median(ofSamples),
    nearest_train_reconstructions: median(ofUnseen),
    nearest_train_least: least(spread(samples).map((i) => ofSamples[i]!)),
    nearest_train_reconstructions_least: least(spread(others).map((i) => ofUnseen[i]!)),
    picture,
  };
}

/** Undefined, with a word, where they are not there any more. */
export async function trainingImages(
  { run, reporter, signal }: { run: string; reporter: Reporter; signal?: AbortSignal },
  { data }: Config,
): Promise<Subset | undefined> {
  try {
    checkPictures(run, data);
    return (await readableSplits(data, 'data.dir', { signal })).train;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    reporter.warn(`The nearest training images are left out. ${error.message}`);
    return undefined;
  }
}

/** null of no values. */
const least = (values: ArrayLike<number>): number | null =>
  values.length > 0 ? Array.from(values).reduce((a, b) => Math.min(a, b)) : null;

/** Some of the rows of [n, F]. */
function rows(all: Float32Array, indices: readonly number[], width: number): Float32Array {
  const some = new Float32Array(indices.length * width);
  for (const [to, i] of indices.entries()) some.set(all.subarray(i * width, (i + 1) * width), to * width);
  return some;
}

function median(values: Float64Array): number {
  const sorted = values.slice().sort();
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}
