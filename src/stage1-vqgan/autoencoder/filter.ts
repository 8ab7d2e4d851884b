/**
 * What a decoder's pictures may pass at last (`stage1.filter: photo`): nothing that changes from each pixel to the
 * next gets through, and colour only as fine as photographs have it, which is half as fine as brightness.
 *
 * Filters that double a picture's size leave a checkerboard of two pixels (Odena et al., "Deconvolution and
 * Checkerboard Artifacts", Distill 2016), and no loss sees coloured noise between neighbours well: photographs, most of
 * them JPEG files, hold colour at half the resolution. Behind each such filter StyleGAN2 (arXiv 1912.04958) has a blur
 * for the same reason. Along rows and columns, with s = sin²(ω / 2), which is 1 for a change from pixel to pixel,
 * colour is multiplied by (1 − s)², [1 4 6 4 1] / 16, and luma by 1 − s², [−1 4 10 4 −1] / 16.
 */
import * as tf from '@tensorflow/tfjs-core';

const lumaOf = [0.299, 0.587, 0.114];

/** x [B, H, W, 3] → the same shape; beyond its border a picture goes on as it is there. */
export function photoFilter(x: tf.Tensor): tf.Tensor {
  const luma = tf.sum(tf.mul(x, tf.tensor1d(lumaOf)), -1, true);
  let colour = tf.sub(x, luma);
  let brightness: tf.Tensor = luma;
  for (const axis of [1, 2]) {
    for (let twice = 0; twice < 2; twice++) colour = tf.add(colour, tf.mul(bent(colour, axis), 1 / 4));
    brightness = tf.sub(brightness, tf.mul(bent(bent(brightness, axis), axis), 1 / 16));
  }
  return tf.add(brightness, colour);
}

/** Second differences along an axis: x₋ − 2x + x₊, which is −4s·x. */
function bent(x: tf.Tensor, axis: number): tf.Tensor {
  const n = x.shape[axis]!;
  const part = (from: number, length: number): tf.Tensor =>
    tf.slice(
      x,
      x.shape.map((_, i) => (i === axis ? from : 0)),
      x.shape.map((whole, i) => (i === axis ? length : whole)),
    );
  const before = tf.concat([part(0, 1), part(0, n - 1)], axis);
  const after = tf.concat([part(1, n - 1), part(n - 1, 1)], axis);
  return tf.add(tf.sub(before, tf.mul(x, 2)), after);
}
