/** Linear layers: y = x·W + b. */
import * as tf from '@tensorflow/tfjs-core';
import type { Init, ParamSpec } from './params.js';

export type Linear = { weight: ParamSpec; bias: ParamSpec };

/** `weight` [in, out] starts from `init`, `bias` [out] at 0. */
export function linearSpecs(inputs: number, outputs: number, init: Init): Linear {
  return {
    weight: { shape: [inputs, outputs], init },
    bias: { shape: [outputs], init: { kind: 'zeros' } },
  };
}

/** x [..., in] → [..., out], as one matrix product over all rows. Without a bias: `{ weight }`. */
export function linear(params: { weight: tf.Tensor; bias?: tf.Tensor }, x: tf.Tensor): tf.Tensor {
  const [inputs, outputs] = params.weight.shape as [number, number];
  const rows = x.rank === 2 ? x : tf.reshape(x, [-1, inputs]); // [N, in]
  const product = tf.matMul(rows as tf.Tensor2D, params.weight as tf.Tensor2D); // [N, out]
  const y = params.bias ? tf.add(product, params.bias) : product;
  return x.rank === 2 ? y : tf.reshape(y, [...x.shape.slice(0, -1), outputs]);
}
