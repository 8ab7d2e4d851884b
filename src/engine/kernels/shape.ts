/** Kernels that move numbers: reshape, transpose, slice, pad, concatenate, gather, scatter. */
import * as tf from '@tensorflow/tfjs-core';
import { sizeOf } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import { identity, inverse, permuteShape } from '../permute.js';
import type { Sym, Tracer } from '../tracer.js';
import { matmulOverRows } from './matmul.js';
import { kernel } from './register.js';

function reshape(t: Tracer, x: Sym, shape: readonly number[]): tf.TensorInfo {
  if (x.splat !== undefined) return t.filled(shape, x.splat, x.dtype);
  if (x.shape.join() === shape.join()) return t.keep(x);
  return t.out(t.reshape(t.plain(x), shape), shape, x.dtype);
}
kernel<{ shape: number[] }>('Reshape', ({ t, inputs: { x }, attrs }) =>
  reshape(t, x!, tf.util.inferFromImplicitShape(attrs.shape, sizeOf(x!.shape))),
);
kernel<{ dim: number }>('ExpandDims', ({ t, inputs: { input: x }, attrs }) => {
  const shape = [...x!.shape];
  shape.splice(attrs.dim < 0 ? shape.length + attrs.dim + 1 : attrs.dim, 0, 1);
  return reshape(t, x!, shape);
});

kernel<{ perm: number[] }>('Transpose', ({ t, inputs: { x }, attrs }) => {
  const renamed = inverse(attrs.perm);
  return t.keep({
    ...x!,
    joined: undefined,
    shape: permuteShape(x!.shape, attrs.perm),
    perm: x!.perm.map((axis) => renamed[axis]!),
  });
});

/** The value with every number in its place, in whatever order its axes lie. */
const whole = (t: Tracer, x: Sym): Value => t.as(x, x.perm);

/** `Slice` of the program's axes `begin … end` (exclusive) with `steps`. */
export function slice(
  t: Tracer,
  x: Sym,
  begin: readonly number[],
  end: readonly number[],
  steps: readonly number[],
): tf.TensorInfo {
  const shape = x.shape.map((_, axis) => Math.max(0, Math.ceil((end[axis]! - begin[axis]!) / steps[axis]!)));
  const axes = identity(x.shape.length).filter((axis) => shape[axis] !== x.shape[axis]);
  if (axes.length === 0) return t.keep(x);
  const at = (values: readonly number[]) => t.graph.ints(axes.map((axis) => values[axis]!));
  const physical = t.graph.ints(axes.map((axis) => x.perm.indexOf(axis)));
  const value = t.graph.op(
    'Slice',
    [whole(t, x), at(begin), at(end), physical, at(steps)],
    {},
    { shape: permuteShape(shape, x.perm) },
  );
  return t.out(value, shape, x.dtype, x.perm);
}
kernel<{ begin: number | number[]; size: number | number[] }>('Slice', ({ t, inputs: { x }, attrs }) => {
  const like = { shape: [...x!.shape] } as tf.Tensor;
  const [begin, size] = tf.slice_util.parseSliceParams(like, attrs.begin, attrs.size) as [number[], number[]];
  return slice(
    t,
    x!,
    begin,
    begin.map((b, i) => b + size[i]!),
    begin.map(() => 1),
  );
});
kernel<{ paddings: [number, number][]; constantValue: number }>('PadV2', ({ t, inputs: { x }, attrs }) => {
  const shape = x!.shape.map((n, axis) => n + attrs.paddings[axis]![0] + attrs.paddings[axis]![1]);
  const pads = [0, 1].flatMap((side) => x!.perm.map((axis) => attrs.paddings[axis]![side]!));
  const fill = attrs.constantValue ? [t.graph.float(attrs.constantValue)] : [];
  const value = t.graph.op(
    'Pad',
    [whole(t, x!), t.graph.ints(pads), ...fill],
    {},
    { shape: permuteShape(shape, x!.perm) },
  );
  return t.out(value, shape, x!.dtype, x!.perm);
});

