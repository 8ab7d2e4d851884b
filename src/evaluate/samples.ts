/** The second and third pass: drawn images, and the training images nearest to them; in each what comes of a batch, as plain numbers. */
import { last, must } from '../base/lookup.js';
import type { Range } from '../base/shard.js';
import { float32, type HostTensor, type Shape4 } from '../base/tensor.js';
import { type EvalBatch, evalImages, streamEvalImages } from '../data/batches.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { Spectrum } from '../data/pattern.js';
import { fromBytes, toBytes } from '../data/pictures.js';
import type { Classifier } from '../perceptual/classifier.js';
import type { Source } from '../sample/source.js';
import type { FeatureSpace } from './features.js';
import { Moments } from './frechet.js';
import { NearestImages } from './neighbours.js';
import { mostAnalysed, rounded } from './observe.js';

/** What comes of a batch of drawn images. */
export interface SampleBatch {
  /** [n, F] */
  readonly features: Float32Array;
  /** 8-bit pixels of those among which a pattern is looked for, the first of all. */
  readonly pixels: Uint8Array;
  /**
   * [2]: of those drawn of a class that the classifier knows how many there are, and how many it takes for one of that
   * class.
   */
  readonly classified: Int32Array;
}

/** @param o.part which of the images, from a batch of the source on. @param o.batch images that the space takes at a time */
export async function* observeSamples(
  source: Source,
  o: {
    part: Range;
    batch: number;
    space: FeatureSpace;
    classifier?: Classifier;
    onPlace: (done: number) => void;
  },
): AsyncGenerator<SampleBatch> {
  const { part, batch, space, classifier } = o;
  const { size, places } = source;
  for (let start = part.from; start < part.to; start += source.batch) {
    const before = ((start - part.from) / source.batch) * places;
    const drawn = await source.draw(start, (place) => o.onPlace(before + place + 1));
    const images = drawn.images.slice(0, part.to - start);
    const features = new Float32Array(images.length * space.width);
    const looked: Uint8Array[] = [];
    const classified = Int32Array.of(0, 0);
    for (let at = 0; at < images.length; at += batch) {
      const some = images.slice(at, at + batch);
      const all = float32([some.length, size, size, 3]);
      for (const [i, image] of some.entries()) all.data.set(image, i * image.length);
      const seen = rounded(all);
      if (start + at < mostAnalysed) looked.push(toBytes(seen));
      features.set(await space.extract(seen), at * space.width);
      const found = (await classifier?.classify(seen))?.classes ?? [];
      for (const [i, name] of found.entries()) {
        const meant = source.classes[drawn.labels[at + i] ?? -1];
        if (meant === undefined || !classifier?.classes.includes(meant)) continue;
        classified[0]!++;
        if (name === meant) classified[1]!++;
      }
    }
    yield { features, pixels: new Uint8Array(Buffer.concat(looked)), classified };
  }
}

export interface DrawnSamples {
  readonly moments: Moments;
  /** [n, F] */
  readonly features: Float32Array;
  /** Of the first of them. */
  readonly spectrum: Spectrum;
  /** The first few images, [S, S, 3] each. */
  readonly shown: readonly Float32Array[];
  /** See `SampleBatch`. */
  readonly classified: { readonly images: number; readonly right: number };
}

/** @param o.show how many images are kept. @param o.size of the images, pixels. @param o.width of features */
export async function gatherSamples(
  batches: AsyncIterable<SampleBatch>,
  o: { n: number; show: number; size: number; width: number },
): Promise<DrawnSamples> {
  const { n, show, size, width } = o;
  const area = size * size * 3;
  const classified = { images: 0, right: 0 };
  const moments = new Moments(width);
  const features = new Float32Array(n * width);
  const spectrum = new Spectrum(size);
  const shown: Float32Array[] = [];
  let at = 0;
  for await (const batch of batches) {
    moments.add(batch.features);
    features.set(batch.features, at);
    at += batch.features.length;
    spectrum.add(batch.pixels);
    for (let i = 0; i < batch.pixels.length && shown.length < show; i += area)
      shown.push(fromBytes(batch.pixels.subarray(i, i + area)));
    const [images = 0, right = 0] = batch.classified;
    classified.images += images;
    classified.right += right;
  }
  return { moments, features, spectrum, shown, classified };
}

/** What comes of a batch of training images, or of the same mirrored. */
export interface TrainingBatch {
  /** [n] of the images, among those of the training. */
  readonly places: Int32Array;
  /** [1] */
  readonly mirrored: Uint8Array;
  /** [n, F] */
  readonly features: Float32Array;
}

/**
 * @param o.mirrored whether such a training saw each image mirrored as often
 * @throws UserError when no training image can be read
 */
export async function* observeTraining(
  train: Subset,
  o: {
    part?: Range;
    size: number;
    mirrored: boolean;
    batch: number;
    space: FeatureSpace;
    onImages: (done: number) => void;
    signal?: AbortSignal;
  },
): AsyncGenerator<TrainingBatch> {
  const { size, batch, space, part, signal, onImages } = o;
  const featuresOf = async ({ places, images }: EvalBatch, mirrored: boolean) => ({
    places: Int32Array.from(places),
    mirrored: Uint8Array.of(mirrored ? 1 : 0),
    features: await space.extract(mirrored ? mirror(images) : images),
  });
  for await (const seen of streamEvalImages(train, {
    ...{ size, batchSize: batch, part, skipped: [], signal },
  })) {
    for (const mirrored of o.mirrored ? [false, true] : [false]) yield await featuresOf(seen, mirrored);
    onImages(last(seen.places) + 1 - (part?.from ?? 0));
  }
}

export interface Nearest {
  /** Of each point to the training image nearest to it. */
  readonly distances: Float64Array;
  /** The images nearest to the first points, [S, S, 3] each. */
  readonly images: readonly Float32Array[];
}

/** @param points [n, F]. @param o.show of how many points the nearest image is read */
export async function nearestTraining(
  points: Float32Array,
  batches: AsyncIterable<TrainingBatch>,
  o: { train: Subset; size: number; show: number; width: number },
): Promise<Nearest> {
  const nearest = new NearestImages<{ place: number; mirrored: boolean }>(points, o.width, o.show);
  for await (const { places, mirrored, features } of batches)
    nearest.offer(features, (row) => ({ place: must(places[row], 'place'), mirrored: mirrored[0] === 1 }));
  const { source, indices } = o.train;
  const images: Float32Array[] = [];
  for (const { place, mirrored } of nearest.images) {
    const read = () => source.read(must(indices[place], 'image'), o.size);
    const view = await evalImages({ ...source, count: 1, read }, [0], o.size);
    images.push(imageAt(mirrored ? mirror(view) : view, 0));
  }
  return { distances: nearest.distances, images };
}

/** [n, S, S, 3], left and right exchanged. */
function mirror({ shape, data }: HostTensor): HostTensor {
  const [, , side] = shape as Shape4;
  const mirrored = new Float32Array(data.length);
  for (let at = 0; at < data.length; at += 3) {
    const x = (at / 3) % side;
    const from = at + 3 * (side - 1 - 2 * x);
    for (let c = 0; c < 3; c++) mirrored[at + c] = data[from + c]!;
  }
  return float32(shape, mirrored);
}
