/** Layer normalisation over the last axis (Ba et al., arXiv 1607.06450), with its gradient in closed form. */
import * as tf from '@tensorflow/tfjs-core';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';
import type { ParamSpec, TensorTree } from './params.js';

export type LayerNorm = { gamma: ParamSpec; beta: ParamSpec };

/** PyTorch's default. */
const epsilon = 1e-5;

export function layerNormSpecs(width: number): LayerNorm {
  return {
    gamma: { shape: [width], init: { kind: 'ones' } },
    beta: { shape: [width], init: { kind: 'zeros' } },
  };
}

/** x [..., D] → γ·(x − mean) / √(variance + 1e-5) + β, same shape. */
export function layerNorm({ gamma, beta }: TensorTree<LayerNorm>, x: tf.Tensor): tf.Tensor {
  return withGradient([x, gamma, beta], {
    value: () =>
      composite('LayerNorm', { x, gamma, beta }, { epsilon }, () => [
        tf.add(tf.mul(standardise(x).xhat, gamma), beta),
      ])[0],
    save: [x, gamma, beta],
    gradient: (dy, [x, gamma, beta]) => {
      const inputs = { x, gamma, beta, dy };
      return composite('LayerNormGrad', inputs, { epsilon }, () => backward(x, gamma, dy));
    },
  });
}

function standardise(x: tf.Tensor): { xhat: tf.Tensor; inverseStd: tf.Tensor } {
  const { mean, variance } = tf.moments(x, -1, true); // [..., 1]
  const inverseStd = tf.rsqrt(tf.add(variance, epsilon));
  return { xhat: tf.mul(tf.sub(x, mean), inverseStd), inverseStd };
}

/** With g = γ·dy: dx = (g − mean(g) − x̂·mean(g·x̂)) / std; dγ = Σ dy·x̂ and dβ = Σ dy over all rows. */
function backward(x: tf.Tensor, gamma: tf.Tensor, dy: tf.Tensor): tf.Tensor[] {
  const { xhat, inverseStd } = standardise(x);
  const g = tf.mul(dy, gamma);
  const centred = tf.sub(g, tf.mean(g, -1, true));
  const dx = tf.mul(tf.sub(centred, tf.mul(xhat, tf.mean(tf.mul(g, xhat), -1, true))), inverseStd);
  const rows = dy.shape.slice(0, -1).map((_, axis) => axis);
  return [dx, tf.sum(tf.mul(dy, xhat), rows), tf.sum(dy, rows)];
}