export function concat(t: Tracer, parts: readonly Sym[], axis: number): tf.TensorInfo {
  const perm = parts[0]!.perm;
  const shape = [...parts[0]!.shape];
  shape[axis] = parts.reduce((sum, part) => sum + part.shape[axis]!, 0);
  const values = parts.filter((part) => sizeOf(part.shape) > 0).map((part) => t.as(part, perm));
  const value = t.graph.op(
    'Concat',
    values,
    { axis: perm.indexOf(axis) },
    { shape: permuteShape(shape, perm) },
  );
  return t.keep({ value, shape, dtype: parts[0]!.dtype, perm, joined: { axis, parts } });
}
kernel<{ axis: number }>('Concat', ({ t, inputs, attrs }) => {
  const parts = Object.values(inputs);
  return concat(t, parts, tf.util.parseAxisParam(attrs.axis, [...parts[0]!.shape])[0]!);
});
kernel<{ axis: number }>('Pack', ({ t, inputs, attrs }) => {
  const parts = Object.values(inputs).map((x) => {
    const shape = [...x.shape];
    shape.splice(attrs.axis, 0, 1);
    return t.sym(reshape(t, x, shape));
  });
  return concat(t, parts, attrs.axis);
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
  return values.map((value, i) => t.out(value, shapes[i]!, x.dtype, x.perm));
}
kernel<{ numOrSizeSplits: number | number[]; axis: number }>('SplitV', ({ t, inputs: { x }, attrs }) => {
  const [axis] = tf.util.parseAxisParam(attrs.axis, [...x!.shape]);
  const sizes = tf.backend_util.prepareSplitSize(
    { shape: x!.shape } as tf.Tensor,
    attrs.numOrSizeSplits,
    axis!,
  );
  return split(t, x!, axis!, sizes);
});
kernel<{ axis: number }>('Unpack', ({ t, inputs: { value: x }, attrs }) => {
  const [axis] = tf.util.parseAxisParam(attrs.axis, [...x!.shape]);
  const shape = x!.shape.filter((_, i) => i !== axis);
  const parts = split(t, x!, axis!, new Array<number>(x!.shape[axis!]!).fill(1));
  return parts.map((part) => reshape(t, t.sym(part), shape));
});

kernel<{ axis: number; batchDims: number }>('GatherV2', ({ t, inputs: { x, indices }, attrs }) => {
  if (attrs.batchDims) throw new Error('internal: GatherV2 with batch axes is not traced');
  const axis = attrs.axis < 0 ? attrs.axis + x!.shape.length : attrs.axis;
  const shape = [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)];
  return t.out(t.graph.op('Gather', [t.plain(x!), t.plain(indices!)], { axis }, { shape }), shape, x!.dtype);
});

kernel<{ depth: number; onValue: number; offValue: number; dtype?: tf.DataType }>(
  'OneHot',
  ({ t, inputs: { indices }, attrs }) => {
    const shape = [...indices!.shape, attrs.depth];
    const values = { on: attrs.onValue, off: attrs.offValue };
    return t.out(t.target.oneHot(t.graph, t.plain(indices!), attrs.depth, values), shape, 'float32');
  },
);

/** Up to this many numbers a one-hot matrix is written out, and the sum is a matrix product: exact and parallel. */
const ONE_HOT_LIMIT = 4_194_304;

/** Σ of rows by segment: x `[N, D]`, ids `[N]` → `[segments, D]`. */
kernel<{ numSegments: number }>('UnsortedSegmentSum', ({ t, inputs: { x, segmentIds }, attrs }) => {
  const rows = sizeOf(segmentIds!.shape);
  const width = sizeOf(x!.shape) / rows;
  const shape = [attrs.numSegments, ...x!.shape.slice(segmentIds!.shape.length)];
  const flat = t.reshape(t.plain(x!), [rows, width]);
  const ids = t.reshape(t.plain(segmentIds!), [rows]);
  const out = { shape: [attrs.numSegments, width] };
  if (rows * attrs.numSegments <= ONE_HOT_LIMIT) {
    const hot = t.target.oneHot(t.graph, ids, attrs.numSegments, { on: 1, off: 0 });
    const sums = matmulOverRows(t, hot, flat, { transA: true });
    return t.out(t.reshape(sums, shape), shape, x!.dtype);
  }
  const index = t.expand(t.reshape(ids, [rows, 1]), [rows, width]);
  const zeros = t.expand(t.graph.float(0), out.shape);
  const sums = t.graph.op('ScatterElements', [zeros, index, flat], { axis: 0, reduction: 'add' }, out);
  return t.out(t.reshape(sums, shape), shape, x!.dtype);
});

kernel<{ start: number; stop: number; step: number; dtype: tf.DataType }>(
  'Range',
  ({ t, attrs: { start, stop, step, dtype } }) => {
    const count = Math.max(0, Math.ceil((stop - start) / step));
    const numbers = Array.from({ length: count }, (_, i) => start + i * step);
    const type = dtype === 'int32' ? 'int32' : 'float32';
    const data = type === 'int32' ? Int32Array.from(numbers) : Float32Array.from(numbers);
    return t.out(t.graph.constant(type, [count], data), [count], type);
  },
);
