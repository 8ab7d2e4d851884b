/**
 * Enlargement by two and the 3×3 convolution behind it, as four 2×2 convolutions of the small image.
 *
 * Every other row of the result sees the same small rows twice: its three filter rows fall on two of them, and those
 * that fall on the same add up. So an even row needs rows i − 1 and i of the small image, an odd one i and i + 1;
 * columns alike. That is 16 products for four results where the plain form has 36 (the sub-pixel view of W. Shi et
 * al., arXiv 1609.05158 and 1609.07009).
 */
import * as tf from '@tensorflow/tfjs-core';
import { composite } from './composite.js';
import type { Conv } from './conv.js';
import { withGradient } from './gradients.js';
import type { TensorTree } from './params.js';

/** How three filter rows add up to two, for even and odd rows of the result. */
const merged = [
  [
    [1, 0, 0],
    [0, 1, 1],
  ],
  [
    [1, 1, 0],
    [0, 0, 1],
  ],
] as const;

/** (row, column) of each of the four results under a pixel. */
const phases = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
] as const;

/**
 * The convolution (3×3, padding `same`) of the image enlarged by nearest neighbour: x [B, H, W, in] → [B, 2H, 2W,
 * out].
 */
export function upsampleConv(params: TensorTree<Conv>, x: tf.Tensor): tf.Tensor {
  const [, , inputs, outputs] = params.weight.shape as [number, number, number, number];
  const taps = tf.reshape(tf.transpose(params.weight, [3, 2, 0, 1]), [outputs * inputs, 9]);
  const results = phases.map(([row, column]) => {
    const four = tf.matMul(taps as tf.Tensor2D, merging(row, column)); // [out·in, 2·2]
    const filter = tf.transpose(tf.reshape(four, [outputs, inputs, 2, 2]), [2, 3, 1, 0]) as tf.Tensor4D;
    const pad: [[number, number], [number, number], [number, number], [number, number]] = [
      [0, 0],
      [1 - row, row],
      [1 - column, column],
      [0, 0],
    ];
    return tf.fused.conv2d({ x: x as tf.Tensor4D, filter, strides: 1, pad, bias: params.bias });
  });
  return interleave(results);
}

/** [9, 4]: the 3×3 taps that make each of the 2×2. */
function merging(row: 0 | 1, column: 0 | 1): tf.Tensor2D {
  const values = new Float32Array(36);
  for (const [r, down] of merged[row].entries())
    for (const [c, across] of merged[column].entries())
      for (const [i, a] of down.entries())
        for (const [j, b] of across.entries()) values[(3 * i + j) * 4 + 2 * r + c] = a * b;
  return tf.tensor2d(values, [9, 4]);
}

/** Four images [B, H, W, C], in the order of `phases` → [B, 2H, 2W, C]. */
function interleave(images: readonly tf.Tensor[]): tf.Tensor {
  const [first, second, third, fourth] = images as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const [batch, height, width, channels] = first.shape as [number, number, number, number];
  return withGradient(images, {
    value: () =>
      composite('Interleave', Object.fromEntries(images.entries()), {}, () => {
        const rows = [
          [first, second],
          [third, fourth],
        ].map((pair) => tf.reshape(tf.stack(pair, 3), [batch, height, 2 * width, channels]));
        return [tf.reshape(tf.stack(rows, 2), [batch, 2 * height, 2 * width, channels])];
      })[0],
    gradient: (dy) =>
      composite('InterleaveGrad', { dy }, {}, () => {
        const parts = tf.reshape(dy, [batch * height, 2, width, 2 * channels]);
        return phases.map(([row, column]) =>
          tf.reshape(tf.slice(parts, [0, row, 0, column * channels], [-1, 1, -1, channels]), first.shape),
        );
      }),
  });
}
