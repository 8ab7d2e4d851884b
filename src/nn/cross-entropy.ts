/** Cross entropy with its gradient in closed form, of whole-number targets and of shares. */

import * as tf from '@tensorflow/tfjs-core';
import { last } from '../base/lookup.js';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';

/** logits [N, K], targets int32 [N] → [N], −log softmax(logits)[target] in nats; dlogits = (softmax − one-hot)·dy. */
export function crossEntropy(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  return withGradient([logits], {
    value: () =>
      composite('CrossEntropy', { logits, targets }, {}, () => {
        const chosen = tf.sum(tf.mul(logits, oneHot(targets, logits)), -1); // [N]
        return [tf.sub(tf.logSumExp(logits, -1), chosen)];
      })[0],
    save: [logits, targets],
    gradient: (dy, [logits, targets]) => {
      return composite('CrossEntropyGrad', { logits, targets, dy }, {}, () => [
        tf.mul(tf.sub(tf.softmax(logits), oneHot(targets, logits)), tf.expandDims(dy, -1)),
      ]);
    },
  });
}

/** logits [N, K], targets float32 [N, K] of rows that sum to 1 → [N], −Σ targets·log softmax(logits) in nats; dlogits = (softmax − targets)·dy. */
export function softCrossEntropy(logits: tf.Tensor, targets: tf.Tensor): tf.Tensor {
  return withGradient([logits], {
    value: () => tf.sub(tf.logSumExp(logits, -1), tf.sum(tf.mul(logits, targets), -1)),
    save: [logits, targets],
    gradient: (dy, [logits, targets]) => [tf.mul(tf.sub(tf.softmax(logits), targets), tf.expandDims(dy, -1))],
  });
}

const oneHot = (targets: tf.Tensor, logits: tf.Tensor): tf.Tensor =>
  tf.oneHot(targets as tf.Tensor1D, last(logits.shape), 1, 0, 'float32'); // [N, K]
