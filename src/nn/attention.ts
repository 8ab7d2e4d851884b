/** Scaled dot-product attention (Vaswani et al., arXiv 1706.03762). */
import * as tf from '@tensorflow/tfjs-core';

/**
 * q [N, S, E], k and v [N, T, E] → softmax(q·kᵀ/√E + mask)·v [N, S, E]; N may be several axes.
 *
 * @param mask broadcasts to [N, S, T]
 */
export function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask?: tf.Tensor): tf.Tensor {
  const scaled = tf.mul(q, q.shape.at(-1)! ** -0.5);
  const scores = tf.matMul(scaled, k, false, true);
  return tf.matMul(tf.softmax(mask ? tf.add(scores, mask) : scores), v);
}
