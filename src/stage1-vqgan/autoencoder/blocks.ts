/** What encoder and decoder are built of: residual blocks and, at some resolutions, attention (arXiv 2012.09841). */
import * as tf from '@tensorflow/tfjs-core';
import type { Stage1Config } from '../../config/schema.js';
import { type Conv, conv, convSpecs } from '../../nn/conv.js';
import { type GroupNorm, groupNorm, groupNormSpecs } from '../../nn/group-norm.js';
import { inParts } from '../../nn/in-parts.js';
import type { TensorTree } from '../../nn/params.js';
import {
  type SpatialAttention,
  spatialAttention,
  spatialAttentionSpecs,
} from '../../nn/spatial-attention.js';

/** What a VQGAN's encoder and decoder are made by: side S of an image, and keys of `stage1`. */
export type VqganSizes = { readonly size: number } & Pick<
  Stage1Config,
  'ch' | 'ch_mult' | 'num_res_blocks' | 'attn_resolutions' | 'z_channels' | 'norm_groups'
>;

export type ResBlock = { norm1: GroupNorm; conv1: Conv; norm2: GroupNorm; conv2: Conv; shortcut?: Conv };
export type Block = { res: ResBlock; attention?: SpatialAttention };
export type Middle = { res1: ResBlock; attention: SpatialAttention; res2: ResBlock };

export function resBlockSpecs(inputs: number, outputs: number, groups: number): ResBlock {
  return {
    norm1: groupNormSpecs(inputs, groups),
    conv1: convSpecs(3, inputs, outputs),
    norm2: groupNormSpecs(outputs, groups),
    conv2: convSpecs(3, outputs, outputs),
    ...(inputs !== outputs && { shortcut: convSpecs(1, inputs, outputs) }),
  };
}

/** x [B, H, W, in] → [B, H, W, out]. */
export function resBlock(params: TensorTree<ResBlock>, x: tf.Tensor): tf.Tensor {
  const channels = Math.max(...params.conv1.weight.shape.slice(2));
  return inParts([x], channels, (x) => {
    const y = conv(params.conv1, groupNorm(params.norm1, x, { swish: true }));
    const z = conv(params.conv2, groupNorm(params.norm2, y, { swish: true }));
    return [tf.add(params.shortcut ? conv(params.shortcut, x) : x, z)];
  })[0];
}

export function blockSpecs(
  inputs: number,
  outputs: number,
  o: { attention: boolean; groups: number },
): Block {
  return {
    res: resBlockSpecs(inputs, outputs, o.groups),
    ...(o.attention && { attention: spatialAttentionSpecs(outputs, o.groups) }),
  };
}

/** x [B, H, W, in] → [B, H, W, out]. */
export function block(params: TensorTree<Block>, x: tf.Tensor): tf.Tensor {
  const y = resBlock(params.res, x);
  return params.attention ? spatialAttention(params.attention, y) : y;
}

export function middleSpecs(channels: number, groups: number): Middle {
  return {
    res1: resBlockSpecs(channels, channels, groups),
    attention: spatialAttentionSpecs(channels, groups),
    res2: resBlockSpecs(channels, channels, groups),
  };
}

/** Same shape. */
export function middle(params: TensorTree<Middle>, x: tf.Tensor): tf.Tensor {
  return resBlock(params.res2, spatialAttention(params.attention, resBlock(params.res1, x)));
}
