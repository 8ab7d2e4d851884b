/**
 * Linear layers that learn from products of 8-bit integers, which many processors compute several times as fast as
 * those of float32. Both factors are rounded when a product is computed; weights, sums and all that lies between
 * products stay in float32.
 */
import * as tf from '@tensorflow/tfjs-core';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';
import type { linear } from './linear.js';

interface Options {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Each row of a in 127 steps on either side of 0 of its own; not with `transposeA` or a bias. */
  readonly byRows?: boolean;
  /** b in two integers, the second of what the first leaves: 254 times as fine. */
  readonly fine?: boolean;
  /** [N], added to every row. */
  readonly bias?: tf.Tensor;
}

/**
 * As `linear`, for x [N, in]. The gradients take the factors rounded as well: dx = dy·Wᵀ, dW = xᵀ·dy. That of the bias
 * is a sum, and exact.
 */
export const int8Linear: typeof linear = ({ weight, bias }, x) =>
  withGradient([x, weight, ...(bias ? [bias] : [])], {
    value: () => int8MatMul(x, weight, { bias }),
    save: [x, weight],
    gradient: (dy, [x, weight]) => [
      int8MatMul(dy, weight, { transposeB: true, byRows: true }),
      int8MatMul(x, dy, { transposeA: true, fine: true }),
      ...(bias ? [tf.sum(dy, 0)] : []),
    ],
  });

/**
 * a [M, K] (or [K, M]) · b [K, N] (or [N, K]) + bias → [M, N], a rounded to 256 steps between its smallest and its largest
 * number and 0 (ONNX's DynamicQuantizeLinear), b to 127 steps on either side of 0. No gradient.
 */
export function int8MatMul(
  a: tf.Tensor,
  b: tf.Tensor,
  { transposeA = false, transposeB = false, byRows = false, fine = false, bias }: Options = {},
): tf.Tensor {
  const inputs = { a, b, ...(bias && { bias }) };
  const [y] = composite('Int8MatMul', inputs, { transposeA, transposeB, byRows, fine }, () => {
    const [left, right] = [byRows ? ofRows(a) : affine(a), symmetric(b, fine)] as [tf.Tensor2D, tf.Tensor2D];
    const product: tf.Tensor = tf.matMul(left, right, transposeA, transposeB);
    return [bias ? tf.add(product, bias) : product];
  });
  return y;
}

/** From its least number or 0 to its largest, 0 being a step of its own, so that zeros stay zeros. */
function affine(x: tf.Tensor): tf.Tensor {
  const [least, most] = [tf.minimum(tf.min(x), 0), tf.maximum(tf.max(x), 0)];
  const range = tf.sub(most, least);
  const step = tf.where(tf.equal(range, 0), tf.onesLike(range), tf.div(range, 255));
  const zero = tf.round(tf.clipByValue(tf.div(tf.neg(least), step), 0, 255));
  const rounded = tf.clipByValue(tf.add(tf.round(tf.div(x, step)), zero), 0, 255);
  return tf.mul(tf.sub(rounded, zero), step);
}

/** In place of 0, by which nothing can be divided. */
const leastStep = 1e-30;

/** The step by which 127 of them are as large as x. @param axis of each row of [M, K]: 1 */
const stepOf = (x: tf.Tensor, axis?: number): tf.Tensor =>
  tf.maximum(tf.div(tf.max(tf.abs(x), axis, true), 127), leastStep);

const inSteps = (x: tf.Tensor, step: tf.Tensor): tf.Tensor =>
  tf.mul(tf.clipByValue(tf.round(tf.div(x, step)), -128, 127), step);

const ofRows = (x: tf.Tensor): tf.Tensor => inSteps(x, stepOf(x, 1));

function symmetric(x: tf.Tensor, fine: boolean): tf.Tensor {
  const step = stepOf(x);
  const first = inSteps(x, step);
  return fine ? tf.add(first, inSteps(tf.sub(x, first), tf.div(step, 254))) : first;
}
