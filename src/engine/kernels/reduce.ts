/** Sums, means, extremes and what is built of them. */
import * as tf from '@tensorflow/tfjs-core';
import { lastAxis, sizeOf } from '../../base/tensor.js';
import { axisOf, identity, isIdentity, permuteShape } from '../permute.js';
import { onnxType, type Sym, type Tracer } from '../tracer.js';
import { matmulOverRows } from './matmul.js';
import { kernel } from './register.js';

/** Reduces the program's `axes`; the remaining axes keep their order in memory while they are all kept. */
export function reduce(
  t: Tracer,
  op: string,
  x: Sym,
  axes: readonly number[],
  keepDims: boolean,
): tf.TensorInfo {
  if (axes.length === 0) return t.keep(x);
  const value = t.expand(x.value, permuteShape(x.shape, x.perm));
  const physical = axes.map((axis) => x.perm.indexOf(axis)).sort((a, b) => a - b);
  const keptShape = value.shape.map((n, i) => (physical.includes(i) ? 1 : n));
  const reducedShape = x.shape.map((n, axis) => (axes.includes(axis) ? 1 : n));
  const type = onnxType(x.dtype);
  const kept = t.graph.op(op, [value, t.graph.ints(physical)], { keepdims: 1 }, { type, shape: keptShape });
  if (keepDims) return t.out(kept, reducedShape, x.dtype, x.perm);
  const plain = t.plain({ value: kept, shape: reducedShape, dtype: x.dtype, perm: x.perm });
  const shape = x.shape.filter((_, axis) => !axes.includes(axis));
  return t.out(t.reshape(plain, shape), shape, x.dtype);
}

interface ReduceAttrs {
  axis?: number | number[];
  reductionIndices?: number | number[];
  keepDims: boolean;
}

for (const [name, op] of Object.entries({
  Sum: 'ReduceSum',
  Mean: 'ReduceMean',
  Max: 'ReduceMax',
  Min: 'ReduceMin',
})) {
  kernel(name, ['x'], (t, { x }, attrs: ReduceAttrs) => {
    const axes = tf.util.parseAxisParam(attrs.axis ?? attrs.reductionIndices ?? identity(x.shape.length), [
      ...x.shape,
    ]);
    if (op === 'ReduceSum' && isOverRows(t, x, axes)) return sumOverRows(t, x, attrs.keepDims);
    return reduce(t, op, asNumbers(t, x), axes, attrs.keepDims);
  });
}

/** As of the gradient of a bias: sums of columns, over rows that lie as they are. */
function isOverRows(t: Tracer, x: Sym, axes: readonly number[]): boolean {
  const rank = x.shape.length;
  const isLastKept = axes.length === rank - 1 && !axes.includes(rank - 1);
  const isFull = x.value.shape.every((n, i) => n === x.shape[i]);
  const liesSo = x.dtype === 'float32' && isIdentity(x.perm) && isFull;
  return (
    t.target.rowSumsAsProducts && rank > 1 && sizeOf(x.shape) >= 64 * lastAxis(x) && isLastKept && liesSo
  );
}

function sumOverRows(t: Tracer, x: Sym, keepDims: boolean): tf.TensorInfo {
  const width = lastAxis(x);
  const rows = sizeOf(x.shape) / width;
  const ones = t.graph.derived(undefined, `row of ${rows} ones`, () =>
    t.graph.constant('float32', [1, rows], new Float32Array(rows).fill(1)),
  );
  const sums = matmulOverRows(t, ones, t.reshape(x.value, [rows, width]));
  const shape = keepDims ? [...x.shape.slice(0, -1).map(() => 1), width] : [width];
  return t.out(t.reshape(sums, shape), shape, 'float32');
}

/** Booleans are counted as int32, as TF.js does. */
function asNumbers(t: Tracer, x: Sym): Sym {
  if (x.dtype !== 'bool') return x;
  return t.sym(
    t.out(
      t.graph.op('Cast', [x.value], { to: 6 }, { type: 'int32', shape: x.value.shape }),
      x.shape,
      'int32',
      x.perm,
    ),
  );
}

for (const name of ['ArgMax', 'ArgMin'] as const) {
  kernel(name, ['x'], (t, { x }, attrs: { axis: number }) => {
    const axis = axisOf(attrs.axis, x.shape.length);
    const shape = x.shape.filter((_, i) => i !== axis);
    return t.out(t.target.firstIndex(t.graph, name, t.plain(x), axis), shape, 'int32');
  });
}

kernel('Softmax', ['logits'], (t, { logits }, attrs: { dim: number }) => {
  const { shape, dtype } = logits;
  const axis = axisOf(attrs.dim, shape.length);
  return t.out(t.graph.op('Softmax', [t.plain(logits)], { axis }, { shape }), shape, dtype);
});
