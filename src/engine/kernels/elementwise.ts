/** Kernels that treat every number alone: the result lies in memory as the operands do. */
import * as tf from '@tensorflow/tfjs-core';
import { pairs } from '../../base/lookup.js';
import { sizeOf } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import { ELEMENT } from '../onnx.js';
import { identity } from '../permute.js';
import { onnxType, type Sym, type Tracer } from '../tracer.js';
import { kernel, kernelOfMany } from './register.js';

/** Operands as they enter one ONNX operator that broadcasts, and where its result lies. */
interface Aligned {
  readonly values: Value[];
  readonly shape: number[];
  readonly physical: number[];
  readonly perm: readonly number[];
}

function broadcast(shapes: readonly (readonly number[])[]): number[] {
  return shapes.reduce<number[]>((a, b) => tf.backend_util.assertAndGetBroadcastShape(a, b as number[]), []);
}

/** Brings operands to one order of axes: that of the largest operand of full rank. */
function align(t: Tracer, operands: readonly Sym[]): Aligned {
  const shape = broadcast(operands.map((s) => s.shape));
  const rank = shape.length;
  const leader = operands
    .filter((s) => s.perm.length === rank)
    .reduce<Sym | undefined>(
      (a, b) => (a && sizeOf(a.value.shape) >= sizeOf(b.value.shape) ? a : b),
      undefined,
    );
  const perm = leader?.perm ?? identity(rank);
  const values = operands.map((s) => {
    if (s.shape.length === 0) return s.value;
    if (s.shape.length === rank) return t.aligned(s, perm);
    const plain = t.aligned(s, identity(s.shape.length));
    const padded = [...new Array<number>(rank - s.shape.length).fill(1), ...plain.shape];
    const value = t.reshape(plain, padded);
    return t.aligned({ value, shape: padded, dtype: s.dtype, perm: identity(rank) }, perm);
  });
  return { values, shape, physical: broadcast(values.map((v) => v.shape)), perm };
}

/** One broadcasting ONNX operator over symbolic operands. */
export function elementwise(
  t: Tracer,
  op: string,
  operands: readonly Sym[],
  dtype: tf.DataType,
): tf.TensorInfo {
  const { values, shape, physical, perm } = align(t, operands);
  const value = t.graph.op(op, values, {}, { type: onnxType(dtype), shape: physical });
  return keepPadded(t, value, shape, dtype, perm);
}

/** A result of lower rank than its tensor (scalars only) gains axes of length 1. */
function keepPadded(
  t: Tracer,
  value: Value,
  shape: readonly number[],
  dtype: tf.DataType,
  perm: readonly number[],
): tf.TensorInfo {
  const full =
    value.shape.length === shape.length
      ? value
      : t.reshape(
          value,
          shape.map(() => 1),
        );
  return t.out(full, shape, dtype, perm);
}

/** The operand itself, repeated to the shape of the result. */
function passThrough(t: Tracer, operand: Sym, other: Sym): tf.TensorInfo {
  const shape = broadcast([operand.shape, other.shape]);
  const rank = shape.length;
  if (operand.shape.length === rank) return t.keep({ ...operand, shape });
  const plain = t.aligned(operand, identity(operand.shape.length));
  const padded = [...new Array<number>(rank - operand.shape.length).fill(1), ...plain.shape];
  return t.out(t.reshape(plain, padded), shape, operand.dtype);
}

function unary(t: Tracer, op: string, x: Sym, attrs = {}, dtype: tf.DataType = x.dtype): tf.TensorInfo {
  const value = t.graph.op(op, [x.value], attrs, { type: onnxType(dtype), shape: x.value.shape });
  return t.out(value, x.shape, dtype, x.perm);
}

const info = (t: Tracer, tensor: tf.TensorInfo): Sym => t.sym(tensor);

for (const [name, op] of Object.entries({
  Abs: 'Abs',
  Neg: 'Neg',
  Exp: 'Exp',
  Log: 'Log',
  Sqrt: 'Sqrt',
  Tanh: 'Tanh',
  Sigmoid: 'Sigmoid',
  Erf: 'Erf',
  Floor: 'Floor',
  Relu: 'Relu',
  Softplus: 'Softplus',
})) {
  kernel(name, ['x'], (t, { x }) => unary(t, op, x));
}

kernel('Sign', ['x'], (t, { x }) => t.out(t.target.sign(t.graph, x.value), x.shape, x.dtype, x.perm));
kernel('Square', ['x'], (t, { x }) => elementwise(t, 'Mul', [x, x], x.dtype));
kernel('Rsqrt', ['x'], (t, { x }) => unary(t, 'Reciprocal', info(t, unary(t, 'Sqrt', x))));
kernel('LeakyRelu', ['x'], (t, { x }, attrs: { alpha: number }) =>
  unary(t, 'LeakyRelu', x, { alpha: { float: attrs.alpha } }),
);
kernel('ClipByValue', ['x'], (t, { x }, attrs: tf.ClipByValueAttrs) => {
  const bounds = [t.graph.float(attrs.clipValueMin), t.graph.float(attrs.clipValueMax)];
  return t.out(
    t.graph.op('Clip', [x.value, ...bounds], {}, { shape: x.value.shape }),
    x.shape,
    x.dtype,
    x.perm,
  );
});
function cast(t: Tracer, x: Sym, dtype: tf.DataType): tf.TensorInfo {
  if (x.dtype === dtype) return t.keep(x);
  if (x.splat !== undefined)
    return t.filled(x.shape, dtype === 'int32' ? Math.trunc(x.splat) : x.splat, dtype);
  return unary(t, 'Cast', x, { to: ELEMENT[onnxType(dtype)] }, dtype);
}
kernel('Cast', ['x'], (t, { x }, attrs: { dtype: tf.DataType }) => cast(t, x, attrs.dtype));

