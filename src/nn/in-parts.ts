/**
 * Large images a few at a time: what one layer writes is then still in the processor's cache when the next one reads
 * it.
 */

import * as tf from '@tensorflow/tfjs-core';
import { last, transposed } from '../base/lookup.js';

/** What a backend may say of itself: how many bytes of a tensor it would rather see at once. */
interface Preference {
  readonly bytesAtOnce?: number;
}

/**
 * f of `images`, tensors [B, …] with the same B and the first one [B, H, W, …], or of parts of the batch whose results
 * are joined, where the backend wants large tensors in parts. Every result has the batch as its first axis; f must
 * treat each image by itself.
 *
 * @param channels of the largest tensor [B, H, W, channels] inside of f
 */
export function inParts<X extends [tf.Tensor, ...tf.Tensor[]], Y extends tf.Tensor[] | [tf.Tensor]>(
  images: X,
  channels: number,
  f: (...images: X) => Y,
): Y {
  const [batch, height, width] = images[0].shape as [number, number, number];
  const parts = partsOf(batch, 4 * height * width * channels);
  if (parts === 1) return f(...images);
  const split = transposed(images.map((x) => tf.split(x, parts)));
  const results = split.map((part) => f(...(part as X)));
  return transposed(results).map((pieces) => tf.concat(pieces)) as Y;
}

/** Into how many equal parts the backend wants a batch divided. @param bytes of the largest tensor, for one of it */
export function partsOf(batch: number, bytes: number, most = batch): number {
  const { bytesAtOnce = Number.POSITIVE_INFINITY } = tf.backend() as Preference;
  const divisors = range(most).filter((n) => batch % n === 0);
  return divisors.find((n) => (batch / n) * bytes <= bytesAtOnce) ?? last(divisors);
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
