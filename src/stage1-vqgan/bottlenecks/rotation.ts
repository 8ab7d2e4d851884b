/**
 * The rotation trick: Fifty et al., "Restructuring Vector Quantization with the Rotation Trick", arXiv 2410.06424, §4.
 */
import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from '../../nn/gradients.js';

/** Lengths below it count as this much: a vector of zeros has no direction. */
const shortest = 1e-6;

/**
 * The value of `q`, read as λRz: R the rotation of z onto q in the plane of both, λ = ‖q‖ / ‖z‖, both taken as
 * constants. With unit vectors ẑ, q̂ and r along ẑ + q̂, R = I − 2rrᵀ + 2q̂ẑᵀ (eq. 4 there), so z gets
 * λRᵀdy = λ(dy − 2r(r·dy) + 2ẑ(q̂·dy)); q gets nothing. Where q = z this is dy.
 *
 * @param z [..., D]
 * @param q of z's shape
 */
export function rotated(z: tf.Tensor, q: tf.Tensor): tf.Tensor {
  return withGradient([z], {
    value: () => tf.clone(q),
    save: [z, q],
    gradient(dy, saved) {
      const [z, q] = saved as [tf.Tensor, tf.Tensor];
      const from = unit(z);
      const to = unit(q);
      const between = unit(tf.add(from, to));
      const along = (direction: tf.Tensor) => tf.sum(tf.mul(direction, dy), -1, true); // [..., 1]
      const turned = tf.add(
        tf.sub(dy, tf.mul(between, tf.mul(2, along(between)))),
        tf.mul(from, tf.mul(2, along(to))),
      );
      return [tf.mul(turned, tf.div(length(q), length(z)))];
    },
  });
}

/** [..., D] → [..., 1]. */
const length = (x: tf.Tensor) => tf.maximum(tf.sqrt(tf.sum(tf.square(x), -1, true)), shortest);
const unit = (x: tf.Tensor) => tf.div(x, length(x));
