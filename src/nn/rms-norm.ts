/** RMSNorm over the last axis (Zhang & Sennrich, arXiv 1910.07467, section 4), with its gradient in closed form. */
import * as tf from '@tensorflow/tfjs-core';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';
import type { ParamSpec, TensorTree } from './params.js';

export type RmsNorm = { gamma: ParamSpec };

const epsilon = 1e-6;

export const rmsNormSpecs = (width: number): RmsNorm => ({
  gamma: { shape: [width], init: { kind: 'ones' } },
});

/** x [..., D] → γ·x / √(mean of x² + 1e-6), same shape. */
export function rmsNorm({ gamma }: TensorTree<RmsNorm>, x: tf.Tensor): tf.Tensor {
  return withGradient([x, gamma], {
    value: () => composite('RmsNorm', { x, gamma }, { epsilon }, () => [tf.mul(scaled(x).xhat, gamma)])[0],
    save: [x, gamma],
    gradient: (dy, [x, gamma]) =>
      composite('RmsNormGrad', { x, gamma, dy }, { epsilon }, () => backward(x, gamma, dy)),
  });
}

function scaled(x: tf.Tensor): { xhat: tf.Tensor; inverse: tf.Tensor } {
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon)); // [..., 1]
  return { xhat: tf.mul(x, inverse), inverse };
}

/** With g = γ·dy: dx = (g − x̂·mean(g·x̂)) / rms; dγ = Σ dy·x̂ over all rows. */
function backward(x: tf.Tensor, gamma: tf.Tensor, dy: tf.Tensor): tf.Tensor[] {
  const { xhat, inverse } = scaled(x);
  const g = tf.mul(dy, gamma);
  const dx = tf.mul(tf.sub(g, tf.mul(xhat, tf.mean(tf.mul(g, xhat), -1, true))), inverse);
  const rows = dy.shape.slice(0, -1).map((_, axis) => axis);
  return [dx, tf.sum(tf.mul(dy, xhat), rows)];
}
