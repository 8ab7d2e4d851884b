/**
 * Finite scalar quantisation, no codebook at all: Mentzer et al., arXiv 2309.15505, with the constants of its listing.
 */

import * as tf from '@tensorflow/tfjs-core';
import { pairs } from '../../base/lookup.js';
import { gridLevels } from '../../config/bottlenecks.js';
import type { Stage1Config } from '../../config/schema.js';
import { straightThrough } from '../../nn/gradients.js';
import { digitsOf, numberOf } from './grid.js';
import type { Quantiser } from './quantiser.js';

const margin = 1e-3;

/**
 * Each value of z is squeezed by a tanh into a range of Lᵢ whole numbers and rounded; the decoder sees these scaled to
 * [−1, 1]. No loss term: rounding's gradient is passed straight through, tanh's is its own. z [B, h, w, d], d levels.
 */
export function finiteScalars({ bottleneck }: Pick<Stage1Config, 'bottleneck'>): Quantiser {
  const levels = gridLevels(bottleneck);
  const half = levels.map((n) => ((n - 1) * (1 - margin)) / 2);
  /** With an even number of levels there is one more below 0 than above. */
  const offset = levels.map((n) => (n % 2 === 0 ? 0.5 : 0));
  const shift = pairs(offset, half).map(([by, of]) => Math.tan(by / of));
  const width = levels.map((n) => Math.floor(n / 2));

  const squeezed = (z: tf.Tensor) =>
    tf.sub(tf.mul(tf.tanh(tf.add(z, tf.tensor1d(shift))), tf.tensor1d(half)), tf.tensor1d(offset));
  /** No `tf.round`: GPUs have no kernel for it. */
  const rounded = (x: tf.Tensor) => tf.floor(tf.add(x, 0.5));
  const codesOf = (whole: tf.Tensor) => numberOf(tf.add(whole, tf.tensor1d(width)), levels);

  return {
    specs: {},
    learnsByGradient: false,
    candidates: (z) => z,
    encode: (_, z) => codesOf(rounded(squeezed(z))),
    decode: (_, codes) => scaled(tf.sub(digitsOf(codes, levels), tf.tensor1d(width)), width),
    pass(_, z) {
      const bounded = squeezed(z);
      const whole = rounded(bounded);
      return {
        output: scaled(straightThrough(bounded, whole), width),
        codes: codesOf(whole),
        terms: {},
        loss: tf.scalar(0),
      };
    },
  };
}

const scaled = (x: tf.Tensor, width: readonly number[]) => tf.mul(x, tf.tensor1d(width.map((w) => 1 / w)));
