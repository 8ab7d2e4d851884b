/** Images → what the bottleneck quantises. The published VQGAN encoder (arXiv 2012.09841, appendix). */
import type * as tf from '@tensorflow/tfjs-core';
import { type Conv, conv, convSpecs, imageConv } from '../../nn/conv.js';
import { type GroupNorm, groupNorm, groupNormSpecs } from '../../nn/group-norm.js';
import type { TensorTree } from '../../nn/params.js';
import {
  type Block,
  block,
  blockSpecs,
  type Middle,
  middle,
  middleSpecs,
  type VqganSizes,
} from './blocks.js';

export type Encoder = {
  conv_in: Conv;
  /** One level for each of `ch_mult`, the finest first; all but the last halve the resolution. */
  levels: { blocks: Block[]; down?: Conv }[];
  middle: Middle;
  norm_out: GroupNorm;
  conv_out: Conv;
  /** 1×1, z_channels → what the bottleneck takes; none where it takes these. */
  embed?: Conv;
};

/**
 * @param inputs channels of what it sees. @param outputs channels that the bottleneck takes of them; left out: all as
 * they are
 */
export function encoderSpecs(
  { size, ch, ch_mult, num_res_blocks, attn_resolutions, z_channels, norm_groups: groups }: VqganSizes,
  { inputs, outputs }: { inputs: number; outputs?: number },
): Encoder {
  let channels = ch;
  const levels = ch_mult.map((mult, level) => {
    const attention = attn_resolutions.includes(size >> level);
    const blocks = Array.from({ length: num_res_blocks }, () => {
      const specs = blockSpecs(channels, ch * mult, { attention, groups });
      channels = ch * mult;
      return specs;
    });
    return { blocks, ...(level < ch_mult.length - 1 && { down: convSpecs(3, channels, channels) }) };
  });
  return {
    conv_in: convSpecs(3, inputs, ch),
    levels,
    middle: middleSpecs(channels, groups),
    norm_out: groupNormSpecs(channels, groups),
    conv_out: convSpecs(3, channels, z_channels),
    ...(outputs !== undefined && { embed: convSpecs(1, z_channels, outputs) }),
  };
}

/** What is seen of images, [B, S, S, 3 or 4] about [−1, 1], → z [B, h, w, D], h = w = S / 2^(levels − 1). */
export function encoder(params: TensorTree<Encoder>, images: tf.Tensor): tf.Tensor {
  let x = imageConv(params.conv_in, images);
  for (const { blocks, down } of params.levels) {
    for (const b of blocks) x = block(b, x);
    if (down) x = imageConv(down, x, { stride: 2 });
  }
  const y = groupNorm(params.norm_out, middle(params.middle, x), { swish: true });
  const features = conv(params.conv_out, y);
  return params.embed ? conv(params.embed, features) : features;
}
