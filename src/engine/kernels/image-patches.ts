/**
 * The filter gradient in few launches, for devices that count them: patches of all taps from one Gather, one product
 * per image, summed.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Shape4 } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import type { Tracer } from '../tracer.js';
import { matmulOverRows } from './matmul.js';

/**
 * Σ over images of patches `[C·taps, P]` · dy `[N, P]`ᵀ, from x `[B, C, H, W]` and dy `[B, N, h, w]` →
 * `[N, C, kh, kw]`.
 */
export function filterGradientOfPatches(
  t: Tracer,
  x: Value,
  dy: Value,
  c: tf.backend_util.Conv2DInfo,
): Value {
  const [batch, into, out] = [c.batchSize, c.inChannels, c.outChannels];
  const area = c.outHeight * c.outWidth;
  const rows = into * c.filterHeight * c.filterWidth;
  const gradient = t.reshape(dy, [batch, out, area]);
  const products = matmulOverRows(
    t,
    t.graph.inFloat32(() => patches(t, x, c)),
    gradient,
    { transB: true },
  ); // [B, C·taps, N]
  const sum =
    batch === 1
      ? t.reshape(products, [rows, out])
      : t.graph.op('ReduceSum', [products, t.graph.ints([0])], { keepdims: 0 }, { shape: [rows, out] });
  const turned = t.graph.op('Transpose', [sum], { perm: [1, 0] }, { shape: [out, rows] });
  return t.reshape(turned, [out, into, c.filterHeight, c.filterWidth]);
}

/** `[B, C·taps, P]`: what lies under each tap at each position of the result. */
function patches(t: Tracer, x: Value, c: tf.backend_util.Conv2DInfo): Value {
  const [batch, into, height, width] = x.shape as Shape4;
  const taps = c.filterHeight * c.filterWidth;
  const area = c.outHeight * c.outWidth;
  const dense = taps === 1 && c.strideHeight === 1 && c.strideWidth === 1;
  if (dense) return t.reshape(x, [batch, into, area]);
  const { top, left, bottom, right } = c.padInfo;
  const [high, wide] = [top + height + bottom, left + width + right];
  const padded =
    high === height && wide === width
      ? x
      : t.graph.op(
          'Pad',
          [x, t.graph.ints([0, 0, top, left, 0, 0, bottom, right])],
          {},
          { shape: [batch, into, high, wide] },
        );
  const geometry = [
    c.outHeight,
    c.outWidth,
    c.filterHeight,
    c.filterWidth,
    c.strideHeight,
    c.strideWidth,
    wide,
  ];
  const index = t.graph.derived(undefined, `pixels under taps ${geometry}`, () =>
    t.graph.constant('int32', [taps * area], pixelsUnderTaps(c, wide)),
  );
  const flat = t.reshape(padded, [batch, into, high * wide]);
  const gathered = t.graph.op('Gather', [flat, index], { axis: 2 }, { shape: [batch, into, taps * area] });
  return t.reshape(gathered, [batch, into * taps, area]);
}

/** For every tap and position the pixel of an image `wide` pixels across, padding included. */
function pixelsUnderTaps(c: tf.backend_util.Conv2DInfo, wide: number): Int32Array {
  const index = new Int32Array(c.filterHeight * c.filterWidth * c.outHeight * c.outWidth);
  let at = 0;
  for (let i = 0; i < c.filterHeight; i++)
    for (let j = 0; j < c.filterWidth; j++)
      for (let y = 0; y < c.outHeight; y++)
        for (let x = 0; x < c.outWidth; x++)
          index[at++] = (y * c.strideHeight + i) * wide + x * c.strideWidth + j;
  return index;
}
