/**
 * How much of the samples' error is the tokenizer's, and how much what draws adds: distances of as many unseen
 * pictures, of these as the tokenizer keeps them, and of samples, all to the same other unseen pictures.
 */
import { take } from '../base/lookup.js';
import { inferenceBatch } from '../data/inference-batch.js';
import type { FeatureSpace } from '../evaluate/features.js';
import { frechetDistance, type Gaussian, Moments } from '../evaluate/frechet.js';
import { spread } from '../evaluate/observe.js';
import { type Html, html } from './document.js';
import { isMissing, type Part, table } from './part.js';
import type { Samples } from './samples.js';
import { imagesAt, type Unseen } from './unseen.js';

/** Features of unseen pictures in two parts. */
export interface Halves {
  readonly space: string;
  /** Of the pictures that are compared with. */
  readonly reference: Gaussian;
  /** Of N others, and of their reconstructions. */
  readonly pictures: Gaussian;
  readonly reconstructions: Gaussian;
  /** [N, F] */
  readonly features: Float32Array;
  /** Classes of the N. */
  readonly classes: readonly string[];
}

export interface Shares {
  readonly space: string;
  /** N, and how many pictures they are compared with. */
  readonly n: number;
  readonly reference: number;
  readonly dimensions: number;
  /** Fréchet distances. */
  readonly pictures: number;
  readonly reconstructions: number;
  readonly samples?: number;
}

/** @param n at most half of the pictures */
export async function halvesOf(unseen: Part<Unseen>, space: FeatureSpace, n: number): Promise<Part<Halves>> {
  if (isMissing(unseen)) return unseen;
  const { images, size, pixels, again, classes } = unseen;
  const count = Math.min(n, Math.floor(images / 2));
  if (count < 2) return { missing: `${images} unseen pictures are too few to compare: it takes at least 4.` };
  const chosen = [...spread(images, count)];
  const others = Array.from({ length: images }, (_, i) => i).filter((i) => !chosen.includes(i));
  const of = async (bytes: Uint8Array, places: readonly number[]) => {
    const batch = inferenceBatch(size);
    const features = new Float32Array(places.length * space.width);
    for (let at = 0; at < places.length; at += batch)
      features.set(
        await space.extract(imagesAt(bytes, size, places.slice(at, at + batch))),
        at * space.width,
      );
    return features;
  };
  const features = await of(again, chosen);
  return {
    ...{ space: space.name, features, classes: take(classes, chosen) },
    reference: gaussian(await of(pixels, others), space.width),
    pictures: gaussian(await of(pixels, chosen), space.width),
    reconstructions: gaussian(features, space.width),
  };
}

function gaussian(features: Float32Array, width: number): Gaussian {
  const moments = new Moments(width);
  moments.add(features);
  return moments.gaussian();
}

export function sharesOf(halves: Part<Halves>, samples: Part<Samples>): Part<Shares> {
  if (isMissing(halves)) return halves;
  const { space, reference, pictures, reconstructions } = halves;
  const drawn = isMissing(samples) ? undefined : samples.measured;
  const to = (other: Gaussian) => frechetDistance(other, reference);
  return {
    ...{ space, n: pictures.count, reference: reference.count, dimensions: reference.mean.length },
    ...{ pictures: to(pictures), reconstructions: to(reconstructions) },
    ...(drawn && { samples: to(drawn) }),
  };
}

export function sharesSection(shares: Shares, draws: 'prior' | 'numbers'): Html {
  const { n, reference, dimensions, pictures, reconstructions, samples, space } = shares;
  const most = Math.max(pictures, reconstructions, samples ?? 0);
  const bar = (value: number) =>
    html`${value.toFixed(3)} <span class="bar" style="width: ${(4 * (value / most)).toFixed(2)}rem"></span>`;
  const who = draws === 'prior' ? 'the prior’s' : 'the drawing’s';
  const tokenizer = reconstructions - pictures;
  const rest = (samples ?? reconstructions) - reconstructions;
  const said =
    samples === undefined
      ? `Of what can be told, ${said3(tokenizer)} is the tokenizer’s.`
      : `Above what chance leaves to ${n} real pictures, ${said3(tokenizer)} is the tokenizer’s, and ${said3(rest)} more is ${who}.`;
  return html`${table(
    `Fréchet distances fd_vqgen to ${reference} other unseen pictures`,
    [`${n} of each`, 'fd_vqgen'],
    [
      ['unseen pictures as they are', bar(pictures)],
      ['the same pictures, reconstructed', bar(reconstructions)],
      ...(samples === undefined ? [] : [['samples of the same classes', bar(samples)]]),
    ],
  )}
<p>${said}</p>
<p class="faint">Only ${n} pictures each, in ${dimensions} dimensions (${space}): every number is far above what
thousands would give, as that of the unseen pictures shows, by about as much. Compare them with each other, not
with other pages; a number to quote is given by <code>vqgen evaluate --n 10000</code>.</p>`;
}

const said3 = (value: number): string => (value > 0 ? value.toFixed(3) : 'nothing that can be seen');
