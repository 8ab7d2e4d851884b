/** Samples of a run, the first of a seed, each beside the training picture nearest to it; and more to be measured. */
import { nth, take } from '../base/lookup.js';
import { float32 } from '../base/tensor.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { encodePng, toBytes } from '../data/pictures.js';
import type { FeatureSpace } from '../evaluate/features.js';
import { type Gaussian, Moments } from '../evaluate/frechet.js';
import { rounded, spread } from '../evaluate/observe.js';
import { nearestTraining, observeTraining } from '../evaluate/samples.js';
import { type ClassOf, inTurn } from '../sample/classes.js';
import type { Settings, Source } from '../sample/source.js';
import { openSource } from '../sample/sources.js';
import { type Html, html, pngUrl } from './document.js';
import type { Opened } from './opened.js';
import { attempted, isMissing, type Part } from './part.js';

export interface Samples {
  readonly size: number;
  readonly seed: number;
  readonly settings: Settings;
  readonly shown: readonly Sample[];
  /** Among how many training pictures the nearest were looked for, and of how many; or why none were. */
  readonly among: Part<{ readonly looked: number; readonly of: number }>;
  /** Median distances to the nearest training picture, of the samples shown and of reconstructions. */
  readonly medians?: { readonly samples: number; readonly reconstructions: number };
  /** Features of those that were drawn to be measured. */
  readonly measured: Gaussian | undefined;
}

export interface Sample {
  readonly className?: string;
  readonly picture: Uint8Array;
  readonly nearest?: Uint8Array;
}

/** Training pictures that are looked at, at most. */
const mostTraining = 4096;

/** Pictures that are shown: as many of each class as fit, of many classes the first ones. */
function shownOf(size: number, classes: number): number {
  const most = Math.max(6, Math.min(40, Math.floor((40 * 64 ** 2) / size ** 2)));
  return classes === 0 || classes > most ? most : classes * Math.floor(most / classes);
}

/** Seeds of a report's own are not needed: all that is random here is drawn as `vqgen sample` draws it. */
export async function samplesOf(
  o: Opened,
  work: {
    space: FeatureSpace;
    /** How many are measured, of these classes in turn; what is undefined is of any. */
    measured: number;
    classes: readonly string[];
    /** Features [m, F] of reconstructions of unseen pictures. */
    reconstructions: Float32Array;
  },
): Promise<Part<Samples>> {
  const { latent, prior, tokenizer, config } = o;
  if (isMissing(tokenizer)) return tokenizer;
  if (latent.kind === 'codes' && isMissing(prior))
    return { missing: `There are no samples. ${prior.missing}` };
  if (!isMissing(prior) && prior.told && config.prior.class_dropout === 0) {
    return {
      missing: 'This prior draws only what it is told of pictures: vqgen sample --condition PICTURE.',
    };
  }
  return attempted('Samples are left out', async () => {
    const known = !isMissing(prior) ? prior.classes : latent.kind === 'gaussian' ? latent.classes : [];
    const { size } = config.data;
    const shown = shownOf(size, known.length);
    const n = shown + work.measured;
    const { run, seed, device, reporter, signal } = o;
    const classOf = classesOf(known, shown, work.classes);
    const source = await openSource({ run, seed, n, classOf, device, reporter, signal });
    try {
      const { images, labels } = await drawn(source, n, o);
      const first = images.slice(0, shown);
      const features = await featuresOf(first, size, work.space);
      const points = new Float32Array(features.length + work.reconstructions.length);
      points.set(features);
      points.set(work.reconstructions, features.length);
      const found = await nearestOf(o, { points, space: work.space, show: shown });
      const named = (i: number) => known[labels[i] ?? -1];
      return {
        ...{ size, seed, settings: source.settings },
        shown: await Promise.all(
          first.map(async (image, i) => ({
            ...{ className: named(i), picture: await pngOf(image, size) },
            ...(!isMissing(found) && { nearest: await pngOf(nth(found.images, i), size) }),
          })),
        ),
        among: found,
        ...(!isMissing(found) &&
          work.reconstructions.length > 0 && {
            medians: {
              samples: median(found.distances.subarray(0, shown)),
              reconstructions: median(found.distances.subarray(shown)),
            },
          }),
        measured: await gaussianOf(images.slice(shown), size, work.space),
      };
    } finally {
      await source.dispose();
    }
  });
}

/** First all classes in turn, as `vqgen sample` draws them, then those of other pictures. */
function classesOf(known: readonly string[], shown: number, others: readonly string[]): ClassOf | undefined {
  if (known.length === 0) return undefined;
  const turn = inTurn(known.map((_, i) => i));
  return (i) => {
    const label = i < shown ? -1 : known.indexOf(others[i - shown] ?? '');
    return label < 0 ? turn(i) : label;
  };
}

