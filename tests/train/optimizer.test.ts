import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensors } from '../../src/engine/device.js';
import {
  type AdamOptions,
  adamSpecs,
  adamStep,
  clipByGlobalNorm,
  emaStep,
} from '../../src/train/optimizer.js';
import { expectClose } from '../support/close.js';

const options: AdamOptions = { betas: [0.9, 0.99], epsilon: 1e-3, weightDecay: 0, decays: () => true };

/** Runs `grads.length` updates of one parameter, step by step. */
function run(start: number[], grads: number[][], o: AdamOptions, lr = 0.1): Tensors {
  let params: Tensors = { w: tf.tensor1d(start) };
  let state: Tensors = { 'adam.m.w': tf.zerosLike(params.w!), 'adam.v.w': tf.zerosLike(params.w!) };
  grads.forEach((g, i) => {
    ({ params, state } = adamStep(params, { w: tf.tensor1d(g) }, state, tf.scalar(lr), tf.scalar(i + 1), o));
  });
  return { ...params, ...state };
}

test('the moments have the names and shapes of the parameters', () => {
  const spec = { shape: [2, 3], dtype: 'float32' } as const;
  expect(adamSpecs({ 'a.b': spec }, 'disc_adam')).toEqual({
    'disc_adam.m.a.b': spec,
    'disc_adam.v.a.b': spec,
  });
});

test('the first update by hand: m/c1 = g and v/c2 = g², so the change is lr·g/(|g| + ε)', () => {
  const { w, ...state } = run([1, 1], [[0.5, -0.002]], options);
  expectClose(w!, [1 - (0.1 * 0.5) / 0.501, 1 + (0.1 * 0.002) / 0.003]);
  expectClose(state['adam.m.w']!, [0.05, -0.0002]);
  expectClose(state['adam.v.w']!, [0.0025, 4e-8], { atol: 1e-12 });
});

test('the second update by hand', () => {
  // m₂ = 0.9·0.05 + 0.1·1 = 0.145, c₁ = 0.19; v₂ = 0.99·0.0025 + 0.01·1 = 0.012475, c₂ = 0.0199
  const first = 1 - 0.05 / 0.501;
  const change = (0.1 * (0.145 / 0.19)) / (Math.sqrt(0.012475 / 0.0199) + 1e-3);
  expectClose(run([1], [[0.5], [1]], options).w!, [first - change]);
});

test('AdamW decays by lr · weightDecay the parameters it is told to, and no others', () => {
  const grads = [[0.5, 0.5]];
  const decayed = run([2, -4], grads, { ...options, weightDecay: 0.2 }).w!;
  expectClose(decayed, tf.sub(run([2, -4], grads, options).w!, [0.1 * 0.2 * 2, 0.1 * 0.2 * -4]));
  expectClose(
    run([2, -4], grads, { ...options, weightDecay: 0.2, decays: () => false }).w!,
    run([2, -4], grads, options).w!,
    { atol: 0, rtol: 0 },
  );
});

test('clipping scales all gradients by one factor; 0 and small gradients stay as they are', () => {
  const grads = { a: tf.tensor1d([3]), b: tf.tensor2d([[0], [4]]) };
  const clipped = clipByGlobalNorm(grads, 0.5);
  expectClose(clipped.norm, [5]);
  expectClose(clipped.grads.a!, [0.3]);
  expectClose(clipped.grads.b!, tf.tensor2d([[0], [0.4]]));
  expectClose(clipByGlobalNorm(grads, 7).grads.a!, [3], { atol: 0, rtol: 0 });
  expect(clipByGlobalNorm(grads, 0).grads).toBe(grads);
});

test('the average moves by 1 − decay, given as a number or a tensor', () => {
  const average = { w: tf.tensor1d([1, 2]) };
  const params = { w: tf.tensor1d([5, -2]) };
  expectClose(emaStep(average, params, 0.75).w!, [2, 1]);
  expectClose(emaStep(average, params, tf.scalar(0.75)).w!, [2, 1]);
});
