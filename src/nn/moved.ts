/** Images moved by whole pixels, each by its own way, as a product with 0 and 1: it has a gradient on every device. */
import * as tf from '@tensorflow/tfjs-core';

/**
 * x [B, S, S, C] → the same shape: row y of image b is its row `rows` [B, S] at y, int32, and its columns likewise.
 */
export function moved(x: tf.Tensor4D, rows: tf.Tensor, columns: tf.Tensor): tf.Tensor4D {
  const turned = (y: tf.Tensor4D): tf.Tensor4D => tf.transpose(y, [0, 2, 1, 3]);
  return turned(alongRows(turned(alongRows(x, rows)), columns));
}

function alongRows(x: tf.Tensor4D, sources: tf.Tensor): tf.Tensor4D {
  const [batch, size, width, channels] = x.shape;
  const hot = tf.oneHot(tf.reshape(sources, [batch * size]) as tf.Tensor1D, size, 1, 0, 'float32');
  const chosen = tf.matMul(
    tf.reshape(hot, [batch, size, size]),
    tf.reshape(x, [batch, size, width * channels]),
  );
  return tf.reshape(chosen, x.shape);
}
