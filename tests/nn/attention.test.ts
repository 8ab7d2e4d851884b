import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { attention } from '../../src/nn/attention.js';
import { expectClose } from '../support/close.js';

test('softmax(q·kᵀ/√E + mask)·v, by hand', () => {
  const q = tf.tensor3d([[[2, 0, 0, 0]]]); // √4 = 2
  const k = tf.tensor3d([
    [
      [Math.log(3), 0, 0, 0],
      [0, 5, 0, 0],
      [9, 0, 0, 0],
    ],
  ]);
  const v = tf.tensor3d([[[4], [8], [100]]]);
  expectClose(attention(q, k, v, tf.tensor2d([[0, 0, -1e9]])), tf.tensor3d([[[5]]]));
  const all = (3 * 4 + 8 + Math.exp(9) * 100) / (4 + Math.exp(9));
  expectClose(attention(q, k, v), tf.tensor3d([[[all]]]));
});
