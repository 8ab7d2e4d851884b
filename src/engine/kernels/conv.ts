/**
 * Convolution and its gradients, physically NCHW with OIHW filters.
 *
 * The filter gradient is by definition a convolution of transposed tensors, for which ONNX Runtime's kernels are not
 * made: it is written as matrix products, one per tap over shifted slices at large resolutions, a single one over
 * gathered patches (im2col) at small ones. Where it pays, all three are products over all pixels of the batch
 * (`conv-products.ts`).
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Shape4 } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import { isIdentity, permuteShape } from '../permute.js';
import { filterOrder, NCHW, OIHW, type Sym, type Tracer } from '../tracer.js';
import { type Plan, planOf } from './conv-plan.js';
import * as products from './conv-products.js';
import { filterGradientOfPatches } from './image-patches.js';
import { matmul, matmulOverRows } from './matmul.js';
import { gatherRows, pixelRows, rowOf } from './pixel-rows.js';
import { kernel } from './register.js';

export type ConvInfo = tf.backend_util.Conv2DInfo;

interface ConvAttrs {
  strides: number | [number, number];
  pad: 'valid' | 'same' | number | tf.backend_util.ExplicitPadding;
  dataFormat: 'NHWC' | 'NCHW';
  dilations: number | [number, number];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  activation?: string;
}

function convInfo(attrs: ConvAttrs, x: readonly number[], filter: readonly number[]): ConvInfo {
  if (attrs.dataFormat === 'NCHW') throw new Error('internal: programs are NHWC');
  if (attrs.activation && attrs.activation !== 'linear')
    throw new Error(`internal: FusedConv2D with ${attrs.activation} is not traced`);
  const info = tf.backend_util.computeConv2DInfo(
    x as [number, number, number, number],
    filter as [number, number, number, number],
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
  );
  if (info.dilationHeight !== 1 || info.dilationWidth !== 1)
    throw new Error('internal: dilated convolutions are not traced');
  return info;
}

export const pads = ({ padInfo: p }: ConvInfo): number[] => [p.top, p.left, p.bottom, p.right];
export const strides = (c: ConvInfo): number[] => [c.strideHeight, c.strideWidth];
export const taps = (c: ConvInfo): number => c.filterHeight * c.filterWidth;

/**
 * How a convolution is computed as products, if it is worth it. Where `images` are in the runtime's order, one of 1×1
 * is left to it, which takes them so.
 */
function planFor(t: Tracer, c: ConvInfo, images: readonly Sym[]): Plan | undefined {
  if (t.precision === 'f16' || c.strideHeight !== 1 || c.strideWidth !== 1) return undefined;
  if (taps(c) === 1 && !images.every(({ perm }) => isIdentity(perm))) return undefined;
  const results = t.target.tiles(c);
  return results && planOf(c, results);
}

function convolve(t: Tracer, x: Sym, filter: Sym, bias: Sym | undefined, attrs: ConvAttrs): tf.TensorInfo {
  const c = convInfo(attrs, x.shape, filter.shape);
  const plan = planFor(t, c, [x]);
  if (plan) {
    const offsets = bias && t.reshape(t.plain(bias), [c.outChannels]);
    return t.out(products.convolution(t, plan, x, filter, offsets), c.outShape, 'float32');
  }
  const value = t.target.convolution(t.graph, {
    image: t.as(x, NCHW),
    filters: t.as(filter, OIHW),
    bias: bias && t.reshape(t.plain(bias), [c.outChannels]),
    options: { kernel_shape: [c.filterHeight, c.filterWidth], strides: strides(c), pads: pads(c) },
    shape: [c.batchSize, c.outChannels, c.outHeight, c.outWidth],
  });
  return t.out(value, c.outShape, 'float32', NCHW);
}
kernel('Conv2D', ['x', 'filter'], (t, { x, filter }, attrs: ConvAttrs) =>
  convolve(t, x, filter, undefined, attrs),
);
kernel('FusedConv2D', ['x', 'filter'], (t, { x, filter, bias }, attrs: ConvAttrs) =>
  convolve(t, x, filter, bias, attrs),
);

