/** Points of a grid and their numbers: a code is written in mixed radix, the first place counting ones. */

import * as tf from '@tensorflow/tfjs-core';
import { pairs } from '../../base/lookup.js';
import { product } from '../../config/bottlenecks.js';

/** What one step of each place counts: 1, L₀, L₀L₁, … */
const placeValues = (levels: readonly number[]) => levels.map((_, i) => product(levels.slice(0, i)));

/** Digits [..., d], whole floats from 0 to Lᵢ − 1 → codes int32 [...]. */
export function numberOf(digits: tf.Tensor, levels: readonly number[]): tf.Tensor {
  return tf.cast(tf.sum(tf.mul(digits, tf.tensor1d(placeValues(levels))), -1), 'int32');
}

/**
 * The reverse of `numberOf`. Exact in float32 for up to 2²⁰ codes: the half keeps quotients away from whole numbers.
 */
export function digitsOf(codes: tf.Tensor, levels: readonly number[]): tf.Tensor {
  const places = placeValues(levels);
  const shifted = tf.expandDims(tf.add(tf.cast(codes, 'float32'), 0.5), -1); // [..., 1]
  const steps = (sizes: number[]) => tf.floor(tf.div(shifted, tf.tensor1d(sizes))); // [..., d]
  const above = steps(pairs(places, levels).map(([place, count]) => place * count));
  return tf.sub(steps(places), tf.mul(above, tf.tensor1d([...levels])));
}
