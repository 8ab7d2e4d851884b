/**
 * MaskGIT's transformer (Chang et al., arXiv 2202.04200): codes of which some are masked → what each may be. Every cell
 * sees all others. Where there are classes a token of the class stands before the codes.
 *
 * Shapes: B canvases, T cells, S tokens (T, and one for the class), K codes, C classes, D width.
 */
import * as tf from '@tensorflow/tfjs-core';
import { firstAxis } from '../../base/tensor.js';
import { selfAttention } from '../../nn/attention.js';
import { type Dropout, noDropout } from '../../nn/dropout.js';
import { layerNorm, layerNormSpecs } from '../../nn/layer-norm.js';
import { linear } from '../../nn/linear.js';
import { lookup } from '../../nn/lookup.js';
import type { ParamSpec, TensorTree } from '../../nn/params.js';
import { blockSpecs, transformer, transformerInit } from '../../nn/transformer.js';

export interface MaskgitSizes {
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  /** K: what is no code is a row of the token table from K on, see `tokens.ts`. */
  readonly codes: number;
  /** C */
  readonly classes: number;
  /** T */
  readonly cells: number;
}

/** S */
export const tokensIn = ({ cells, classes }: MaskgitSizes): number => cells + Number(classes > 0);

export type Maskgit = ReturnType<typeof maskgitSpecs>;

/** Linear and embedding weights N(0, 0.02²), positions and biases 0, layer norms γ 1, β 0. */
export function maskgitSpecs({ layers, width, codes, classes, cells }: MaskgitSizes) {
  const kinds = codes + 1 + (classes > 0 ? classes + 1 : 0);
  return {
    tokens: { weight: { shape: [kinds, width], init: transformerInit } as ParamSpec },
    positions: { shape: [cells, width], init: { kind: 'zeros' } } as ParamSpec,
    blocks: Array.from({ length: layers }, () => blockSpecs(width)),
    norm: layerNormSpecs(width),
    head: { weight: { shape: [width, codes], init: transformerInit } as ParamSpec },
  };
}

/** Weight decay acts on the weights of linear layers only: not on embeddings, positions, biases, layer norms. */
export const decays = (name: string): boolean => /\b(qkv|out|expand|contract|head)\.weight$/.test(name);

/** ids int32 [B, S] → logits [B·T, K] of every cell. */
export function maskgitLogits(
  sizes: MaskgitSizes,
  params: TensorTree<Maskgit>,
  ids: tf.Tensor,
  dropout: Dropout = noDropout,
): tf.Tensor {
  const { width, heads, cells, classes } = sizes;
  const [batch, tokens] = [firstAxis(ids), tokensIn(sizes)];
  const places =
    classes > 0
      ? tf.pad(params.positions as tf.Tensor2D, [
          [1, 0],
          [0, 0],
        ])
      : params.positions;
  const embedded = tf.add(lookup(params.tokens.weight as tf.Tensor2D, ids), places); // [B, S, D]
  const start = dropout(tf.reshape(embedded, [batch * tokens, width]));
  const x = transformer(params.blocks, start, (qkv) => selfAttention(qkv, heads, { tokens }), dropout);
  return linear(params.head, layerNorm(params.norm, ofCells(x)));

  /** [B·S, D] → [B·T, D] */
  function ofCells(x: tf.Tensor): tf.Tensor {
    if (classes === 0) return x;
    const byCanvas = tf.reshape(x, [batch, tokens, width]);
    return tf.reshape(tf.slice(byCanvas, [0, 1, 0], [batch, cells, width]), [batch * cells, width]);
  }
}
