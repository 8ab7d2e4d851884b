/** Table look-up (token embeddings, codebooks) with a gradient for the table only. */
import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './gradients.js';

/**
 * Rows of a table: `[K, D]` and ids int32 `[...]` give `[..., D]`. The ids may depend on traced tensors: no gradient
 * is asked of them; the table's is the segment sum of dy by id.
 */
export function lookup(table: tf.Tensor2D, ids: tf.Tensor): tf.Tensor {
  const [rows, width] = table.shape;
  const flat = tf.reshape(ids, [-1]) as tf.Tensor1D; // [N]
  const rowsOf = withGradient([table], {
    value: () => tf.gather(table, flat), // [N, D]
    save: [flat],
    gradient: (dy, [flat]) => [tf.unsortedSegmentSum(tf.reshape(dy, [-1, width]), flat as tf.Tensor1D, rows)],
  });
  return tf.reshape(rowsOf, [...ids.shape, width]);
}
