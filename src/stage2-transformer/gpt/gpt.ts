/**
 * The prior over code sequences: a GPT with pre-layer-norm blocks, learned positions and exact GELU, as
 * taming-transformers trains it (Esser et al., arXiv 2012.09841; layout after Radford et al., GPT-2). A start token
 * stands before the first code, one for each class where there are classes; logits are over the K codes only.
 *
 * Shapes: B sequences, T tokens, K codes, C classes, D width, H heads, E = D/H, N = B·T rows. Weights are [in, out].
 */
import * as tf from '@tensorflow/tfjs-core';
import { must } from '../../base/lookup.js';
import { causalMask, selfAttention } from '../../nn/attention.js';
import { cachedAttention } from '../../nn/cached-attention.js';
import { type Dropout, noDropout } from '../../nn/dropout.js';
import { layerNorm, layerNormSpecs } from '../../nn/layer-norm.js';
import { linear } from '../../nn/linear.js';
import { lookup } from '../../nn/lookup.js';
import type { ParamSpec, TensorTree } from '../../nn/params.js';
import { blockSpecs, transformer, transformerInit } from '../../nn/transformer.js';

export interface GptSizes {
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  /** K: what begins a sequence is a row of the token table from K on, see `sequences.ts`. */
  readonly codes: number;
  /** C; none unless given. */
  readonly classes?: number;
  /** T, length of a sequence. */
  readonly tokens: number;
}

export type Gpt = ReturnType<typeof gptSpecs>;

/** Linear and embedding weights N(0, 0.02²), positions and biases 0, layer norms γ 1, β 0. */
export function gptSpecs({ layers, width, codes, classes = 0, tokens }: GptSizes) {
  return {
    tokens: { weight: { shape: [codes + 1 + classes, width], init: transformerInit } as ParamSpec },
    positions: { shape: [tokens, width], init: { kind: 'zeros' } } as ParamSpec,
    blocks: Array.from({ length: layers }, () => blockSpecs(width)),
    norm: layerNormSpecs(width),
    head: { weight: { shape: [width, codes], init: transformerInit } as ParamSpec },
  };
}

/** Weight decay acts on the weights of linear layers only: not on embeddings, positions, biases, layer norms. */
export const decays = (name: string): boolean => /\b(qkv|out|expand|contract|head)\.weight$/.test(name);

/** ids int32 [B, T] (the start token, then codes) → logits [B, T, K] for the code that follows each. */
export function gptLogits(
  o: GptSizes,
  params: TensorTree<Gpt>,
  ids: tf.Tensor,
  dropout: Dropout = noDropout,
): tf.Tensor {
  const [batch, tokens] = ids.shape as [number, number];
  const embedded = tf.add(lookup(params.tokens.weight as tf.Tensor2D, ids), params.positions); // [B, T, D]
  const mask = causalMask(tokens);
  const start = dropout(tf.reshape(embedded, [batch * tokens, o.width])); // [N, D]
  const x = transformer(
    params.blocks,
    start,
    (qkv) => selfAttention(qkv, o.heads, { tokens, mask }),
    dropout,
  );
  return tf.reshape(readOut(params, x), [batch, tokens, o.codes]);
}

/** What one step of next-token sampling needs; `keys` and `values` hold a tensor [B, H, L, E] for each layer. */
export interface CachedInputs {
  /** int32 [B]: the token before the one to draw. */
  readonly ids: tf.Tensor;
  /** int32 [1]: its place in the sequence, the start token being 0. */
  readonly position: tf.Tensor;
  /** [1, 1, 1, L]: 0 for places before `position`, −10⁹ for those that are not filled yet. */
  readonly mask: tf.Tensor;
  readonly keys: readonly tf.Tensor[];
  readonly values: readonly tf.Tensor[];
}

/**
 * `gptLogits` for one place, from cached keys and values: logits [B, K], and each layer's query, key and value [B,
 * 3D].
 */
export function cachedStep(
  o: GptSizes,
  params: TensorTree<Gpt>,
  { ids, position, mask, keys, values }: CachedInputs,
): { logits: tf.Tensor; qkv: tf.Tensor[] } {
  const all: tf.Tensor[] = [];
  const logits = nextLogits(params, { ids, position }, (qkv, layer) => {
    all.push(qkv);
    return cachedAttention(
      qkv,
      { keys: must(keys[layer], 'keys'), values: must(values[layer], 'values'), mask },
      o.heads,
    );
  });
  return { logits, qkv: all };
}

/**
 * `gptLogits` for one place, [B, K]. `attend` gives what a layer's queries, keys and values [B, 3D] make of the
 * places up to this one, [B, D].
 */
export function nextLogits(
  params: TensorTree<Gpt>,
  { ids, position }: Pick<CachedInputs, 'ids' | 'position'>,
  attend: (qkv: tf.Tensor, layer: number) => tf.Tensor,
): tf.Tensor {
  const place = tf.gather(params.positions as tf.Tensor2D, position as tf.Tensor1D); // [1, D]
  const x = tf.add(lookup(params.tokens.weight as tf.Tensor2D, ids), place); // [B, D]
  return readOut(params, transformer(params.blocks, x, attend));
}

/** [N, D] → logits [N, K]. */
const readOut = (params: TensorTree<Gpt>, x: tf.Tensor): tf.Tensor =>
  linear(params.head, layerNorm(params.norm, x));
