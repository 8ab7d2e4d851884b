/** What the bottleneck lets through → images. The published VQGAN decoder (arXiv 2012.09841, appendix). */
import type * as tf from '@tensorflow/tfjs-core';
import { last } from '../../base/lookup.js';
import { type Conv, conv, convSpecs } from '../../nn/conv.js';
import { type GroupNorm, groupNorm, groupNormSpecs } from '../../nn/group-norm.js';
import { inParts } from '../../nn/in-parts.js';
import type { TensorTree } from '../../nn/params.js';
import { upsampleConv } from '../../nn/upsample-conv.js';
import {
  type Block,
  block,
  blockSpecs,
  type Middle,
  middle,
  middleSpecs,
  type VqganSizes,
} from './blocks.js';

export type Decoder = {
  /** 1×1, what the bottleneck gives → z_channels. */
  embed: Conv;
  conv_in: Conv;
  middle: Middle;
  /** One level for each of `ch_mult`, the coarsest first; all but the last double the resolution. */
  levels: { blocks: Block[]; up?: Conv }[];
  norm_out: GroupNorm;
  conv_out: Conv;
};

/** @param inputs channels that the bottleneck gives. @param outputs those of a picture */
export function decoderSpecs(
  { size, ch, ch_mult, num_res_blocks, attn_resolutions, z_channels, norm_groups: groups }: VqganSizes,
  { inputs, outputs }: { inputs: number; outputs: number },
): Decoder {
  const coarsest = ch * last(ch_mult);
  let channels = coarsest;
  const levels = ch_mult
    .map((mult, level) => ({ mult, level }))
    .reverse()
    .map(({ mult, level }) => {
      const attention = attn_resolutions.includes(size >> level);
      const blocks = Array.from({ length: num_res_blocks + 1 }, () => {
        const specs = blockSpecs(channels, ch * mult, { attention, groups });
        channels = ch * mult;
        return specs;
      });
      return { blocks, ...(level > 0 && { up: convSpecs(3, channels, channels) }) };
    });
  return {
    embed: convSpecs(1, inputs, z_channels),
    conv_in: convSpecs(3, z_channels, coarsest),
    middle: middleSpecs(coarsest, groups),
    levels,
    norm_out: groupNormSpecs(channels, groups),
    conv_out: convSpecs(3, channels, outputs),
  };
}

/** Everything but the last convolution, `conv_out`: q [B, h, w, D] → [B, S, S, ch]. */
export function decoderFeatures(params: TensorTree<Decoder>, q: tf.Tensor): tf.Tensor {
  let x = middle(params.middle, conv(params.conv_in, conv(params.embed, q)));
  for (const { blocks, up } of params.levels) {
    for (const b of blocks) x = block(b, x);
    if (up) x = upsampleConv(up, x);
  }
  const [, , , channels] = x.shape as [number, number, number, number];
  return inParts([x], channels, (x) => [groupNorm(params.norm_out, x, { swish: true })])[0];
}