/**
 * Binary kernels: the ONNX operator, its value for two numbers, and the number that leaves the other operand as it is.
 */
interface Arithmetic {
  readonly op: string;
  readonly compute: (a: number, b: number) => number;
  readonly neutral?: { readonly a?: number; readonly b?: number };
}

const ARITHMETIC: Record<string, Arithmetic> = {
  Add: { op: 'Add', compute: (a, b) => a + b, neutral: { a: 0, b: 0 } },
  Sub: { op: 'Sub', compute: (a, b) => a - b, neutral: { b: 0 } },
  Multiply: { op: 'Mul', compute: (a, b) => a * b, neutral: { a: 1, b: 1 } },
  RealDiv: { op: 'Div', compute: (a, b) => a / b, neutral: { b: 1 } },
  Maximum: { op: 'Max', compute: Math.max },
  Minimum: { op: 'Min', compute: Math.min },
  Pow: { op: 'Pow', compute: (a, b) => a ** b, neutral: { b: 1 } },
};

for (const [name, { op, compute, neutral }] of Object.entries(ARITHMETIC)) {
  kernel(name, ['a', 'b'], (t, { a, b }) => {
    if (a.splat !== undefined && b.splat !== undefined) {
      const number = compute(a.splat, b.splat);
      return t.filled(
        broadcast([a.shape, b.shape]),
        a.dtype === 'int32' ? Math.trunc(number) : Math.fround(number),
        a.dtype,
      );
    }
    if (neutral?.b !== undefined && b.splat === neutral.b) return passThrough(t, a, b);
    if (neutral?.a !== undefined && a.splat === neutral.a) return passThrough(t, b, a);
    return elementwise(t, op, [a, b], a.dtype);
  });
}

for (const [name, op] of Object.entries({
  Greater: 'Greater',
  GreaterEqual: 'GreaterOrEqual',
  Less: 'Less',
  LessEqual: 'LessOrEqual',
  Equal: 'Equal',
  LogicalAnd: 'And',
})) {
  kernel(name, ['a', 'b'], (t, { a, b }) => elementwise(t, op, [a, b], 'bool'));
}
kernel('Select', ['condition', 't', 'e'], (t, { condition, t: yes, e: no }) => {
  const trailing = yes.shape.length - condition.shape.length;
  const mask =
    condition.shape.length > 0 && trailing
      ? info(
          t,
          t.out(
            t.reshape(t.plain(condition), [...condition.shape, ...new Array<number>(trailing).fill(1)]),
            [...condition.shape, ...new Array<number>(trailing).fill(1)],
            'bool',
          ),
        )
      : condition;
  return elementwise(t, 'Where', [mask, yes, no], yes.dtype);
});

/** The backward pass through a kink: `dy` where `open`, of the same shape, is true. */
kernel('Gate', ['dy', 'open'], (t, { dy, open }) => {
  const { perm, shape } = open;
  return t.out(t.target.gate(t.graph, t.as(open, perm), t.as(dy, perm)), shape, 'float32', perm);
});

kernel('Identity', ['x'], (t, { x }) => t.keep(x));
kernel('Fill', [], (t, _, attrs: { shape: number[]; value: number; dtype: tf.DataType }) =>
  t.filled(attrs.shape, attrs.value, attrs.dtype ?? 'float32'),
);
kernel('ZerosLike', ['x'], (t, { x }) => t.filled(x.shape, 0, x.dtype));
kernel('OnesLike', ['x'], (t, { x }) => t.filled(x.shape, 1, x.dtype));

/** Repetition along axes of length 1 is put off; other axes are repeated at once. */
function tile(t: Tracer, x: Sym, reps: readonly number[]): tf.TensorInfo {
  const shape = pairs(x.shape, reps).map(([n, times]) => n * times);
  if (reps.every((r, axis) => r === 1 || x.shape[axis] === 1)) return t.keep({ ...x, shape });
  const value = t.graph.op('Tile', [t.plain(x), t.graph.ints(reps)], {}, { shape });
  return t.out(value, shape, x.dtype);
}
kernel('Tile', ['x'], (t, { x }, attrs: { reps: number[] }) => tile(t, x, attrs.reps));

kernelOfMany('AddN', (t, [first, ...others]) => {
  const add = (total: Sym, term: Sym) => info(t, elementwise(t, 'Add', [total, term], total.dtype));
  return t.keep(others.reduce(add, first));
});
