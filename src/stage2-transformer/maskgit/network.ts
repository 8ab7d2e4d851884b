/**
 * MaskGIT's transformer (Chang et al., arXiv 2202.04200): codes of which some are masked → what each may be. Every
 * cell sees all others. Where there are classes a token of the class stands before the codes.
 *
 * Shapes: B canvases, T cells, S tokens (T, and one for the class), K codes, C classes, D width.
 */
import * as tf from '@tensorflow/tfjs-core';
import { firstAxis } from '../../base/tensor.js';
import { forwardSelfAttention, selfAttention } from '../../nn/attention.js';
import { type Dropout, noDropout } from '../../nn/dropout.js';
import { linear } from '../../nn/linear.js';
import { lookup } from '../../nn/lookup.js';
import type { ParamSpec, TensorTree } from '../../nn/params.js';
import { type Turns, turnsAt } from '../../nn/rotary.js';
import {
  type BlockOptions,
  blockSpecs,
  normed,
  normSpecs,
  transformer,
  transformerInit,
} from '../../nn/transformer.js';

export interface MaskgitSizes extends BlockOptions {
  readonly layers: number;
  /** K: what is no code is a row of the token table from K on, see `tokens.ts`. */
  readonly codes: number;
  /** C */
  readonly classes: number;
  /** T */
  readonly cells: number;
  /** Rotary positions of the S tokens, beside the learned ones: of masks alone, all alike, rotations tell nothing. */
  readonly turns?: Turns;
}

/** S */
export const tokensIn = ({ cells, classes }: MaskgitSizes): number => cells + Number(classes > 0);

export type Maskgit = ReturnType<typeof maskgitSpecs>;

/** Linear and embedding weights N(0, 0.02²), positions and biases 0, norms γ 1, β 0. */
export function maskgitSpecs(o: MaskgitSizes) {
  const { layers, width, codes, classes, cells } = o;
  const kinds = codes + 1 + (classes > 0 ? classes + 1 : 0);
  return {
    tokens: { weight: { shape: [kinds, width], init: transformerInit } as ParamSpec },
    positions: { shape: [cells, width], init: { kind: 'zeros' } } as ParamSpec,
    blocks: Array.from({ length: layers }, () => blockSpecs(o)),
    norm: normSpecs(o),
    head: { weight: { shape: [width, codes], init: transformerInit } as ParamSpec },
  };
}

interface MaskgitMore {
  readonly dropout?: Dropout;
  /** Whether no gradient will be asked for. */
  readonly forward?: boolean;
  /** How the blocks' linear layers multiply. */
  readonly layers?: typeof linear;
}

/**
 * ids int32 [B, S] → logits [B·T, K] of every cell.
 */
export function maskgitLogits(
  sizes: MaskgitSizes,
  params: TensorTree<Maskgit>,
  ids: tf.Tensor,
  { dropout = noDropout, forward = false, layers }: MaskgitMore = {},
): tf.Tensor {
  const { width, heads, cells, classes } = sizes;
  const [batch, tokens] = [firstAxis(ids), tokensIn(sizes)];
  const embedded = lookup(params.tokens.weight as tf.Tensor2D, ids); // [B, S, D]
  const start = dropout(tf.reshape(placed(embedded), [batch * tokens, width]));
  const attend = (qkv: tf.Tensor) =>
    forward ? forwardSelfAttention(qkv, heads, tokens) : selfAttention(qkv, heads, { tokens });
  const turns = sizes.turns && turnsAt(sizes.turns, tokens);
  const x = transformer(sizes, params.blocks, start, attend, { turns, dropout, layers });
  return linear(params.head, normed(params.norm, ofCells(x)));

  /** [B, S, D] with what is learned of where each cell lies. */
  function placed(x: tf.Tensor): tf.Tensor {
    const positions = params.positions as tf.Tensor2D;
    const ofClass: [number, number] = [tokens - cells, 0];
    return tf.add(x, classes > 0 ? tf.pad(positions, [ofClass, [0, 0]]) : positions);
  }

  /** [B·S, D] → [B·T, D] */
  function ofCells(x: tf.Tensor): tf.Tensor {
    if (classes === 0) return x;
    const byCanvas = tf.reshape(x, [batch, tokens, width]);
    return tf.reshape(tf.slice(byCanvas, [0, 1, 0], [batch, cells, width]), [batch * cells, width]);
  }
}
