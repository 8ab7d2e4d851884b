/** Cross entropy with its gradient in closed form, of whole-number targets and of shares. */

import * as tf from '@tensorflow/tfjs-core';
import { last } from '../base/lookup.js';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';

/**
 * logits [N, K], targets int32 [N] → [N], −log softmax(logits)[target] in nats; dlogits = (softmax − one-hot)·dy.
 *
 * @param o.smoothing share of the target that the first `codes` have alike (label smoothing: Szegedy et al., arXiv
 *   1512.00567, section 7)
 * @param o.codes K unless given
 */
export function crossEntropy(
  logits: tf.Tensor,
  targets: tf.Tensor,
  { smoothing = 0, codes = last(logits.shape) }: { smoothing?: number; codes?: number } = {},
): tf.Tensor {
  const attrs = { smoothing, codes };
  return withGradient([logits], {
    value: () =>
      composite('CrossEntropy', { logits, targets }, attrs, () => {
        const wanted = smoothed(oneHot(targets, logits), attrs);
        return [tf.sub(tf.logSumExp(logits, -1), tf.sum(tf.mul(logits, wanted), -1))];
      })[0],
    save: [logits, targets],
    gradient: (dy, [logits, targets]) => {
      return composite('CrossEntropyGrad', { logits, targets, dy }, attrs, () => {
        const wanted = smoothed(oneHot(targets, logits), attrs);
        return [tf.mul(tf.sub(tf.softmax(logits), wanted), tf.expandDims(dy, -1))];
      });
    },
  });
}

function smoothed(targets: tf.Tensor, { smoothing, codes }: { smoothing: number; codes: number }): tf.Tensor {
  if (smoothing === 0) return targets;
  const alike = Float32Array.from({ length: last(targets.shape) }, (_, code) => Number(code < codes));
  return tf.add(tf.mul(targets, 1 - smoothing), tf.mul(tf.tensor1d(alike), smoothing / codes));
}

/**
 * logits [N, K], targets float32 [N, K] of rows that sum to 1 → [N], −Σ targets·log softmax(logits) in nats; dlogits =
 * (softmax − targets)·dy.
 */
export function softCrossEntropy(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  return withGradient([logits], {
    value: () => tf.sub(tf.logSumExp(logits, -1), tf.sum(tf.mul(logits, targets), -1)),
    save: [logits, targets],
    gradient: (dy, [logits, targets]) => [tf.mul(tf.sub(tf.softmax(logits), targets), tf.expandDims(dy, -1))],
  });
}

const oneHot = (targets: tf.Tensor, logits: tf.Tensor): tf.Tensor =>
  tf.oneHot(targets as tf.Tensor1D, last(logits.shape), 1, 0, 'float32'); // [N, K]
