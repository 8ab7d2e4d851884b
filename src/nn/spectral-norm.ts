/**
 * Spectral normalisation (Miyato et al., arXiv 1802.05957): a filter divided by σ, the largest singular value of the
 * matrix W [in·k·k, out] that it is. σ is found by power iteration (algorithm 1), one step of it for each update of
 * the filter, from a vector u that is kept between updates.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Init } from './params.js';

/** u starts from N(0, 1): as published. */
export const directionInit: Init = { kind: 'normal', mean: 0, std: 1 };

/** Unit vectors along which W stretches most, as far as the iteration has come. */
export interface Direction {
  /** [out] */
  readonly u: tf.Tensor;
  /** [k, k, in, 1] */
  readonly v: tf.Tensor;
}

/**
 * One step of power iteration: v = W·u / ‖W·u‖, then u = Wᵀ·v / ‖Wᵀ·v‖.
 *
 * @param weight filter [k, k, in, out]
 * @param u [out], of any length but 0
 */
export function iterate(weight: tf.Tensor, u: tf.Tensor): Direction {
  const v = unit(tf.sum(tf.mul(weight, u), 3, true)); // [k, k, in, 1]
  return { u: unit(tf.sum(tf.mul(weight, v), [0, 1, 2])), v };
}

/** σ = vᵀ·W·u, a scalar. By W it has the derivative v·uᵀ: u and v are constants. */
export function largestSingularValue(weight: tf.Tensor, { u, v }: Direction): tf.Tensor {
  return tf.sum(tf.mul(weight, tf.mul(v, u)));
}

/** W / σ */
export function spectrallyNormalised(weight: tf.Tensor, direction: Direction): tf.Tensor {
  return tf.div(weight, largestSingularValue(weight, direction));
}

const unit = (x: tf.Tensor): tf.Tensor => tf.div(x, tf.add(tf.sqrt(tf.sum(tf.square(x))), 1e-12));
