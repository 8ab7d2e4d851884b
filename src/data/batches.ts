/**
 * Batches whose order and augmentation depend on the seed and the step alone: a resumed run sees what the
 * uninterrupted one would have seen. Tensors are [B, S, S, 3] in [−1, 1].
 */
import { permutation, stream } from '../base/rng.js';
import { float32, type HostTensor } from '../base/tensor.js';
import { attempt, decodeWidth } from './cache.js';
import type { ImageSet, Subset } from './dataset.js';
import { mapInOrder } from './map-in-order.js';
import { type Crop, centreOf, type Picture, writeCrop } from './pictures.js';
import { noneReadable, type Skipped } from './source.js';

export interface Batch {
  /** float32 [B, S, S, 3]. */
  readonly images: HostTensor;
  /** [B], into the data set's classes. */
  readonly labels: Int32Array;
  /** [B], into the image set. */
  readonly indices: Int32Array;
}

export interface BatchOptions {
  size: number;
  flip: boolean;
  batchSize: number;
  seed: number;
  step: number;
}

/**
 * The batch of a step: the next pictures of an endless row of epochs, each a permutation of the set, with random
 * crop and, with `flip`, mirrored half of the time. A set smaller than the batch repeats within it.
 */
export async function trainBatch(set: ImageSet, o: BatchOptions): Promise<Batch> {
  const { size, batchSize } = o;
  const indices = Int32Array.from({ length: batchSize }, (_, i) => {
    const position = o.step * batchSize + i;
    return epochOrder(set.count, o.seed, Math.floor(position / set.count))[position % set.count]!;
  });
  const pictures = await readAll(set, indices);
  const images = new Float32Array(batchSize * size * size * 3);
  pictures.forEach((picture, i) => {
    writeCrop(picture, images, i * size * size * 3, augmentation(picture, i, o));
  });
  const labels = indices.map((index) => set.labels[index]!);
  return { images: float32([batchSize, size, size, 3], images), labels, indices };
}

function augmentation(picture: Picture, i: number, { size, flip, seed, step }: BatchOptions): Crop {
  const rng = stream(seed, 'augment', step, i);
  const top = rng.below(picture.height - size + 1);
  const left = rng.below(picture.width - size + 1);
  return { size, top, left, mirrored: flip && rng.uniform() < 0.5 };
}

let order: { count: number; seed: number; epoch: number; value: Int32Array } | undefined;

/** The last permutation is kept: a batch asks for the same one again and again. */
function epochOrder(count: number, seed: number, epoch: number): Int32Array {
  if (order?.count !== count || order.seed !== seed || order.epoch !== epoch) {
    order = { count, seed, epoch, value: permutation(count, stream(seed, 'order', epoch)) };
  }
  return order.value;
}

/** The evaluation views (centre crop, never mirrored) of some pictures: float32 [n, size, size, 3]. */
export async function evalImages(
  set: ImageSet,
  indices: ArrayLike<number>,
  size: number,
): Promise<HostTensor> {
  return centreCrops(await readAll(set, indices), size);
}

async function readAll(set: ImageSet, indices: ArrayLike<number>): Promise<Picture[]> {
  return Promise.all(Array.from(indices, (index) => set.read(index)));
}

function centreCrops(pictures: readonly Picture[], size: number): HostTensor {
  const images = new Float32Array(pictures.length * size * size * 3);
  pictures.forEach((picture, i) => {
    writeCrop(picture, images, i * size * size * 3, { size, ...centreOf(picture, size), mirrored: false });
  });
  return float32([pictures.length, size, size, 3], images);
}

export interface EvalBatch {
  /** float32 [n, S, S, 3], 1 ≤ n ≤ batchSize; only the last batch is short. */
  readonly images: HostTensor;
  readonly names: readonly string[];
  /** [n], into the source's classes. */
  readonly labels: Int32Array;
}

/**
 * The evaluation views of a subset, in order, straight from their files: what is in memory is a batch and the few
 * pictures decoded ahead, however many there are.
 *
 * @param skipped receives the name of each file that cannot be read, and why
 * @throws UserError when not one can be read
 */
export async function* streamEvalImages(
  { source, indices }: Subset,
  { size, batchSize, skipped }: { size: number; batchSize: number; skipped: Skipped[] },
): AsyncGenerator<EvalBatch> {
  let pictures: Picture[] = [];
  let members: number[] = [];
  let readable = 0;
  const flush = (): EvalBatch => {
    const batch = {
      images: centreCrops(pictures, size),
      names: members.map((i) => source.names[i]!),
      labels: Int32Array.from(members, (i) => source.labels[i]!),
    };
    pictures = [];
    members = [];
    return batch;
  };
  let position = 0;
  for await (const result of mapInOrder(indices.length, decodeWidth, (i) =>
    attempt(source, indices[i]!, size),
  )) {
    const index = indices[position++]!;
    if ('reason' in result) {
      skipped.push(result);
      continue;
    }
    readable++;
    pictures.push(result);
    members.push(index);
    if (pictures.length === batchSize) yield flush();
  }
  if (pictures.length > 0) yield flush();
  if (readable === 0) throw noneReadable(source, skipped);
}
