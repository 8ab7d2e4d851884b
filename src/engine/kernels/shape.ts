/** Kernels that move numbers: reshape, transpose, slice, pad, concatenate, gather, scatter. */
import * as tf from '@tensorflow/tfjs-core';
import { pairs, take } from '../../base/lookup.js';
import { sizeOf } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import { axisOf, identity, inverse, permuteShape } from '../permute.js';
import type { Sym, Tracer } from '../tracer.js';
import { matmulOverRows } from './matmul.js';
import { kernel, kernelOfMany } from './register.js';

function reshape(t: Tracer, x: Sym, shape: readonly number[]): tf.TensorInfo {
  if (x.splat !== undefined) return t.filled(shape, x.splat, x.dtype);
  if (x.shape.join() === shape.join()) return t.keep(x);
  return t.out(t.reshape(t.plain(x), shape), shape, x.dtype);
}
kernel('Reshape', ['x'], (t, { x }, attrs: { shape: number[] }) =>
  reshape(t, x, tf.util.inferFromImplicitShape(attrs.shape, sizeOf(x.shape))),
);
kernel('ExpandDims', ['input'], (t, { input: x }, attrs: { dim: number }) => {
  const shape = [...x.shape];
  shape.splice(attrs.dim < 0 ? shape.length + attrs.dim + 1 : attrs.dim, 0, 1);
  return reshape(t, x, shape);
});

kernel('Transpose', ['x'], (t, { x }, attrs: { perm: number[] }) => {
  const renamed = inverse(attrs.perm);
  return t.keep({
    ...x,
    joined: undefined,
    shape: permuteShape(x.shape, attrs.perm),
    perm: take(renamed, x.perm),
  });
});

/** The value with every number in its place, in whatever order its axes lie. */
const whole = (t: Tracer, x: Sym): Value => t.as(x, x.perm);

kernel('Slice', ['x'], (t, { x }, attrs: { begin: number | number[]; size: number | number[] }) => {
  const like = { shape: [...x.shape] } as tf.Tensor;
  const [begin, shape] = tf.slice_util.parseSliceParams(like, attrs.begin, attrs.size) as [
    number[],
    number[],
  ];
  const axes = identity(shape.length).filter((axis) => shape[axis] !== x.shape[axis]);
  if (axes.length === 0) return t.keep(x);
  const physical = t.graph.ints(axes.map((axis) => x.perm.indexOf(axis)));
  const image = whole(t, x);
  const from = take(begin, axes);
  const to = pairs(from, take(shape, axes)).map(([first, count]) => first + count);
  const range = [from, to].map((values) => t.graph.ints(values));
  const steps = t.graph.ints(axes.map(() => 1));
  const out = { shape: permuteShape(shape, x.perm) };
  return t.out(t.graph.op('Slice', [image, ...range, physical, steps], {}, out), shape, x.dtype, x.perm);
});

kernel('PadV2', ['x'], (t, { x }, attrs: { paddings: [number, number][]; constantValue: number }) => {
  const shape = pairs(x.shape, attrs.paddings).map(([n, [before, behind]]) => n + before + behind);
  const paddings = take(attrs.paddings, x.perm);
  const pads = [...paddings.map(([before]) => before), ...paddings.map(([, behind]) => behind)];
  const fill = attrs.constantValue ? [t.graph.float(attrs.constantValue)] : [];
  const value = t.graph.op(
    'Pad',
    [whole(t, x), t.graph.ints(pads), ...fill],
    {},
    { shape: permuteShape(shape, x.perm) },
  );
  return t.out(value, shape, x.dtype, x.perm);
});

export function concat(t: Tracer, parts: readonly [Sym, ...Sym[]], axis: number): tf.TensorInfo {
  const [{ shape: first, perm, dtype }] = parts;
  const length = parts.reduce((sum, part) => sum + part.shape[axis]!, 0);
  const shape = first.with(axis, length);
  const values = parts.filter((part) => sizeOf(part.shape) > 0).map((part) => t.as(part, perm));
  const value = t.graph.op(
    'Concat',
    values,
    { axis: perm.indexOf(axis) },
    { shape: permuteShape(shape, perm) },
  );
  return t.keep({ value, shape, dtype, perm, joined: { axis, parts } });
}
kernelOfMany('Concat', (t, parts, attrs: { axis: number }) =>
  concat(t, parts, axisOf(attrs.axis, parts[0].shape.length)),
);
kernelOfMany('Pack', (t, [first, ...others], attrs: { axis: number }) => {
  const widened = (x: Sym) => {
    const shape = [...x.shape];
    shape.splice(attrs.axis, 0, 1);
    return t.sym(reshape(t, x, shape));
  };
  return concat(t, [widened(first), ...others.map(widened)], attrs.axis);
});

