/**
 * Blocks of a transformer with the norms before its two branches (Radford et al., GPT-2, section 2.3). What they
 * attend to is their caller's affair; norms, hidden units and what is done to queries and keys are options, whose
 * defaults are GPT-2's (with exact GELU).
 *
 * Shapes: N rows (tokens of all sequences), D width, H heads, E = D/H. Weights are [in, out].
 */
import * as tf from '@tensorflow/tfjs-core';
import { type Dropout, noDropout } from './dropout.js';
import { feedForward, feedForwardSpecs, type Mlp } from './feed-forward.js';
import { type LayerNorm, layerNorm, layerNormSpecs } from './layer-norm.js';
import { linear, linearSpecs } from './linear.js';
import type { Init, TensorTree } from './params.js';
import { type RmsNorm, rmsNorm, rmsNormSpecs } from './rms-norm.js';
import { type Turns, turned } from './rotary.js';

export const transformerInit: Init = { kind: 'normal', mean: 0, std: 0.02 };

export interface BlockOptions {
  /** D. */
  readonly width: number;
  /** H, a divisor of D. */
  readonly heads: number;
  /** Of all norms; `layer` unless given. */
  readonly norm?: 'layer' | 'rms';
  /** `gelu` unless given. */
  readonly mlp?: Mlp;
  /** RMSNorm of each head's queries and keys (after Henry et al., arXiv 2010.04245), which bounds their products. */
  readonly qk_norm?: boolean;
}

export type Block = ReturnType<typeof blockSpecs>;

/** Linear weights N(0, 0.02²), biases 0, norms γ 1, β 0. */
export function blockSpecs(o: BlockOptions) {
  const { width, heads, mlp = 'gelu', qk_norm = false } = o;
  const ofHead = (): RmsNorm => rmsNormSpecs(width / heads);
  return {
    norm1: normSpecs(o),
    qkv: linearSpecs(width, 3 * width, transformerInit),
    ...(qk_norm && { query_norm: ofHead(), key_norm: ofHead() }),
    out: linearSpecs(width, width, transformerInit),
    norm2: normSpecs(o),
    ...feedForwardSpecs(width, mlp, transformerInit),
  };
}

/** Of the norm that blocks have, for the one behind the last. */
export const normSpecs = ({
  norm = 'layer',
  width,
}: Pick<BlockOptions, 'norm' | 'width'>): LayerNorm | RmsNorm =>
  norm === 'layer' ? layerNormSpecs(width) : rmsNormSpecs(width);

/** x [..., D]. */
export const normed = (params: TensorTree<LayerNorm | RmsNorm>, x: tf.Tensor): tf.Tensor =>
  'beta' in params ? layerNorm(params, x) : rmsNorm(params, x);

/** Weight decay acts on the weights of linear layers only: not on embeddings, positions, biases, norms. */
export const decays = (name: string): boolean => /\b(qkv|out|expand|contract|head)\.weight$/.test(name);

/** Activations that dropout acts on: the embeddings and each block's two residual branches. */
export const dropoutSites = ({ layers }: { layers: number }): number => 1 + 2 * layers;

interface TransformerMore {
  /** Rotary positions of the rows, as `turned` takes them; none unless given. */
  readonly turns?: Turns<tf.Tensor>;
  /** Acts on each branch. */
  readonly dropout?: Dropout;
  /** How linear layers multiply; `linear` unless given. */
  readonly layers?: typeof linear;
}

/**
 * x [N, D] → [N, D] through all blocks.
 *
 * @param o the options of their specs
 * @param attend what a layer's queries, keys and values [N, 3D] make of what each row may see, [N, D]; queries and
 *   keys
 *   are normed and turned already, so that a cache keeps them as they are
 */
export function transformer(
  o: BlockOptions,
  blocks: readonly TensorTree<Block>[],
  x: tf.Tensor,
  attend: (qkv: tf.Tensor, layer: number) => tf.Tensor,
  { turns, dropout = noDropout, layers = linear }: TransformerMore = {},
): tf.Tensor {
  let y = x;
  for (const [layer, block] of blocks.entries()) {
    const qkv = layers(block.qkv, normed(block.norm1, y));
    y = tf.add(y, dropout(layers(block.out, attend(placed(o, block, qkv, turns), layer))));
    y = tf.add(y, dropout(feedForward(block, normed(block.norm2, y), o.mlp ?? 'gelu', layers)));
  }
  return y;
}

/** Queries, keys and values [N, 3D] with the first two normed, then turned: [N, 3D]. */
function placed(
  { heads }: BlockOptions,
  { query_norm, key_norm }: TensorTree<Block>,
  qkv: tf.Tensor,
  turns: Turns<tf.Tensor> | undefined,
): tf.Tensor {
  if (!query_norm && !turns) return qkv;
  const [rows, width] = qkv.shape as [number, number];
  const byHead = tf.reshape(qkv, [rows, 3 * heads, width / 3 / heads]);
  const [both, v] = tf.split(byHead, [2 * heads, heads], 1) as [tf.Tensor, tf.Tensor]; // [N, 2H, E], [N, H, E]
  const scaled = query_norm && key_norm ? normedHeads(both, [query_norm, key_norm]) : both;
  return tf.reshape(tf.concat([turns ? turned(scaled, turns) : scaled, v], 1), [rows, width]);
}

/** Queries and keys [N, 2H, E]. */
function normedHeads(
  both: tf.Tensor,
  [query, key]: readonly [TensorTree<RmsNorm>, TensorTree<RmsNorm>],
): tf.Tensor {
  const [q, k] = tf.split(both, 2, 1) as [tf.Tensor, tf.Tensor];
  return tf.concat([rmsNorm(query, q), rmsNorm(key, k)], 1);
}
