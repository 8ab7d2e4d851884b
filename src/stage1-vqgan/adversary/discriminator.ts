/** The PatchGAN discriminator (Isola et al., arXiv 1611.07004): one logit for each patch of the image. */
import * as tf from '@tensorflow/tfjs-core';
import { entry } from '../../base/lookup.js';
import type { Stage1Config } from '../../config/schema.js';
import type { Tensors } from '../../engine/device.js';
import { type BatchNorm, batchNorm, batchNormSpecs } from '../../nn/batch-norm.js';
import { type Conv, type ConvWithoutBias, conv, convSpecs } from '../../nn/conv.js';
import { type GroupNorm, groupNorm, groupNormSpecs } from '../../nn/group-norm.js';
import { type Init, type ParamSpec, specsOf, type TensorTree } from '../../nn/params.js';
import { type Direction, directionInit, iterate, spectrallyNormalised } from '../../nn/spectral-norm.js';

export type Discriminator = {
  conv_in: Conv;
  /** All but the last of stride 2. A norm takes a bias away; without one there is a bias. */
  layers: { conv: Conv | ConvWithoutBias; norm?: BatchNorm | GroupNorm }[];
  conv_out: Conv;
};

type Sizes = Pick<Stage1Config['disc'], 'ch' | 'layers' | 'norm'>;

const kernel = 4;
const pad = 1;
const normal: Init = { kind: 'normal', mean: 0, std: 0.02 };

export function discriminatorSpecs({ ch, layers, norm }: Sizes): Discriminator {
  const widthAt = (layer: number) => ch * Math.min(2 ** layer, 8);
  return {
    conv_in: convSpecs(kernel, 3, ch, normal),
    layers: Array.from({ length: layers }, (_, i) => {
      const outputs = widthAt(i + 1);
      const conv = convSpecs(kernel, widthAt(i), outputs, normal);
      if (norm === 'spectral') return { conv };
      const normSpecs = norm === 'batch' ? batchNormSpecs(outputs) : groupNormSpecs(outputs, 32);
      return { conv: { weight: conv.weight }, norm: normSpecs };
    }),
    conv_out: convSpecs(kernel, widthAt(layers), 1, normal),
  };
}

export type Spectrum = ReturnType<typeof spectrum>;

/** The spectral normalisation of a discriminator's filters; of none of them with another `norm`. */
export function spectrum(specs: Discriminator, norm: Sizes['norm']) {
  const filters = Object.entries(specsOf(specs)).filter(
    ([name]) => norm === 'spectral' && name.endsWith('.weight'),
  );
  const mapped = <T>(f: (name: string, spec: ParamSpec) => T): Record<string, T> =>
    Object.fromEntries(filters.map(([name, spec]) => [name, f(name, spec)]));
  return {
    /** Of the vectors u that are kept between updates, by the filters' names. */
    specs: mapped((_, { shape }): ParamSpec => ({ shape: shape.slice(3), init: directionInit })),
    /** One step of power iteration from the vectors `u`. */
    directions: (params: Tensors, u: Tensors) =>
      mapped((name) => iterate(entry(params, name), entry(u, name))),
    /** The parameters with which images are judged. */
    normalised: (params: Tensors, directions: Record<string, Direction>): Tensors => ({
      ...params,
      ...mapped((name) => spectrallyNormalised(entry(params, name), entry(directions, name))),
    }),
  };
}

/**
 * Images [B, S, S, 3] → logits [B, p, p, 1], p = S / 2^layers − 2. BatchNorm, as published, goes by the statistics of
 * this batch; with GroupNorm each image is judged by itself, so that a batch of 1 does; with `spectral` the parameters
 * come normalised (`spectrum`), and there is no other norm.
 */
export function discriminator(params: TensorTree<Discriminator>, images: tf.Tensor): tf.Tensor {
  const normalise = (norm: TensorTree<BatchNorm | GroupNorm> | undefined, x: tf.Tensor) => {
    if (!norm) return x;
    return 'groups' in norm ? groupNorm(norm, x, { swish: false }) : batchNorm(norm, x);
  };
  let x = tf.leakyRelu(conv(params.conv_in, images, { stride: 2, pad }), 0.2);
  params.layers.forEach((layer, i) => {
    const stride = i < params.layers.length - 1 ? 2 : 1;
    x = tf.leakyRelu(normalise(layer.norm, conv(layer.conv, x, { stride, pad })), 0.2);
  });
  return conv(params.conv_out, x, { pad });
}
