/**
 * Group normalisation (Wu and He, arXiv 1803.08494), with swish x·σ(x) behind it where wanted, as one composite with
 * its gradient in closed form.
 */
import * as tf from '@tensorflow/tfjs-core';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';
import type { ParamSpec, TensorTree } from './params.js';

export type GroupNorm = { gamma: ParamSpec; beta: ParamSpec; groups: number };

/** As the published VQGAN has it. */
const epsilon = 1e-6;

/** @param groups at most; where there are fewer channels, each is a group of its own */
const groupsOf = (channels: number, groups: number) => Math.min(groups, channels);

export function groupNormSpecs(channels: number, groups: number): GroupNorm {
  return {
    groups: groupsOf(channels, groups),
    gamma: { shape: [channels], init: { kind: 'ones' } },
    beta: { shape: [channels], init: { kind: 'zeros' } },
  };
}

/**
 * x [B, H, W, C] → same shape; C a multiple of `groups`, biased variance over the positions and channels of a group.
 */
export function groupNorm(
  { gamma, beta, groups }: TensorTree<GroupNorm>,
  x: tf.Tensor,
  { swish }: { swish: boolean },
): tf.Tensor {
  const attrs = { groups, epsilon, swish };
  return withGradient([x, gamma, beta], {
    value: () =>
      composite('GroupNorm', { x, gamma, beta }, attrs, () => [forward(x, gamma, beta, attrs).y])[0],
    save: [x, gamma, beta],
    gradient: (dy, [x, gamma, beta]) => {
      const inputs = { x, gamma, beta, dy };
      return composite('GroupNormGrad', inputs, attrs, () => backward(inputs, attrs));
    },
  });
}

interface Norm {
  readonly groups: number;
  readonly swish: boolean;
}

/** u = γ·x̂ + β, y = u or u·σ(u). */
function forward(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, { groups, swish }: Norm) {
  const grouped = byGroup(x, groups); // [B, H·W, G, C/G]
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
  { x, gamma, beta, dy }: Record<'x' | 'gamma' | 'beta' | 'dy', tf.Tensor>,
  norm: Norm,
): tf.Tensor[] {
  const { groups, swish } = norm;
  const { xhat, inverseStd, u } = forward(x, gamma, beta, norm);
  const s = tf.sigmoid(u);
  const du = swish ? tf.mul(dy, tf.mul(s, tf.add(1, tf.mul(u, tf.sub(1, s))))) : dy;
  const g = byGroup(tf.mul(du, gamma), groups);
  const normal = byGroup(xhat, groups);
  const slope = tf.mean(tf.mul(g, normal), [1, 3], true); // [B, 1, G, 1]
  const centred = tf.sub(tf.sub(g, tf.mean(g, [1, 3], true)), tf.mul(normal, slope));
  const dx = tf.reshape(tf.mul(centred, inverseStd), x.shape);
  return [dx, tf.sum(tf.mul(du, xhat), [0, 1, 2]), tf.sum(du, [0, 1, 2])];
}

/** [B, H, W, C] → [B, H·W, G, C/G]: neighbouring channels make a group. */
function byGroup(x: tf.Tensor, groups: number): tf.Tensor {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  return tf.reshape(x, [batch, height * width, groups, channels / groups]);
}
