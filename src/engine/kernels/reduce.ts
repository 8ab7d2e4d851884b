/** Sums, means, extremes and what is built of them. */
import * as tf from '@tensorflow/tfjs-core';
import { identity } from '../permute.js';
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
  const value = t.expand(
    x.value,
    x.perm.map((axis) => x.shape[axis]!),
  );
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
  Prod: 'ReduceProd',
})) {
  kernel<ReduceAttrs>(name, ({ t, inputs: { x }, attrs }) => {
    const axes = tf.util.parseAxisParam(attrs.axis ?? attrs.reductionIndices ?? identity(x!.shape.length), [
      ...x!.shape,
    ]);
    return reduce(t, op, asNumbers(t, x!), axes, attrs.keepDims);
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

for (const [name, op] of Object.entries({ ArgMax: 'ArgMax', ArgMin: 'ArgMin' })) {
  kernel<{ axis: number }>(name, ({ t, inputs: { x }, attrs }) => {
    const [axis] = tf.util.parseAxisParam(attrs.axis, [...x!.shape]);
    const shape = x!.shape.filter((_, i) => i !== axis);
    const index = t.graph.op(op, [t.plain(x!)], { axis: axis!, keepdims: 0 }, { type: 'int64', shape });
    return t.out(t.graph.op('Cast', [index], { to: 6 }, { type: 'int32', shape }), shape, 'int32');
  });
}

kernel<{ dim: number }>('Softmax', ({ t, inputs: { logits }, attrs }) =>
  softmax(t, 'Softmax', logits!, attrs.dim),
);
kernel<{ axis: number }>('LogSoftmax', ({ t, inputs: { logits }, attrs }) =>
  softmax(t, 'LogSoftmax', logits!, attrs.axis),
);

function softmax(t: Tracer, op: string, x: Sym, dim: number): tf.TensorInfo {
  const axis = dim < 0 ? dim + x.shape.length : dim;
  return t.out(t.graph.op(op, [t.plain(x)], { axis }, { shape: x.shape }), x.shape, x.dtype);
}

kernel<{ axis: number; exclusive: boolean; reverse: boolean }>('Cumsum', ({ t, inputs: { x }, attrs }) => {
  const axis = t.graph.constant('int64', [], BigInt64Array.of(BigInt(attrs.axis)));
  const flags = { exclusive: Number(attrs.exclusive), reverse: Number(attrs.reverse) };
  return t.out(t.graph.op('CumSum', [t.plain(x!), axis], flags, { shape: x!.shape }), x!.shape, x!.dtype);
});
