/**
 * Blocks of a transformer with the norms before its two branches (Radford et al., GPT-2, section 2.3; exact GELU). What
 * they attend to is their caller's affair.
 *
 * Shapes: N rows (tokens of all sequences), D width. Weights are [in, out].
 */
import * as tf from '@tensorflow/tfjs-core';
import { type Dropout, noDropout } from './dropout.js';
import { gelu } from './gelu.js';
import { layerNorm, layerNormSpecs } from './layer-norm.js';
import { linear, linearSpecs } from './linear.js';
import type { Init, TensorTree } from './params.js';

export const transformerInit: Init = { kind: 'normal', mean: 0, std: 0.02 };

export type Block = ReturnType<typeof blockSpecs>;

/** Linear weights N(0, 0.02²), biases 0, layer norms γ 1, β 0. */
export function blockSpecs(width: number) {
  return {
    norm1: layerNormSpecs(width),
    qkv: linearSpecs(width, 3 * width, transformerInit),
    out: linearSpecs(width, width, transformerInit),
    norm2: layerNormSpecs(width),
    expand: linearSpecs(width, 4 * width, transformerInit),
    contract: linearSpecs(4 * width, width, transformerInit),
  };
}

/** Activations that dropout acts on: the embeddings and each block's two residual branches. */
export const dropoutSites = ({ layers }: { layers: number }): number => 1 + 2 * layers;

/**
 * x [N, D] → [N, D] through all blocks.
 *
 * @param attend what a layer's queries, keys and values [N, 3D] make of what each row may see, [N, D]
 * @param dropout acts on each branch
 */
export function transformer(
  blocks: readonly TensorTree<Block>[],
  x: tf.Tensor,
  attend: (qkv: tf.Tensor, layer: number) => tf.Tensor,
  dropout: Dropout = noDropout,
): tf.Tensor {
  let y = x;
  for (const [layer, block] of blocks.entries()) {
    const mixed = attend(linear(block.qkv, layerNorm(block.norm1, y)), layer);
    y = tf.add(y, dropout(linear(block.out, mixed)));
    y = tf.add(y, dropout(feedForward(block, y)));
  }
  return y;
}

/** [N, D] → [N, D] through 4·D hidden units. */
const feedForward = (block: TensorTree<Block>, x: tf.Tensor): tf.Tensor =>
  linear(block.contract, gelu(linear(block.expand, layerNorm(block.norm2, x))));
