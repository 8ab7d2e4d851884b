/**
 * Self-attention of one head over the positions of an image, with a residual connection (arXiv 2012.09841, fig. 2).
 */
import * as tf from '@tensorflow/tfjs-core';
import { attention } from './attention.js';
import { type Conv, conv, convSpecs } from './conv.js';
import { type GroupNorm, groupNorm, groupNormSpecs } from './group-norm.js';
import type { TensorTree } from './params.js';

export type SpatialAttention = { norm: GroupNorm; query: Conv; key: Conv; value: Conv; out: Conv };

export function spatialAttentionSpecs(channels: number, groups: number): SpatialAttention {
  const projection = () => convSpecs(1, channels, channels);
  return {
    norm: groupNormSpecs(channels, groups),
    query: projection(),
    key: projection(),
    value: projection(),
    out: projection(),
  };
}

/** x [B, H, W, C] → x + out(softmax(q·kᵀ/√C)·v), same shape. */
export function spatialAttention(params: TensorTree<SpatialAttention>, x: tf.Tensor): tf.Tensor {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const y = groupNorm(params.norm, x, { swish: false });
  const positions = (p: TensorTree<Conv>) => tf.reshape(conv(p, y), [batch, height * width, channels]);
  const mixed = attention(positions(params.query), positions(params.key), positions(params.value)); // [B, H·W, C]
  return tf.add(x, conv(params.out, tf.reshape(mixed, x.shape)));
}
