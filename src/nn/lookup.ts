/** Table look-up (token embeddings, codebooks) with a gradient for the table only. */
import * as tf from '@tensorflow/tfjs-core';

/**
 * Rows of a table: `[K, D]` and ids int32 `[...]` give `[..., D]`. The ids may depend on traced tensors: no gradient
 * is asked of them; the table's is the segment sum of dy by id.
 */
export function lookup(table: tf.Tensor2D, ids: tf.Tensor): tf.Tensor {
  const [rows, width] = table.shape;
  const flat = ids.reshape([-1]).toInt() as tf.Tensor1D; // [N]
  const gather = tf.customGrad((t) => {
    const value = tf.gather(t as tf.Tensor2D, flat); // [N, D]
    return {
      value,
      gradFunc: (dy: tf.Tensor) => tf.unsortedSegmentSum(dy.reshape([-1, width]) as tf.Tensor2D, flat, rows),
    };
  });
  return gather(table).reshape([...ids.shape, width]);
}
