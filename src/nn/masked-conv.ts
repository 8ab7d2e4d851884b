/**
 * Masked convolutions of the gated PixelCNN (van den Oord et al., arXiv 1606.05328, §2.2): the vertical one sees rows
 * up to a pixel's own, the horizontal one its own row up to its own column; with mask A neither sees the pixel's own
 * row or column. What a mask would zero is not computed: the filter is cropped, the image padded on the sides from
 * which it is seen.
 *
 * Images are [B, H, W, C], filters [kh, kw, in, out].
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Conv } from './conv.js';
import { withGradient } from './gradients.js';
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
  const side = stack === 'vertical' ? columns >> 1 : 0;
  const all = { seen: x, far: stack === 'vertical' ? rows - 1 : columns - 1 };
  const { seen, far } = mask === 'A' ? before(stack, x, all.far) : all;
  return tf.fused.conv2d({
    x: seen as tf.Tensor4D,
    filter: cropped(stack, params.weight, mask),
    strides: 1,
    pad:
      stack === 'vertical'
        ? [
            [0, 0],
            [far, 0],
            [side, side],
            [0, 0],
          ]
        : [
            [0, 0],
            [0, 0],
            [far, 0],
            [0, 0],
          ],
    bias: params.bias,
  });
}

/**
 * The image without its last row (vertical) or column, which nothing sees, and how many zeros go before it. Of a
 * single one that of zeros is left.
 */
function before(stack: Stack, x: tf.Tensor, far: number): { seen: tf.Tensor; far: number } {
  const axis = stack === 'vertical' ? 1 : 2;
  const size = x.shape.map((n, i) => (i === axis ? n - 1 : n));
  if (size[axis] === 0) return { seen: tf.mul(x, 0), far: far - 1 };
  return { seen: tf.slice(x, [0, 0, 0, 0], size), far };
}

/**
 * The gate of a layer: x [..., 2C] → y = t·σ with t the tanh of the first C and σ the sigmoid of the last C, [..., C].
 * With u = dy·y its gradients are dy·σ − u·t and u − u·σ: fewer operations than factor by factor.
 */
export function gatedTanh(x: tf.Tensor): tf.Tensor {
  return withGradient([x], {
    value: () => tf.mul(...factors(x)),
    save: [x],
    gradient(dy, [x]) {
      const [t, sigma] = factors(x);
      const u = tf.mul(dy, tf.mul(t, sigma));
      const features = tf.sub(tf.mul(dy, sigma), tf.mul(u, t));
      return [tf.concat([features, tf.sub(u, tf.mul(u, sigma))], -1)];
    },
  });
}

function factors(x: tf.Tensor): [tf.Tensor, tf.Tensor] {
  const [features, gates] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
  return [tf.tanh(features), tf.sigmoid(gates)];
}