async function drawn(source: Source, n: number, { reporter, signal }: Opened) {
  const { batch, places } = source;
  const images: Float32Array[] = [];
  const labels: number[] = [];
  const total = Math.ceil(n / batch) * places;
  const progress = reporter.progress({ label: 'Sample', total, unit: 'places' });
  try {
    for (let first = 0; first < n; first += batch) {
      signal?.throwIfAborted();
      const before = (first / batch) * places;
      const part = await source.draw(first, (place) => progress.update(before + place + 1));
      signal?.throwIfAborted();
      images.push(...part.images.slice(0, n - first));
      labels.push(...part.labels.subarray(0, n - first));
    }
  } finally {
    progress.stop();
  }
  return { images, labels };
}

async function nearestOf(
  { training, config, reporter, signal }: Opened,
  { points, space, show }: { points: Float32Array; space: FeatureSpace; show: number },
) {
  if (isMissing(training)) return training;
  const { size, flip } = config.data;
  const of = training.indices.length;
  const indices = take(training.indices, spread(of, mostTraining));
  const train = { source: training.source, indices };
  const total = indices.length;
  const progress = reporter.progress({ label: 'Nearest of the training images', total, unit: 'images' });
  const batches = observeTraining(train, {
    ...{ size, mirrored: flip, batch: inferenceBatch(size), space, signal },
    onImages: (done) => progress.update(done),
  });
  const { width } = space;
  const found = await nearestTraining(points, batches, { train, size, show, width }).finally(() =>
    progress.stop(),
  );
  return { images: found.images, distances: found.distances, looked: indices.length, of };
}

/** Of images [S, S, 3], [n, F]. */
async function featuresOf(images: readonly Float32Array[], size: number, space: FeatureSpace) {
  const batch = inferenceBatch(size);
  const features = new Float32Array(images.length * space.width);
  for (let at = 0; at < images.length; at += batch) {
    const part = images.slice(at, at + batch);
    const all = float32([part.length, size, size, 3]);
    for (const [i, image] of part.entries()) all.data.set(image, i * image.length);
    features.set(await space.extract(rounded(all)), at * space.width);
  }
  return features;
}

async function gaussianOf(
  images: readonly Float32Array[],
  size: number,
  space: FeatureSpace,
): Promise<Gaussian | undefined> {
  if (images.length < 2) return undefined;
  const moments = new Moments(space.width);
  moments.add(await featuresOf(images, size, space));
  return moments.gaussian();
}

const pngOf = (image: Float32Array, size: number): Promise<Uint8Array> =>
  encodePng({ width: size, height: size, data: toBytes(float32([size, size, 3], image)) });

function median(values: Float64Array): number {
  const sorted = values.slice().sort();
  return (nth(sorted, (sorted.length - 1) >> 1) + nth(sorted, sorted.length >> 1)) / 2;
}

/** @param run as a command takes it */
export function samplesSection(samples: Samples, run: string): Html {
  const { shown, seed, settings, among, medians, size } = samples;
  const said = Object.entries(settings).map(([key, value]) => `${key} ${value}`);
  const missing = isMissing(among);
  const beside = missing
    ? `Their nearest training pictures are left out. ${among.missing}`
    : `Under each is the training picture nearest to it in vqgen's features, among ${among.looked < among.of ? `${among.looked} of ${among.of}, spread evenly` : `all ${among.of} of them`}.`;
  return html`<p>The first ${shown.length} of seed ${seed}, none left out or chosen:
<code>vqgen sample --n ${shown.length} --seed ${seed} --run ${run}</code>${said.length > 0 ? ` (${said.join(', ')})` : ''}.
${beside}</p>
${
  medians
    ? html`<p>A sample is ${medians.samples.toFixed(3)} away from its nearest training picture, a reconstruction of an
unseen picture ${medians.reconstructions.toFixed(3)} (medians). Samples much nearer than reconstructions would be
learned by heart.</p>`
    : ''
}
<div class="pictures small">${shown.map(
    ({ className, picture, nearest }, i) => html`<figure>
<img class="pixels" width="${size}" height="${size}" src="${pngUrl(picture)}" alt="Sample ${i}${className ? `, ${className}` : ''}">
${nearest ? html`<img class="pixels" width="${size}" height="${size}" src="${pngUrl(nearest)}" alt="The training picture nearest to sample ${i}">` : ''}
<figcaption>${className ?? `${i}`}</figcaption></figure>\n`,
  )}</div>`;
}
