/** Import for its effect: TF.js's `cpu` backend, the oracle of the tests, without its banner. */
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';

tf.env().set('PROD', true);

/** The same number without an iterator and an array of coordinates: they are most of a convolution's time there. */
tf.TensorBuffer.prototype.get = function (this: tf.TensorBuffer<tf.Rank>, ...at: number[]) {
  let index = 0;
  for (let axis = 0; axis < at.length; axis++) {
    if (!(at[axis]! >= 0 && at[axis]! < this.shape[axis]!))
      throw new RangeError(`${at} lies outside of [${this.shape}]`);
    index += at[axis]! * (this.strides[axis] ?? 1);
  }
  return this.values[index]!;
} as typeof tf.TensorBuffer.prototype.get;