function split(t: Tracer, x: Sym, axis: number, sizes: readonly number[]): tf.TensorInfo[] {
  const shapes = sizes.map((n) => x.shape.map((m, i) => (i === axis ? n : m)));
  const { joined } = x;
  if (joined?.axis === axis && joined.parts.map((part) => part.shape).join('|') === shapes.join('|'))
    return joined.parts.map((part) => t.keep(part));
  const outs = shapes.map((shape) => ({ shape: permuteShape(shape, x.perm) }));
  const values = t.graph.ops(
    'Split',
    [whole(t, x), t.graph.ints(sizes)],
    { axis: x.perm.indexOf(axis) },
    outs,
  );
  return pairs(values, shapes).map(([value, shape]) => t.out(value, shape, x.dtype, x.perm));
}
kernel('SplitV', ['x'], (t, { x }, attrs: { numOrSizeSplits: number | number[]; axis: number }) => {
  const axis = axisOf(attrs.axis, x.shape.length);
  const sizes = tf.backend_util.prepareSplitSize(
    { shape: x.shape } as tf.Tensor,
    attrs.numOrSizeSplits,
    axis,
  );
  return split(t, x, axis, sizes);
});
kernel('Unpack', ['value'], (t, { value: x }, attrs: { axis: number }) => {
  const axis = axisOf(attrs.axis, x.shape.length);
  const shape = x.shape.filter((_, i) => i !== axis);
  const parts = split(t, x, axis, new Array<number>(x.shape[axis]!).fill(1));
  return parts.map((part) => reshape(t, t.sym(part), shape));
});

kernel('GatherV2', ['x', 'indices'], (t, { x, indices }, attrs: { axis: number; batchDims: number }) => {
  if (attrs.batchDims) throw new Error('internal: GatherV2 with batch axes is not traced');
  const axis = axisOf(attrs.axis, x.shape.length);
  const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  return t.out(t.graph.op('Gather', [t.plain(x), t.plain(indices)], { axis }, { shape }), shape, x.dtype);
});

kernel('OneHot', ['indices'], (t, { indices }, attrs: tf.OneHotAttrs) => {
  const shape = [...indices.shape, attrs.depth];
  const values = { on: attrs.onValue, off: attrs.offValue };
  return t.out(t.target.oneHot(t.graph, t.plain(indices), attrs.depth, values), shape, 'float32');
});

/** Up to this many numbers a one-hot matrix is written out, and the sum is a matrix product: exact and parallel. */
const ONE_HOT_LIMIT = 4_194_304;

/** Σ of rows by segment: x `[N, D]`, ids `[N]` → `[segments, D]`. */
kernel('UnsortedSegmentSum', ['x', 'segmentIds'], (t, { x, segmentIds }, attrs: { numSegments: number }) => {
  const rows = sizeOf(segmentIds.shape);
  const width = sizeOf(x.shape) / rows;
  const shape = [attrs.numSegments, ...x.shape.slice(segmentIds.shape.length)];
  const flat = t.reshape(t.plain(x), [rows, width]);
  const ids = t.reshape(t.plain(segmentIds), [rows]);
  const out = { shape: [attrs.numSegments, width] };
  if (rows * attrs.numSegments <= ONE_HOT_LIMIT) {
    const hot = t.target.oneHot(t.graph, ids, attrs.numSegments, { on: 1, off: 0 });
    const sums = matmulOverRows(t, hot, flat, { transA: true });
    return t.out(t.reshape(sums, shape), shape, x.dtype);
  }
  const index = t.expand(t.reshape(ids, [rows, 1]), [rows, width]);
  const zeros = t.expand(t.graph.float(0), out.shape);
  const sums = t.graph.op('ScatterElements', [zeros, index, flat], { axis: 0, reduction: 'add' }, out);
  return t.out(t.reshape(sums, shape), shape, x.dtype);
});

kernel('Range', [], (t, _, { start, stop, step, dtype }: tf.RangeAttrs) => {
  const count = Math.max(0, Math.ceil((stop - start) / step));
  const numbers = Array.from({ length: count }, (_, i) => start + i * step);
  const type = dtype === 'int32' ? 'int32' : 'float32';
  const data = type === 'int32' ? Int32Array.from(numbers) : Float32Array.from(numbers);
  return t.out(t.graph.constant(type, [count], data), [count], type);
});
