import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { attention, causalAttention, causalParts } from '../../src/nn/attention.js';
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

test.each([
  { heads: 1, queries: 3, keys: 5, length: 2 },
  { heads: 4, queries: 6, keys: 6, length: 8 },
])('its gradient is that of the plain composition', ({ heads, queries, keys, length }) => {
  const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed);
  const q = random([heads, queries, length], 1);
  const k = random([heads, keys, length], 2);
  const v = random([heads, keys, length], 3);
  const dy = random([heads, queries, length], 4);
  const mask = tf.tensor2d(
    Array.from({ length: queries }, (_, i) => Array.from({ length: keys }, (_, j) => (j > i ? -1e9 : 0))),
  );
  const plain = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) => {
    const scores = tf.matMul(tf.mul(q, length ** -0.5), k, false, true);
    return tf.matMul(tf.softmax(tf.add(scores, mask)), v);
  };
  const ours = tf.grads((q, k, v) => attention(q as tf.Tensor, k as tf.Tensor, v as tf.Tensor, mask));
  const wanted = tf.grads((q, k, v) => plain(q as tf.Tensor, k as tf.Tensor, v as tf.Tensor));
  const [got, expected] = [ours([q, k, v], dy), wanted([q, k, v], dy)];
  for (const [i, gradient] of got.entries()) expectClose(gradient, expected[i] as tf.Tensor);
});

test('causal attention in parts: how many, and value and gradients those of one', () => {
  const rows = (tokens: number, least?: number) => causalParts(tokens, least).map(({ queries }) => queries);
  expect([rows(511), rows(512), rows(4096).length, rows(10, 3)]).toEqual([[511], [256, 256], 4, [3, 4, 3]]);
  const random = (seed: number) => tf.randomNormal([2, 10, 4], 0, 1, 'float32', seed);
  const [q, k, v, dy] = [random(1), random(2), random(3), random(4)] as const;
  const inParts = (least: number) => {
    const parts = causalParts(10, least);
    const f = (...[q, k, v]: tf.Tensor[]) => causalAttention(q!, k!, v!, parts);
    return [f(q, k, v), ...tf.grads((...qkv) => f(...(qkv as tf.Tensor[])))([q, k, v], dy)];
  };
  const whole = inParts(10);
  for (const [i, tensor] of inParts(3).entries()) expectClose(tensor, whole[i]!);
});
