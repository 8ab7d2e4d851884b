/**
 * Batches whose order and augmentation depend on the seed and the step alone: a resumed run sees what the
 * uninterrupted one would have seen. Tensors are [B, S, S, 3] in [−1, 1].
 */
import { must, take } from '../base/lookup.js';
import { permutation, type Rng, stream } from '../base/rng.js';
import type { Range } from '../base/shard.js';
import { float32, type HostTensor } from '../base/tensor.js';
import { attempt, decodeWidth } from './cache.js';
import type { ImageSet, Subset } from './dataset.js';
import { mapInOrder } from './map-in-order.js';
import { type Crop, centreOf, type Picture, writeCrop } from './pictures.js';
import { checkThere, noneReadable, type Skipped } from './source.js';
import { endDrawingsOn } from './svg-file.js';

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
  const labels = Int32Array.from(take(set.labels, indices));
  return { images: float32([batchSize, size, size, 3], images), labels, indices };
}

function augmentation(picture: Picture, i: number, { size, flip, seed, step }: BatchOptions): Crop {
  const rng = stream(seed, 'augment', step, i);
  const crop = randomCrop(picture, size, rng);
  return { ...crop, mirrored: flip && rng.uniform() < 0.5 };
}

function randomCrop(picture: Picture, size: number, rng: Rng): Crop {
  const top = rng.below(picture.height - size + 1);
  const left = rng.below(picture.width - size + 1);
  return { size, top, left, mirrored: false };
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
  const pictures = await readAll(set, indices);
  return cut(pictures.map((picture) => ({ picture, crop: centreCrop(picture, size) })));
}

async function readAll(set: ImageSet, indices: ArrayLike<number>): Promise<Picture[]> {
  return Promise.all(Array.from(indices, (index) => set.read(index)));
}

const centreCrop = (picture: Picture, size: number): Crop => ({
  size,
  ...centreOf(picture, size),
  mirrored: false,
});

interface View {
  readonly picture: Picture;
  readonly crop: Crop;
}

/** Views of one size S: float32 [n, S, S, 3]. */
function cut(views: readonly View[]): HostTensor {
  const { size } = must(views[0], 'view').crop;
  const images = new Float32Array(views.length * size * size * 3);
  for (const [i, { picture, crop }] of views.entries()) writeCrop(picture, images, i * size * size * 3, crop);
  return float32([views.length, size, size, 3], images);
}

/** The views of a picture: as many for each. */
export type Views = (picture: Picture, name: string) => Crop[];

/**
 * `n` views of a picture, by the seed and its name alone: the evaluation view, with `flip` then the same mirrored,
 * then random crops, with `flip` each twice, too.
 */
export function viewsOf(
  n: number,
  { size, flip, seed }: { size: number; flip: boolean; seed: number },
): Views {
  return (picture, name) => {
    const rng = stream(seed, 'views', name);
    const crops: Crop[] = [];
    while (crops.length < n) {
      const crop = crops.length === 0 ? centreCrop(picture, size) : randomCrop(picture, size, rng);
      crops.push(crop, ...(flip ? [{ ...crop, mirrored: true }] : []));
    }
    return crops.slice(0, n);
  };
}

export interface EvalBatch {
  /** float32 [n, S, S, 3], 1 ≤ n ≤ batchSize; short are the last batch and those with pictures that cannot be read. */
  readonly images: HostTensor;
  /** Of each view among all those of the subset, where pictures that cannot be read have places too. */
  readonly places: readonly number[];
  /** Of each view: that of a picture as often as it has views. */
  readonly names: readonly string[];
  /** [n], into the source's classes. */
  readonly labels: Int32Array;
  /** The same views of the pictures' maps, where there are any: float32 [n, S, S, 3]. */
  readonly maps?: HostTensor;
}

/**
 * The views of a subset, in order, straight from their files: what is in memory is a batch and the few
 * pictures decoded ahead, however many there are. A picture that cannot be read leaves its places in a batch empty: which
 * pictures are together in one depends on their places alone.
 *
 * @param o.views the evaluation view unless given, and how many views each picture has
 * @param o.maps the map of a picture, of the same width and height
 * @param o.part which of the subset are taken, from a batch on: all unless given
 * @param o.skipped receives the name of each file that cannot be read, and why
 * @throws UserError when not one of all can be read, and at the end where the system could not read many
 */
export async function* streamEvalImages(
  { source, indices }: Subset,
  o: {
    size: number;
    batchSize: number;
    skipped: Skipped[];
    views?: { readonly each: number; readonly of: Views };
    part?: Range;
    maps?: (name: string, picture: Picture) => Promise<Picture>;
    signal?: AbortSignal;
  },
): AsyncGenerator<EvalBatch> {
  const { size, batchSize, skipped, views = { each: 1, of: (picture) => [centreCrop(picture, size)] } } = o;
  const { part = { from: 0, to: indices.length } } = o;
  const own = indices.slice(part.from, part.to);
  let waiting: (View & { index: number; place: number; map?: Picture })[] = [];
  let [readable, place] = [0, part.from * views.each];
  const before = skipped.length;
  endDrawingsOn(o.signal);
  const batchOf = (members: typeof waiting): EvalBatch => {
    const shown = members.map(({ index }) => index);
    return {
      images: cut(members),
      ...(o.maps && { maps: cut(members.map(({ map, crop }) => ({ picture: must(map, 'map'), crop }))) }),
      places: members.map(({ place }) => place),
      names: take(source.names, shown),
      labels: Int32Array.from(take(source.labels, shown)),
    };
  };
  for await (const { index, name, result, map } of mapInOrder(own, decodeWidth, async (index) => {
    const name = must(source.names[index], `image ${index}`);
    const result = await attempt(source, index, size);
    return { index, name, result, map: 'reason' in result ? undefined : await o.maps?.(name, result) };
  })) {
    o.signal?.throwIfAborted();
    const crops = 'reason' in result ? [] : views.of(result, name);
    if ('reason' in result) skipped.push(result);
    else readable++;
    for (let i = 0; i < views.each; i++, place++) {
      const crop = crops[i];
      if (crop && !('reason' in result)) waiting.push({ picture: result, crop, index, place, map });
      if ((place + 1) % batchSize !== 0 || waiting.length === 0) continue;
      yield batchOf(waiting);
      waiting = [];
    }
  }
  if (waiting.length > 0) yield batchOf(waiting);
  if (readable === 0 && own.length === indices.length) throw noneReadable(source, skipped);
  checkThere(source, skipped.slice(before), own.length);
}