kernel(
  'Conv2DBackpropInput',
  ['dy', 'filter'],
  (t, { dy, filter }, attrs: ConvAttrs & { inputShape: number[] }) => {
    const c = convInfo(attrs, attrs.inputShape, filter.shape);
    const plan = planFor(t, c, [dy]);
    if (plan) return t.out(products.imageGradient(t, plan, dy, filter), attrs.inputShape, 'float32');
    const shape: Shape4 = [c.batchSize, c.inChannels, c.inHeight, c.inWidth];
    const gradient = t.as(dy, NCHW);
    const weights = t.as(filter, OIHW);
    const [high, wide] = [c.filterHeight, c.filterWidth];
    const [top, left, bottom, right] = pads(c) as [number, number, number, number];
    if (c.strideHeight === 1 && c.strideWidth === 1) {
      const full = [high - 1 - top, wide - 1 - left, high - 1 - bottom, wide - 1 - right];
      if (full.every((n) => n >= 0)) {
        const options = { kernel_shape: [high, wide], strides: [1, 1], pads: full };
        const filters = flipped(t, weights, c);
        const value = t.target.convolution(t.graph, { image: gradient, filters, options, shape });
        return t.out(value, attrs.inputShape, 'float32', NCHW);
      }
    }
    const short = (n: number, out: number, stride: number, k: number, before: number, after: number) =>
      n - ((out - 1) * stride + k - before - after);
    const onnx = {
      kernel_shape: [high, wide],
      strides: strides(c),
      pads: pads(c),
      output_padding: [
        short(c.inHeight, c.outHeight, c.strideHeight, high, top, bottom),
        short(c.inWidth, c.outWidth, c.strideWidth, wide, left, right),
      ],
    };
    return t.out(
      t.graph.op('ConvTranspose', [gradient, weights], onnx, { shape }),
      attrs.inputShape,
      'float32',
      NCHW,
    );
  },
);

/** Filters `[out, in, kh, kw]` → `[in, out, kh, kw]` with both spatial axes reversed. */
function flipped(t: Tracer, weights: Value, c: ConvInfo): Value {
  const [out, into, n] = [c.outChannels, c.inChannels, taps(c)];
  const constant = t.graph.initializers.get(weights.name);
  if (constant) {
    return t.graph.derived(constant, 'flipped', () => {
      const data = new Float32Array(constant.data.length);
      for (let o = 0; o < out; o++)
        for (let i = 0; i < into; i++)
          for (let k = 0; k < n; k++)
            data[(i * out + o) * n + (n - 1 - k)] = constant.data[(o * into + i) * n + k] as number;
      return t.graph.constant('float32', [into, out, c.filterHeight, c.filterWidth], data);
    });
  }
  const swapped = t.graph.op(
    'Transpose',
    [t.reshape(weights, [out, into, n])],
    { perm: [1, 0, 2] },
    { shape: [into, out, n] },
  );
  const reversed = n === 1 ? swapped : matmul(t, swapped, orderOfTaps(t, n, true));
  return t.reshape(reversed, [into, out, c.filterHeight, c.filterWidth]);
}

/**
 * A matrix that leaves rows of n taps as they are, or reverses them: exact, and such a small product takes 0.09 ms for
 * 256 × 256 filters where a Slice with steps of −1 takes 1.2. As the second factor of a transposed first it also is a
 * Transpose that ONNX Runtime does not push through the optimiser.
 */
function orderOfTaps(t: Tracer, n: number, reversed: boolean): Value {
  return t.graph.derived(undefined, `${reversed ? 'reversed' : 'plain'} order of ${n}`, () => {
    const data = new Float32Array(n * n);
    for (let i = 0; i < n; i++) data[i * n + (reversed ? n - 1 - i : i)] = 1;
    return t.graph.constant('float32', [n, n], data);
  });
}

/** Largest output area (pixels) for which patches are gathered; above it slices are shifted. */
const PATCHES_UP_TO = 256;

