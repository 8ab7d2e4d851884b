/** Scaled dot-product attention (Vaswani et al., arXiv 1706.03762). */

import * as tf from '@tensorflow/tfjs-core';
import { last, pairs } from '../base/lookup.js';
import { composite } from './composite.js';
import { withGradient } from './gradients.js';

/**
 * q [N, S, E], k and v [N, T, E] → softmax(q·kᵀ/√E + mask)·v [N, S, E]; N may be several axes.
 *
 * @param mask broadcasts to [N, S, T]
 */
export function attention(q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, mask?: tf.Tensor): tf.Tensor {
  const scaled = tf.mul(q, last(q.shape) ** -0.5);
  const scores = tf.matMul(scaled, k, false, true);
  return mixed(mask ? tf.add(scores, mask) : scores, v);
}

/**
 * P·v with P = softmax(scores): scores [N, S, T], v [N, T, E] → y [N, S, E]. The gradient of the scores, P ∘ (dy·vᵀ −
 * Σ dy∘y), is one product and one pass over [N, S, T], the sums being a further column of dy beside one of ones (the
 * identity Σ P∘dP = Σ dy∘y is Dao et al.'s, arXiv 2205.14135, appendix B.2).
 */
function mixed(scores: tf.Tensor, v: tf.Tensor): tf.Tensor {
  const weights = tf.softmax(scores);
  const y = tf.matMul(weights, v);
  return withGradient([scores, v], {
    value: () => tf.clone(y),
    save: [weights, v, y],
    gradient(dy, [weights, v, y]) {
      const sums = tf.sum(tf.mul(dy, y), -1, true); // [N, S, 1]
      const beside = tf.concat([dy, tf.neg(sums)], -1);
      const ones = tf.onesLike(tf.slice(v, 0, [...v.shape.slice(0, -1), 1]));
      const centred = tf.matMul(beside, tf.concat([v, ones], -1), false, true);
      return [tf.mul(weights, centred), tf.matMul(weights, dy, true)];
    },
  });
}

/** Queries, one part of T after another, with what they may see. */
export interface CausalPart {
  /** S queries. */
  readonly queries: number;
  /** Keys, up to that of the last query. */
  readonly keys: number;
  /** [S, keys], added to scores. */
  readonly mask: tf.Tensor;
}

/**
 * For attention of T tokens, each to those up to itself; made once for all layers. A part of the queries sees the keys
 * up to its own last one, so that with four parts three eighths of the scores are neither computed nor masked.
 *
 * @param least queries of a part: products of fewer are too slow
 */
export function causalParts(tokens: number, least = 256): CausalPart[] {
  const parts = Math.max(1, Math.min(4, Math.floor(tokens / least)));
  const ends = Array.from({ length: parts }, (_, i) => Math.round(((i + 1) * tokens) / parts));
  return ends.map((keys, i) => {
    const queries = keys - (ends[i - 1] ?? 0);
    return { queries, keys, mask: causalMask(queries, keys) };
  });
}

/** q, k, v [N, T, E] → [N, T, E]. */
export function causalAttention(
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  parts: readonly CausalPart[],
): tf.Tensor {
  const [only, another] = parts;
  if (only && !another) return attention(q, k, v, only.mask);
  const sizes = parts.map(({ queries }) => queries);
  const rows = pairs(tf.split(q, sizes, 1), parts).map(([part, { keys, mask }]) =>
    attention(part, upTo(k, keys), upTo(v, keys), mask),
  );
  return tf.concat(rows, 1);
}

/** The first of the rows of x [N, T, E]: [N, rows, E]. */
const upTo = (x: tf.Tensor, rows: number): tf.Tensor => {
  const [n, tokens, e] = x.shape as [number, number, number];
  return rows === tokens ? x : tf.slice(x, [0, 0, 0], [n, rows, e]);
};

/**
 * Attention of every head of sequences of T tokens among themselves: qkv [B·T, 3D] → [B·T, D].
 *
 * @param o.causal of T: every token sees those up to itself; without, all
 */
export function selfAttention(
  qkv: tf.Tensor,
  heads: number,
  { tokens, causal }: { tokens: number; causal?: readonly CausalPart[] },
): tf.Tensor {
  const [rows, columns] = qkv.shape as [number, number];
  const [batch, width] = [rows / tokens, columns / 3];
  const perHead = width / heads;
  const byHead = tf.transpose(tf.reshape(qkv, [batch, tokens, 3, heads, perHead]), [2, 0, 3, 1, 4]);
  const [q, k, v] = thirds(tf.reshape(byHead, [3, batch * heads, tokens, perHead])); // each [B·H, T, E]
  const mixed = causal ? causalAttention(q, k, v, causal) : attention(q, k, v); // [B·H, T, E]
  const byToken = tf.transpose(tf.reshape(mixed, [batch, heads, tokens, perHead]), [0, 2, 1, 3]);
  return tf.reshape(byToken, [rows, width]);
}

/**
 * `selfAttention` without a mask and without a gradient, for drawing: a device may do without writing the scores out.
 *
 * @param tokens T
 */
export function forwardSelfAttention(qkv: tf.Tensor, heads: number, tokens: number): tf.Tensor {
  const [mixed] = composite('SelfAttention', { qkv }, { heads, tokens }, () => [
    selfAttention(qkv, heads, { tokens }),
  ]);
  return mixed;
}

/** [3, …] → its three parts, without the first axis. */
function thirds(qkv: tf.Tensor): [tf.Tensor, tf.Tensor, tf.Tensor] {
  const parts = tf.split(qkv, 3, 0).map((part) => tf.reshape(part, qkv.shape.slice(1)));
  return parts as [tf.Tensor, tf.Tensor, tf.Tensor];
}

/** [S, T], added to the scores of the last S of T tokens: 0 up to the token itself, −10⁹ beyond. */
function causalMask(queries: number, tokens: number): tf.Tensor {
  const mask = Float32Array.from({ length: queries * tokens }, (_, i) =>
    i % tokens > Math.floor(i / tokens) + tokens - queries ? -1e9 : 0,
  );
  return tf.tensor2d(mask, [queries, tokens]);
}
