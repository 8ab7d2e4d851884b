/** The second and third pass: drawn images, and the training images nearest to them. */
import type { Reporter } from '../base/progress.js';
import { firstAxis, float32, type Shape4 } from '../base/tensor.js';
import { streamEvalImages } from '../data/batches.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { Spectrum } from '../data/pattern.js';
import { toBytes } from '../data/pictures.js';
import type { Skipped } from '../data/source.js';
import type { Classifier } from '../perceptual/classifier.js';
import type { Source } from '../sample/source.js';
import type { FeatureSpace } from './features.js';
import { mostAnalysed, rounded } from './folder.js';
import { Moments } from './frechet.js';
import { NearestImages } from './neighbours.js';

export interface DrawnSamples {
  readonly moments: Moments;
  /** [n, F] */
  readonly features: Float32Array;
  /** Of the first of them. */
  readonly spectrum: Spectrum;
  /** The first few images, [S, S, 3] each. */
  readonly shown: readonly Float32Array[];
  /**
   * Of the samples drawn of a class that the classifier knows: how many there are, and how many it takes for one of
   * that class.
   */
  readonly classified: { readonly images: number; readonly right: number };
}

/** @param o.show how many images are kept */
export async function drawSamples(
  source: Source,
  o: {
    n: number;
    show: number;
    batch: number;
    space: FeatureSpace;
    classifier?: Classifier;
    reporter: Reporter;
  },
): Promise<DrawnSamples> {
  const { n, batch, space, classifier } = o;
  const atOnce = source.batch;
  const classified = { images: 0, right: 0 };
  const { size, places } = source;
  const moments = new Moments(space.width);
  const features = new Float32Array(n * space.width);
  const spectrum = new Spectrum(size);
  const shown: Float32Array[] = [];
  const total = Math.ceil(n / atOnce) * places;
  const progress = o.reporter.progress({ label: 'Sample', total, unit: 'places' });
  try {
    for (let start = 0; start < n; start += atOnce) {
      const before = (start / atOnce) * places;
      const drawn = await source.draw(start, (place) => progress.update(before + place + 1));
      const images = drawn.images.slice(0, n - start);
      for (let at = 0; at < images.length; at += batch) {
        const part = images.slice(at, at + batch);
        const all = float32([part.length, size, size, 3]);
        for (const [i, image] of part.entries()) all.data.set(image, i * image.length);
        const seen = rounded(all);
        const extracted = await space.extract(seen);
        moments.add(extracted);
        if (spectrum.count < mostAnalysed) spectrum.add(toBytes(seen));
        features.set(extracted, (start + at) * space.width);
        const found = (await classifier?.classify(seen))?.classes ?? [];
        for (const [i, name] of found.entries()) {
          const meant = source.classes[drawn.labels[at + i] ?? -1];
          if (meant === undefined || !classifier?.classes.includes(meant)) continue;
          classified.images++;
          if (name === meant) classified.right++;
        }
      }
      shown.push(...images.slice(0, Math.max(0, o.show - shown.length)));
    }
  } finally {
    progress.stop();
  }
  return { moments, features, spectrum, shown, classified };
}

/**
 * For each of some points [n, F] the nearest training image; with `mirrored`, also among the mirrored ones, which such
 * a training saw as often. The images of the first `show` points are kept.
 *
 * @throws UserError when no training image can be read
 */
export async function nearestTraining(
  points: Float32Array,
  o: {
    train: Subset;
    size: number;
    mirrored: boolean;
    show: number;
    batch: number;
    space: FeatureSpace;
    reporter: Reporter;
    signal?: AbortSignal;
  },
): Promise<NearestImages> {
  const { size, batch, space } = o;
  const nearest = new NearestImages(points, space.width, o.show);
  const skipped: Skipped[] = [];
  const total = o.train.indices.length;
  const progress = o.reporter.progress({ label: 'Nearest of the training images', total, unit: 'images' });
  let done = 0;
  try {
    for await (const { images } of streamEvalImages(o.train, {
      ...{ size, batchSize: batch, skipped, signal: o.signal },
    })) {
      for (const views of o.mirrored ? [images, mirror(images)] : [images]) {
        nearest.offer(await space.extract(views), (i) => imageAt(views, i));
      }
      done += firstAxis(images);
      progress.update(done + skipped.length);
    }
  } finally {
    progress.stop();
  }
  return nearest;
}

/** [n, S, S, 3], left and right exchanged. */
function mirror({ shape, data }: ReturnType<typeof float32>): ReturnType<typeof float32> {
  const [, , side] = shape as Shape4;
  const mirrored = new Float32Array(data.length);
  for (let at = 0; at < data.length; at += 3) {
    const x = (at / 3) % side;
    const from = at + 3 * (side - 1 - 2 * x);
    for (let c = 0; c < 3; c++) mirrored[at + c] = data[from + c]!;
  }
  return float32(shape, mirrored);
}
