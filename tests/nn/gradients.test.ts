import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { injectGradient, squaredErrorTo, straightThrough, valueAndGradsOf } from '../../src/nn/gradients.js';
import { expectClose } from '../support/close.js';

test('value and gradients by name', () => {
  const { value, grads } = valueAndGradsOf({ a: tf.tensor1d([2, 3]), b: tf.scalar(4) }, ({ a, b }) =>
    tf.sum(tf.mul(tf.square(a), b)),
  );
  expectClose(value, [52]);
  expectClose(grads.a, [16, 24]);
  expectClose(grads.b, [13]);
});

test('an injected gradient passes through what stands below, and adds to others', () => {
  const w = tf.tensor1d([2, 3]);
  const gradient = tf.tensor1d([0.5, -1]);
  const { value, grads } = valueAndGradsOf({ w }, ({ w }) =>
    tf.add(injectGradient(tf.square(w), gradient), tf.sum(w)),
  );
  expectClose(value, [5]); // the injection is worth 0
  expectClose(grads.w, [0.5 * 4 + 1, -1 * 6 + 1]);
});

test('straight-through: the value of q, the gradient of z, nothing for q', () => {
  const at = { z: tf.tensor1d([1, 2]), q: tf.tensor1d([5, 7]) };
  const f = ({ z, q }: typeof at) =>
    tf.add(tf.sum(tf.mul(straightThrough(z, q), [3, 4])), tf.mul(0, tf.sum(q)));
  const { value, grads } = valueAndGradsOf(at, f);
  expectClose(value, [15 + 28]);
  expectClose(grads.z, [3, 4]);
  expectClose(grads.q, [0, 0]);
});

test('squared error: mean over all values, gradient 2(x − t)/n to x and none to the target', () => {
  const at = { x: tf.tensor1d([1, 5]), t: tf.tensor1d([2, 3]) };
  const f = ({ x, t }: typeof at) => tf.add(squaredErrorTo(x, t), tf.mul(0, tf.sum(t)));
  const { value, grads } = valueAndGradsOf(at, f);
  expectClose(value, [2.5]);
  expectClose(grads.x, [-1, 2]);
  expectClose(grads.t, [0, 0]);
});

test('nothing is left behind under tidy', () => {
  const x = tf.tensor1d([1, 2]);
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    valueAndGradsOf({ x }, ({ x }) =>
      tf.add(squaredErrorTo(straightThrough(x, tf.mul(x, 2)), x), injectGradient(x, x)),
    );
  });
  expect(tf.memory().numTensors).toBe(before);
});
