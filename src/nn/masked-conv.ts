/**
 * Masked convolutions of the gated PixelCNN (van den Oord et al., arXiv 1606.05328, §2.2): the vertical one sees rows up to a pixel's own,
 * the horizontal one its own row up to its own column; with mask A neither sees the pixel's own row or column. What a mask would zero
 * is not computed: the filter is cropped, the image padded on the sides from which it is seen.
 *
 * Images are [B, H, W, C], filters [kh, kw, in, out].
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Conv } from './conv.js';
import type { ParamSpec, TensorTree } from './params.js';

export type Mask = 'A' | 'B';
export type Stack = 'vertical' | 'horizontal';

/** Rows and columns of a filter, of which mask A leaves out the last row (vertical) or column (horizontal). */
export function filterSize(stack: Stack, kernel: number, mask: Mask = 'B'): [rows: number, columns: number] {
  const half = (kernel >> 1) + (mask === 'B' ? 1 : 0);
  return stack === 'vertical' ? [half, kernel] : [1, half];
}

/** @param kernel odd; weights and bias U(±1/√n) with n inputs of a filter */
export function maskedConvSpecs(
  stack: Stack,
  { kernel, mask }: { kernel: number; mask: Mask },
  inputs: number,
  outputs: number,
): Conv {
  const [rows, columns] = filterSize(stack, kernel, mask);
  const init: ParamSpec['init'] = { kind: 'uniform', bound: 1 / Math.sqrt(inputs * rows * columns) };
  return {
    weight: { shape: [...filterSize(stack, kernel), inputs, outputs], init },
    bias: { shape: [outputs], init },
  };
}

/** The part of the filter that the mask leaves. */
export function cropped(stack: Stack, weight: tf.Tensor, mask: Mask): tf.Tensor4D {
  const [rows, columns, inputs, outputs] = weight.shape as [number, number, number, number];
  if (mask === 'B') return weight as tf.Tensor4D;
  const kept = stack === 'vertical' ? [rows - 1, columns] : [rows, columns - 1];
  return tf.slice(weight, [0, 0, 0, 0], [...kept, inputs, outputs]) as tf.Tensor4D;
}

/** x [B, H, W, in] → [B, H, W, out]. */
export function maskedConv(stack: Stack, params: TensorTree<Conv>, x: tf.Tensor, mask: Mask): tf.Tensor {
  const [rows, columns] = params.weight.shape as [number, number];
  const [above, beside] = stack === 'vertical' ? [rows - 1, columns >> 1] : [0, columns - 1];
  const right = stack === 'vertical' ? beside : 0;
  const filter = cropped(stack, params.weight, mask);
  if (mask === 'B') {
    const pad: tf.backend_util.ExplicitPadding = [
      [0, 0],
      [above, 0],
      [beside, right],
      [0, 0],
    ];
    return tf.fused.conv2d({ x: x as tf.Tensor4D, filter, strides: 1, pad, bias: params.bias });
  }
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const padded = tf.pad(x, [
    [0, 0],
    [above, 0],
    [beside, right],
    [0, 0],
  ]);
  const seen =
    stack === 'vertical'
      ? [batch, height + above - 1, width + 2 * beside, channels]
      : [batch, height, width + beside - 1, channels];
  const shifted = tf.slice(padded, [0, 0, 0, 0], seen) as tf.Tensor4D;
  return tf.fused.conv2d({ x: shifted, filter, strides: 1, pad: 'valid', bias: params.bias });
}

/** The gate of a layer: x [..., 2C] → tanh(first C)·σ(last C), [..., C]. */
export function gatedTanh(x: tf.Tensor): tf.Tensor {
  const [features, gates] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
  return tf.mul(tf.tanh(features), tf.sigmoid(gates));
}