kernel('Conv2DBackpropFilter', ['x', 'dy'], (t, { x, dy }, attrs: ConvAttrs & { filterShape: number[] }) => {
  const c = convInfo(attrs, x.shape, attrs.filterShape);
  const order = filterOrder(attrs.filterShape);
  const inOrder = (value: Value) =>
    t.out(t.reshape(value, permuteShape(attrs.filterShape, order)), attrs.filterShape, 'float32', order);
  const plan = planFor(t, c, [x, dy]);
  if (plan) return inOrder(products.filterGradient(t, plan, x, dy));
  const byTap = c.outHeight * c.outWidth > PATCHES_UP_TO || taps(c) === 1;
  const image = t.later(x);
  const value = t.target.patchesAlways
    ? filterGradientOfPatches(t, t.as(image, NCHW), t.as(dy, NCHW), c)
    : byTap
      ? fromShiftedSlices(t, image, dy, c)
      : fromPatches(t, image, dy, c);
  return inOrder(value);
});

/** Σ over images of dy `[N, P]` · x `[C, P]`ᵀ, each shifted for the tap → `[N, C, kh, kw]`. */
function fromShiftedSlices(t: Tracer, x: Sym, dy: Sym, c: ConvInfo): Value {
  const [batch, into, out] = [c.batchSize, c.inChannels, c.outChannels];
  const { images, gradients } = shifts(c)(t, t.as(x, NCHW), t.as(dy, NCHW), c);
  const sums = Array.from({ length: taps(c) }, (_, tap) => {
    const products = matmulOverRows(t, gradients(tap), images(tap), { transB: true }); // [B, N, C]
    if (batch === 1) return t.reshape(products, [out, into, 1]);
    const sum = t.graph.op(
      'ReduceSum',
      [products, t.graph.ints([0])],
      { keepdims: 0 },
      { shape: [out, into] },
    );
    return t.reshape(sum, [out, into, 1]);
  });
  const all =
    sums.length === 1 ? sums[0]! : t.graph.op('Concat', sums, { axis: 2 }, { shape: [out, into, taps(c)] });
  return t.reshape(all, [out, into, c.filterHeight, c.filterWidth]);
}

/** For each tap (counted row by row) images `[B, C, P]` and gradients `[B, N, P]` whose product it is. */
interface Shifted {
  images(tap: number): Value;
  gradients(tap: number): Value;
}

/** How a convolution's taps are shifted. */
function shifts(c: ConvInfo): (t: Tracer, image: Value, dy: Value, c: ConvInfo) => Shifted {
  const both = (stride: number) => c.strideHeight === stride && c.strideWidth === stride;
  if (both(1)) return shiftedApart;
  return both(2) && c.inHeight % 2 === 0 && c.inWidth % 2 === 0 && taps(c) > 1 ? phases : windows;
}

/**
 * For stride 1: the image is shifted by rows, the gradient by columns, both in the frame of the image's rows of W
 * pixels; what leaves the frame is cut off, zeros come in. A row of taps shares one copy of the image, a column of
 * taps one of the gradient, and the taps in the middle take both as they are.
 */
function shiftedApart(t: Tracer, image: Value, dy: Value, c: ConvInfo): Shifted {
  const [batch, into, out] = [c.batchSize, c.inChannels, c.outChannels];
  const flat = t.reshape(image, [batch, into, c.inHeight * c.inWidth]);
  return {
    images(tap) {
      const rows = Math.floor(tap / c.filterWidth) - c.padInfo.top;
      const last = c.outHeight + rows - c.inHeight;
      return pad(t, flat, [0, 0, -rows * c.inWidth], [0, 0, last * c.inWidth]);
    },
    gradients(tap) {
      const columns = (tap % c.filterWidth) - c.padInfo.left;
      const shifted = pad(t, dy, [0, 0, 0, columns], [0, 0, 0, c.inWidth - c.outWidth - columns]);
      return t.reshape(shifted, [batch, out, c.outHeight * c.inWidth]);
    },
  };
}

/**
 * For stride 2 on images of even sides: under a tap lie the even or the odd rows and columns of the image, moved by
 * whole steps. Four quarters of the image serve all taps.
 */
