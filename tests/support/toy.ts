/** The smallest training step that has everything: state of several shapes, inputs, outputs of both types. */
import * as tf from '@tensorflow/tfjs-core';
import { type HostTensors, scalar } from '../../src/base/tensor.js';
import type { StepProgram } from '../../src/engine/device.js';
import { ids, noise } from './parity.js';

/** w += lr · xᵀ·x, n += 1; outputs the sum of w before, and a row of whole numbers. */
export const toyStep: StepProgram = {
  name: 'toy',
  state: {
    w: { shape: [3, 3], dtype: 'float32' },
    filter: { shape: [2, 2, 3, 4], dtype: 'float32' },
    n: { shape: [], dtype: 'float32' },
  },
  inputs: {
    x: { shape: [5, 3], dtype: 'float32' },
    lr: { shape: [], dtype: 'float32' },
    ids: { shape: [4], dtype: 'int32' },
  },
  constants: {},
  step: ({ w, filter, n }, { x, lr, ids }) => ({
    state: {
      w: tf.add(w!, tf.mul(lr!, tf.matMul(x as tf.Tensor2D, x as tf.Tensor2D, true))),
      filter: tf.mul(filter!, 0.5),
      n: tf.add(n!, 1),
    },
    outputs: { sum: tf.sum(w!), doubled: tf.mul(ids!, tf.scalar(2, 'int32')) },
  }),
};

export const toyStart: HostTensors = {
  w: noise([3, 3], 'w'),
  filter: noise([2, 2, 3, 4], 'filter'),
  n: scalar(0),
};

export const toyInputs = (step: number): HostTensors => ({
  x: noise([5, 3], `x ${step}`),
  lr: scalar(0.1),
  ids: ids([4], 9, step),
});
