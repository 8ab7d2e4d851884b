/** Pools, their gradients, and images interleaved, physically NCHW. */
import * as tf from '@tensorflow/tfjs-core';
import type { Shape4 } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import { NCHW, type Sym, type Tracer } from '../tracer.js';
import { type ConvInfo, pads, strides, taps } from './conv.js';
import { matmul } from './matmul.js';
import { kernel, kernelOfMany } from './register.js';

interface PoolAttrs {
  filterSize: number | [number, number];
  strides: number | [number, number];
  pad: 'valid' | 'same' | number;
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

function poolInfo(attrs: PoolAttrs, shape: readonly number[]): ConvInfo {
  return tf.backend_util.computePool2DInfo(
    shape as [number, number, number, number],
    attrs.filterSize,
    attrs.strides,
    1,
    attrs.pad,
    attrs.dimRoundingMode,
  );
}

function pool(t: Tracer, op: string, x: Sym, attrs: PoolAttrs): tf.TensorInfo {
  const c = poolInfo(attrs, x.shape);
  const onnx = { kernel_shape: [c.filterHeight, c.filterWidth], strides: strides(c), pads: pads(c) };
  const shape = [c.batchSize, c.outChannels, c.outHeight, c.outWidth];
  return t.out(t.graph.op(op, [t.as(x, NCHW)], onnx, { shape }), c.outShape, x.dtype, NCHW);
}
kernel('MaxPool', ['x'], (t, { x }, attrs: PoolAttrs) => pool(t, 'MaxPool', x, attrs));
kernel('AvgPool', ['x'], (t, { x }, attrs: PoolAttrs) => pool(t, 'AveragePool', x, attrs));

/** Pools whose windows do not overlap; pixels at the bottom and right that no window reaches have gradient 0. */
function disjoint(name: string, attrs: PoolAttrs, shape: readonly number[]): ConvInfo {
  const c = poolInfo(attrs, shape);
  if (c.strideHeight !== c.filterHeight || c.strideWidth !== c.filterWidth || pads(c).some((n) => n !== 0)) {
    throw new Error(`internal: ${name} is traced only for windows that do not overlap`);
  }
  return c;
}

/** The part of an image that windows reach: [B, C, H, W] without a rest at the bottom and right. */
function reached(t: Tracer, image: Value, c: ConvInfo): Value {
  const [down, across] = [c.outHeight * c.filterHeight, c.outWidth * c.filterWidth];
  if (down === c.inHeight && across === c.inWidth) return image;
  const ends = [t.graph.ints([0, 0]), t.graph.ints([down, across]), t.graph.ints([2, 3])];
  return t.graph.op('Slice', [image, ...ends], {}, { shape: [c.batchSize, c.inChannels, down, across] });
}

/** The reverse of `reached`: zeros for the rest. */
function withRest(t: Tracer, part: Value, c: ConvInfo): Value {
  const [, , height, width] = part.shape as Shape4;
  const [down, across] = [c.inHeight - height, c.inWidth - width];
  if (down === 0 && across === 0) return part;
  const shape = [c.batchSize, c.inChannels, c.inHeight, c.inWidth];
  return t.graph.op('Pad', [part, t.graph.ints([0, 0, 0, 0, 0, 0, down, across])], {}, { shape });
}

kernel('AvgPoolGrad', ['dy', 'input'], (t, { dy, input }, attrs: PoolAttrs) => {
  const around = poolInfo(attrs, input.shape);
  if (atEveryPixel(around, attrs)) {
    // A pixel lies in the windows around the pixels of its own.
    const { filterHeight, filterWidth } = around;
    const onnx = { kernel_shape: [filterHeight, filterWidth], pads: pads(around), count_include_pad: 1 };
    const value = t.as(dy, NCHW);
    return t.out(
      t.graph.op('AveragePool', [value], onnx, { shape: value.shape }),
      input.shape,
      'float32',
      NCHW,
    );
  }
  const c = disjoint('AvgPoolGrad', attrs, input.shape);
  const spread = enlarge(t, t.as(dy, NCHW), c.filterHeight, c.filterWidth);
  const scaled = t.graph.op('Mul', [spread, t.graph.float(1 / taps(c))], {}, { shape: spread.shape });
  return t.out(withRest(t, scaled, c), input.shape, 'float32', NCHW);
});

/** Windows of odd sides around every pixel of an image. */
function atEveryPixel(c: ConvInfo, { pad }: PoolAttrs): boolean {
  return c.strideHeight === 1 && c.strideWidth === 1 && taps(c) % 2 === 1 && pad === 'same';
}

/**
 * A window's maximum passes its gradient on; equal maxima (after a ReLU: zeros, which pass nothing on) each get it.
 */
kernel('MaxPoolGrad', ['dy', 'input', 'output'], (t, { dy, input, output }, attrs: PoolAttrs) => {
  const c = disjoint('MaxPoolGrad', attrs, input.shape);
  const image = reached(t, t.as(input, NCHW), c);
  const spread = (x: Sym) => enlarge(t, t.as(x, NCHW), c.filterHeight, c.filterWidth);
  const isMax = t.graph.op('Equal', [image, spread(output)], {}, { type: 'bool', shape: image.shape });
  const value = t.target.gate(t.graph, isMax, spread(dy));
  return t.out(withRest(t, value, c), input.shape, 'float32', NCHW);
});

/** Every pixel of `[B, C, H, W]` repeated `down` × `across` times. */
function enlarge(t: Tracer, x: Value, down: number, across: number): Value {
  const [b, ch, h, w] = x.shape as Shape4;
  const scales = t.graph.constant('float32', [4], Float32Array.of(1, 1, down, across));
  const attrs = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
  return t.graph.op('Resize', [x, undefined, scales], attrs, { shape: [b, ch, h * down, w * across] });
}

/**
 * Four images, of even and odd rows and columns, as one. Rows are pieces of memory and are laid side by side; columns
 * are moved by a product with a permutation, exact, where DepthToSpace moves number by number.
 */
kernelOfMany('Interleave', (t, parts) => {
  const images = parts.map((x) => t.as(x, NCHW));
  const [b, h, w, ch] = parts[0].shape as Shape4;
  const rows = [images.slice(0, 2), images.slice(2)].map((pair) => {
    const sideBySide = t.graph.op('Concat', pair, { axis: 3 }, { shape: [b, ch, h, 2 * w] });
    return matmul(t, sideBySide, riffle(t, w));
  });
  const value = t.graph.op('Concat', rows, { axis: 3 }, { shape: [b, ch, h, 4 * w] });
  const shape = [b, 2 * h, 2 * w, ch];
  return [t.out(t.reshape(value, [b, ch, 2 * h, 2 * w]), shape, 'float32', NCHW)];
});

/** The permutation matrix that turns (even columns, odd columns), n of each, into their natural order. */
function riffle(t: Tracer, n: number): Value {
  return t.graph.derived(undefined, `riffle of ${n}`, () => {
    const data = new Float32Array(4 * n * n);
    for (let i = 0; i < 2 * n; i++) data[i * 2 * n + (i < n ? 2 * i : 2 * (i - n) + 1)] = 1;
    return t.graph.constant('float32', [2 * n, 2 * n], data);
  });
}

kernel('InterleaveGrad', ['dy'], (t, { dy }) => {
  const [b, height, width, ch] = dy.shape as Shape4;
  const parts = t.target.quarters(t.graph, t.as(dy, NCHW));
  return parts.map((part) => t.out(part, [b, height / 2, width / 2, ch], 'float32', NCHW));
});