function phases(t: Tracer, image: Value, dy: Value, c: ConvInfo): Shifted {
  const [batch, into, out] = [c.batchSize, c.inChannels, c.outChannels];
  const quarters = t.target.quarters(t.graph, image);
  const area = c.outHeight * c.outWidth;
  const halved = (offset: number) => ({ odd: Math.abs(offset) % 2, moved: Math.floor(offset / 2) });
  return {
    images(tap) {
      const row = halved(Math.floor(tap / c.filterWidth) - c.padInfo.top);
      const column = halved((tap % c.filterWidth) - c.padInfo.left);
      const [below, right] = [row.moved + c.outHeight, column.moved + c.outWidth];
      const behind = [0, 0, below - c.inHeight / 2, right - c.inWidth / 2];
      const quarter = quarters[2 * row.odd + column.odd]!;
      const moved = pad(t, quarter, [0, 0, -row.moved, -column.moved], behind);
      return t.reshape(moved, [batch, into, area]);
    },
    gradients: () => t.reshape(dy, [batch, out, area]),
  };
}

/** For any stride: the pixels under each tap, gathered row by row. */
function windows(t: Tracer, image: Value, dy: Value, c: ConvInfo): Shifted {
  const { top, left, bottom, right } = c.padInfo;
  const source = pad(t, image, [0, 0, top, left], [0, 0, bottom, right]);
  const shape = [c.batchSize, c.inChannels, c.outHeight, c.outWidth];
  const area = c.outHeight * c.outWidth;
  return {
    images(tap) {
      const [i, j] = [Math.floor(tap / c.filterWidth), tap % c.filterWidth];
      const end = [i + (c.outHeight - 1) * c.strideHeight + 1, j + (c.outWidth - 1) * c.strideWidth + 1];
      const range = [[i, j], end, [2, 3], strides(c)].map((values) => t.graph.ints(values));
      return t.reshape(t.graph.op('Slice', [source, ...range], {}, { shape }), [
        c.batchSize,
        c.inChannels,
        area,
      ]);
    },
    gradients: () => t.reshape(dy, [c.batchSize, c.outChannels, area]),
  };
}

/** Zeros before and behind each axis; where a number is negative, as many entries are cut off. */
function pad(t: Tracer, value: Value, before: readonly number[], behind: readonly number[]): Value {
  if ([...before, ...behind].every((n) => n === 0)) return value;
  const shape = value.shape.map((n, axis) => before[axis]! + n + behind[axis]!);
  return t.graph.op('Pad', [value, t.graph.ints([...before, ...behind])], {}, { shape });
}

/** dy `[B·P, N]`ᵀ · patches `[B·P, taps·C]`, the patches gathered from the rows of x and one row of zeros. */
function fromPatches(t: Tracer, x: Sym, dy: Sym, c: ConvInfo): Value {
  const [into, out] = [c.inChannels, c.outChannels];
  const positions = c.batchSize * c.outHeight * c.outWidth;
  const geometry = [c.inShape.slice(0, 3), c.outShape.slice(1, 3), c.filterHeight, strides(c), pads(c)];
  const index = t.graph.derived(undefined, `patches ${geometry} × ${c.filterWidth}`, () =>
    t.graph.constant('int32', [positions * taps(c)], patchRows(c)),
  );
  const patches = gatherRows(t, pixelRows(t, x), index);
  const gradient = t.reshape(t.plain(dy), [positions, out]);
  const columns = t.reshape(patches, [positions, taps(c) * into]);
  const products = matmulOverRows(t, gradient, columns, { transA: true }); // [N, taps·C]
  const byTap = t.reshape(products, [out, taps(c), into]);
  const turned = matmul(t, byTap, orderOfTaps(t, taps(c), false), { transA: true });
  return t.reshape(turned, [out, into, c.filterHeight, c.filterWidth]);
}

/**
 * For every output position and tap the row of x `[B·H·W]` under it; outside the image the row of zeros behind the
 * last.
 */
function patchRows(c: ConvInfo): Int32Array {
  const index = new Int32Array(c.batchSize * c.outHeight * c.outWidth * taps(c));
  const image = c.inShape.slice(0, 3) as [number, number, number];
  let at = 0;
  for (let b = 0; b < c.batchSize; b++)
    for (let oy = 0; oy < c.outHeight; oy++)
      for (let ox = 0; ox < c.outWidth; ox++)
        for (let i = 0; i < c.filterHeight; i++)
          for (let j = 0; j < c.filterWidth; j++) {
            const y = oy * c.strideHeight + i - c.padInfo.top;
            index[at++] = rowOf(image, [b, y, ox * c.strideWidth + j - c.padInfo.left]);
          }
  return index;
}
