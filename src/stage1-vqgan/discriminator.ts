/** The PatchGAN discriminator (Isola et al., arXiv 1611.07004): one logit for each patch of the image. */
import * as tf from '@tensorflow/tfjs-core';
import type { Config, Stage1Config } from '../config/schema.js';
import { type BatchNorm, batchNorm, batchNormSpecs } from '../nn/batch-norm.js';
import { type Conv, type ConvWithoutBias, conv, convSpecs } from '../nn/conv.js';
import { type GroupNorm, groupNorm, groupNormSpecs } from '../nn/group-norm.js';
import type { Init, TensorTree } from '../nn/params.js';

export type Discriminator = {
  conv_in: Conv;
  /** All but the last of stride 2. */
  layers: { conv: ConvWithoutBias; norm: BatchNorm | GroupNorm }[];
  conv_out: Conv;
};

const kernel = 4;
const pad = 1;
const normal: Init = { kind: 'normal', mean: 0, std: 0.02 };

export function discriminatorSpecs({ stage1: { disc } }: Config): Discriminator {
  const widths = Array.from({ length: disc.layers + 1 }, (_, n) => disc.ch * Math.min(2 ** n, 8));
  return {
    conv_in: convSpecs(kernel, 3, disc.ch, normal),
    layers: widths.slice(1).map((outputs, i) => ({
      conv: { weight: convSpecs(kernel, widths[i]!, outputs, normal).weight },
      norm: disc.norm === 'batch' ? batchNormSpecs(outputs) : groupNormSpecs(outputs),
    })),
    conv_out: convSpecs(kernel, widths.at(-1)!, 1, normal),
  };
}

/**
 * Images [B, S, S, 3] → logits [B, p, p, 1], p = S / 2^layers − 2. BatchNorm, as published, goes by the statistics of this batch; with GroupNorm
 * each image is judged by itself, so that a batch of 1 does.
 */
export function discriminator(
  params: TensorTree<Discriminator>,
  images: tf.Tensor,
  kind: Stage1Config['disc']['norm'] = 'batch',
): tf.Tensor {
  const normalise = (norm: TensorTree<BatchNorm | GroupNorm>, x: tf.Tensor) =>
    kind === 'batch' ? batchNorm(norm, x) : groupNorm(norm, x, { swish: false });
  let x = tf.leakyRelu(conv(params.conv_in, images, { stride: 2, pad }), 0.2);
  params.layers.forEach((layer, i) => {
    const stride = i < params.layers.length - 1 ? 2 : 1;
    x = tf.leakyRelu(normalise(layer.norm, conv(layer.conv, x, { stride, pad })), 0.2);
  });
  return conv(params.conv_out, x, { pad });
}
