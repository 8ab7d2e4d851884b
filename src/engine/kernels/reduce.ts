/** Sums, means, extremes and what is built of them. */
import * as tf from '@tensorflow/tfjs-core';
import { axisOf, identity, permuteShape } from '../permute.js';
import { onnxType, type Sym, type Tracer } from '../tracer.js';
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
    return reduce(t, op, asNumbers(t, x), axes, attrs.keepDims);
  });
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
