/**
 * Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167) by the statistics of the batch, and folded into the
 * convolution before it by statistics that the caller kept. The discriminator is never evaluated and keeps none.
 */
import * as tf from '@tensorflow/tfjs-core';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';
import type { ParamSpec, TensorTree } from './params.js';

export type BatchNorm = { gamma: ParamSpec; beta: ParamSpec };

/** PyTorch's default. */
const epsilon = 1e-5;
const rows = [0, 1, 2];

/** γ from N(1, 0.02²), β 0: the published PatchGAN. */
export function batchNormSpecs(channels: number): BatchNorm {
  return {
    gamma: { shape: [channels], init: { kind: 'normal', mean: 1, std: 0.02 } },
    beta: { shape: [channels], init: { kind: 'zeros' } },
  };
}

/** x [B, H, W, C] → γ·(x − mean) / √(variance + 1e-5) + β, statistics of each channel over B, H and W. */
export function batchNorm({ gamma, beta }: TensorTree<BatchNorm>, x: tf.Tensor): tf.Tensor {
  return withGradient([x, gamma, beta], {
    value: () =>
      composite('BatchNorm', { x, gamma, beta }, { epsilon }, () => [
        tf.add(tf.mul(standardise(x).xhat, gamma), beta),
      ])[0],
    save: [x, gamma],
    gradient: (dy, [x, gamma]) => {
      return composite('BatchNormGrad', { x, gamma, dy }, { epsilon }, () => backward(x, gamma, dy));
    },
  });
}

/**
 * What a layer's evaluation needs beside γ and β: [C] each, of the convolution's outputs over images and positions.
 */
export interface Statistics {
  readonly mean: tf.Tensor;
  readonly variance: tf.Tensor;
}

/** x [B, H, W, C] → its mean and biased variance, [C]. */
export function batchStatistics(x: tf.Tensor): Statistics {
  return tf.moments(x, rows);
}

/** A filter [kh, kw, in, C] without bias, normalised by fixed statistics → one with a bias that does both. */
export function foldBatchNorm(
  filter: tf.Tensor,
  { gamma, beta }: TensorTree<BatchNorm>,
  { mean, variance }: Statistics,
): { weight: tf.Tensor; bias: tf.Tensor } {
  const scale = tf.mul(gamma, tf.rsqrt(tf.add(variance, epsilon)));
  return { weight: tf.mul(filter, scale), bias: tf.sub(beta, tf.mul(mean, scale)) };
}

function standardise(x: tf.Tensor): { xhat: tf.Tensor; inverseStd: tf.Tensor } {
  const { mean, variance } = tf.moments(x, rows, true); // [1, 1, 1, C]
  const inverseStd = tf.rsqrt(tf.add(variance, epsilon));
  return { xhat: tf.mul(tf.sub(x, mean), inverseStd), inverseStd };
}

/** dx = γ·(dy − mean(dy) − x̂·mean(dy·x̂)) / std; dγ = Σ dy·x̂, dβ = Σ dy. */
function backward(x: tf.Tensor, gamma: tf.Tensor, dy: tf.Tensor): tf.Tensor[] {
  const { xhat, inverseStd } = standardise(x);
  const slope = tf.mean(tf.mul(dy, xhat), rows, true);
  const centred = tf.sub(tf.sub(dy, tf.mean(dy, rows, true)), tf.mul(xhat, slope));
  const dx = tf.mul(centred, tf.mul(gamma, inverseStd));
  return [dx, tf.sum(tf.mul(dy, xhat), rows), tf.sum(dy, rows)];
}
