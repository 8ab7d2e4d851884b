/**
 * Group normalisation (Wu and He, arXiv 1803.08494), with swish x·σ(x) behind it where wanted, as one composite with
 * its gradient in closed form.
 */
import * as tf from '@tensorflow/tfjs-core';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';
import type { ParamSpec, TensorTree } from './params.js';

export type GroupNorm = { gamma: ParamSpec; beta: ParamSpec };

/** As the published VQGAN has it. */
const epsilon = 1e-6;
export const groupsOf = (channels: number) => Math.min(32, channels);

export function groupNormSpecs(channels: number): GroupNorm {
  return {
    gamma: { shape: [channels], init: { kind: 'ones' } },
    beta: { shape: [channels], init: { kind: 'zeros' } },
  };
}

/** x [B, H, W, C] → same shape; min(32, C) groups, biased variance over the positions and channels of a group. */
export function groupNorm(
  { gamma, beta }: TensorTree<GroupNorm>,
  x: tf.Tensor,
  { swish }: { swish: boolean },
): tf.Tensor {
  const attrs = { groups: groupsOf(x.shape[3]!), epsilon, swish };
  return withGradient([x, gamma, beta], {
    value: () =>
      composite('GroupNorm', { x, gamma, beta }, attrs, () => [forward(x, gamma, beta, swish).y])[0]!,
    save: [x, gamma, beta],
    gradient: (dy, saved) => {
      const [x, gamma, beta] = saved as [tf.Tensor, tf.Tensor, tf.Tensor];
      const inputs = { x, gamma, beta, dy };
      return composite('GroupNormGrad', inputs, attrs, () => backward(x, gamma, beta, dy, swish));
    },
  });
}

/** u = γ·x̂ + β, y = u or u·σ(u). */
function forward(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, swish: boolean) {
  const grouped = byGroup(x); // [B, H·W, G, C/G]
  const { mean, variance } = tf.moments(grouped, [1, 3], true); // [B, 1, G, 1]
  const inverseStd = tf.rsqrt(tf.add(variance, epsilon));
  const xhat = tf.reshape(tf.mul(tf.sub(grouped, mean), inverseStd), x.shape);
  const u = tf.add(tf.mul(xhat, gamma), beta);
  return { xhat, inverseStd, u, y: swish ? tf.mul(u, tf.sigmoid(u)) : u };
}

/**
 * With du = dy·(σ + u·σ·(1 − σ)) for swish, else dy, and g = γ·du:
 * dx = (g − mean(g) − x̂·mean(g·x̂)) / std, means over a group; dγ = Σ du·x̂, dβ = Σ du over images and positions.
 */
function backward(
  x: tf.Tensor,
  gamma: tf.Tensor,
  beta: tf.Tensor,
  dy: tf.Tensor,
  swish: boolean,
): tf.Tensor[] {
  const { xhat, inverseStd, u } = forward(x, gamma, beta, swish);
  const s = tf.sigmoid(u);
  const du = swish ? tf.mul(dy, tf.mul(s, tf.add(1, tf.mul(u, tf.sub(1, s))))) : dy;
  const g = byGroup(tf.mul(du, gamma));
  const normal = byGroup(xhat);
  const slope = tf.mean(tf.mul(g, normal), [1, 3], true); // [B, 1, G, 1]
  const centred = tf.sub(tf.sub(g, tf.mean(g, [1, 3], true)), tf.mul(normal, slope));
  const dx = tf.reshape(tf.mul(centred, inverseStd), x.shape);
  return [dx, tf.sum(tf.mul(du, xhat), [0, 1, 2]), tf.sum(du, [0, 1, 2])];
}

/** [B, H, W, C] → [B, H·W, G, C/G]: neighbouring channels make a group. */
function byGroup(x: tf.Tensor): tf.Tensor {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const groups = groupsOf(channels);
  return tf.reshape(x, [batch, height * width, groups, channels / groups]);
}
