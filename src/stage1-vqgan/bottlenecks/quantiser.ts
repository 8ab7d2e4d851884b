/** What turns z into codes: the part of a bottleneck that differs between the kinds with one grid. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensors } from '../../engine/device.js';
import type { Conv } from '../../nn/conv.js';
import type { ParamSpec, TensorTree } from '../../nn/params.js';

/** One pass through a quantiser. */
export interface Quantised {
  /** What the decoder sees, [B, h, w, D]. */
  readonly output: tf.Tensor;
  /** int32 [B, h, w]. */
  readonly codes: tf.Tensor;
  /** Unweighted loss terms, scalars by their names in the metrics; those that the kind has. */
  readonly terms: Tensors;
  /** The terms' weighted sum. */
  readonly loss: tf.Tensor;
}

/**
 * `codebook` [K, D] is absent where codes are the points of a grid; `proj` gives a score for each code, where these
 * are not distances.
 */
export type Parameters = { readonly codebook?: ParamSpec; readonly proj?: Conv };
export type Codebook = { readonly codebook: ParamSpec };

/** @typeParam P the parameters of its kind */
export interface Quantiser<P extends Parameters = Parameters> {
  readonly specs: P;
  /** Whether a gradient moves the codebook; if not, the optimiser knows nothing of it and `pass` gives it none. */
  readonly learnsByGradient: boolean;
  /**
   * z [B, h, w, D]; `active` (scalar 0 or 1, default 1): while 0, nothing is quantised and the codebook's terms are 0.
   */
  pass(params: TensorTree<P>, z: tf.Tensor, active?: tf.Tensor): Quantised;
  /** z [B, h, w, D] → codes int32 [B, h, w], 0 to K − 1. */
  encode(params: TensorTree<P>, z: tf.Tensor): tf.Tensor;
  /** Codes int32 [B, h, w] → [B, h, w, D]. */
  decode(params: TensorTree<P>, codes: tf.Tensor): tf.Tensor;
  /** z [B, h, w, D] as rows of a codebook would have to be to stand for it, same shape. */
  candidates(z: tf.Tensor): tf.Tensor;
}

/** `a` where mask is 1, `b` where it is 0 (mask broadcasts, all values finite): exact, and fixed in shape. */
export function select(mask: tf.Tensor, a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  return tf.add(tf.mul(mask, a), tf.mul(tf.sub(1, mask), b));
}
