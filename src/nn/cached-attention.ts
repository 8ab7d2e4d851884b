/** Attention of one new token to those before it, whose keys and values are given, and to itself. No gradient. */

import * as tf from '@tensorflow/tfjs-core';
import { last } from '../base/lookup.js';
import { composite } from './composite.js';

export interface Past {
  /** Both [B, H, L, E]. */
  readonly keys: tf.Tensor;
  readonly values: tf.Tensor;
  /** [1, 1, 1, L], added to scores. */
  readonly mask: tf.Tensor;
}

/** Softmax(q·kᵀ/√E + mask)·v over L places and the token's own: qkv [B, 3·H·E] → [B, H·E]. L may be free. */
export function cachedAttention(qkv: tf.Tensor, past: Past, heads: number): tf.Tensor {
  return composite('CachedAttention', { qkv, ...past }, { heads }, () => [attend(qkv, past, heads)])[0];
}

function attend(qkv: tf.Tensor, { keys, values, mask }: Past, heads: number): tf.Tensor {
  const [batch, width] = qkv.shape as [number, number];
  const perHead = width / 3 / heads;
  const all = tf.reshape(qkv, [batch, 3 * heads, 1, perHead]);
  const [q, k, v] = tf.split(all, 3, 1) as [tf.Tensor, tf.Tensor, tf.Tensor]; // each [B, H, 1, E]
  const scaled = tf.mul(q, perHead ** -0.5);
  const before = tf.add(tf.matMul(scaled, keys, false, true), mask); // [B, H, 1, L]
  const here = tf.matMul(scaled, k, false, true); // [B, H, 1, 1]
  const weights = tf.softmax(tf.concat([before, here], 3));
  const [weightsBefore, weightHere] = tf.split(weights, [last(mask.shape), 1], 3) as [tf.Tensor, tf.Tensor];
  const mixed = tf.add(tf.matMul(weightsBefore, values), tf.mul(weightHere, v)); // [B, H, 1, E]
  return tf.reshape(mixed, [batch, width / 3]);
}
