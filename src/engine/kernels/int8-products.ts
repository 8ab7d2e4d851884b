/** Products of bytes: uint8 on the left, int8 on the right, which ONNX Runtime multiplies fastest. */
import { sizeOf } from '../../base/tensor.js';
import type { Initializer, Value } from '../graph.js';
import { quantise } from '../quantise.js';
import type { Tracer } from '../tracer.js';
import { kernel } from './register.js';

const MIDDLE = 128;
/** In place of 0, by which nothing can be divided. */
const LEAST_STEP = 1e-30;

interface Rounded {
  readonly integers: Value;
  /** Of all numbers, or [M, 1] of the rows. */
  readonly step: Value;
}

/** As uint8. */
interface Left extends Rounded {
  readonly zero: Value;
}

/** From the least number, or 0, to the largest. */
function ofAll(t: Tracer, x: Value): Left {
  const [integers, step, zero] = t.graph.ops('DynamicQuantizeLinear', [x], {}, [
    { shape: x.shape, type: 'uint8' },
    { shape: [] },
    { shape: [], type: 'uint8' },
  ]);
  return { integers, step, zero };
}

/** Each row [M, K] in 127 steps on either side of 0. */
function ofRows(t: Tracer, x: Value): Left {
  const [rows] = x.shape as [number, number];
  const step = inSteps(t, largestOfRows(t, x));
  const middles = t.graph.constant('uint8', [rows], new Uint8Array(rows).fill(MIDDLE));
  const inputs = [x, t.reshape(step, [rows]), middles];
  const integers = t.graph.op('QuantizeLinear', inputs, { axis: 0 }, { shape: x.shape, type: 'uint8' });
  return { integers, step, zero: t.graph.constant('uint8', [], Uint8Array.of(MIDDLE)) };
}

/** [M, K] → [M, 1]. */
function largestOfRows(t: Tracer, x: Value): Value {
  const [rows] = x.shape as [number, number];
  const sizes = t.graph.op('Abs', [x], {}, { shape: x.shape });
  return t.graph.op('ReduceMax', [sizes, t.graph.ints([1])], { keepdims: 1 }, { shape: [rows, 1] });
}

/** The step by which 127 of them are as large as that. */
function inSteps({ graph: g }: Tracer, largest: Value): Value {
  const { shape } = largest;
  const step = g.op('Mul', [largest, g.float(1 / 127)], {}, { shape });
  return g.op('Max', [step, g.float(LEAST_STEP)], {}, { shape });
}

/** @param right in steps of its own, or of its columns [N] */
function product(t: Tracer, left: Left, right: Rounded, bias?: Value): Value {
  const g = t.graph;
  const [rows] = left.integers.shape as [number, number];
  const [, columns] = right.integers.shape as [number, number];
  const shape = [rows, columns];
  const byRows = left.step.shape.length > 0;
  const steps = [byRows ? g.float(1) : left.step, right.step];
  const inputs = [left.integers, right.integers, ...steps, left.zero, ...(bias ? [undefined, bias] : [])];
  const value = g.op('MatMulIntegerToFloat', inputs, {}, { shape, type: 'float32' });
  return byRows ? g.op('Mul', [value, left.step], {}, { shape }) : value;
}

// Both factors rounded as they come (`nn/int8-linear.ts`) -----------------------------------------------------------------

/** As int8, 127 steps on either side of 0; `fine`: and what is left, in steps a 254th as long. */
function symmetric(t: Tracer, x: Value, fine: boolean): [Rounded, Rounded?] {
  const g = t.graph;
  const step = inSteps(t, g.op('ReduceMax', [largestOfRows(t, x)], { keepdims: 0 }, { shape: [] }));
  const zero = g.constant('int8', [], Int8Array.of(0));
  const rounded = (x: Value, step: Value): Rounded => ({
    integers: g.op('QuantizeLinear', [x, step, zero], {}, { shape: x.shape, type: 'int8' }),
    step,
  });
  const first = rounded(x, step);
  if (!fine) return [first];
  const back = g.op('DequantizeLinear', [first.integers, step], {}, { shape: x.shape, type: 'float32' });
  const rest = g.op('Sub', [x, back], {}, { shape: x.shape });
  return [first, rounded(rest, g.op('Mul', [step, g.float(1 / 254)], {}, { shape: [] }))];
}

function turned<R extends Rounded>(t: Tracer, rounded: R, turn: boolean): R {
  const [rows, columns] = rounded.integers.shape as [number, number];
  if (!turn) return rounded;
  const integers = t.graph.op('Transpose', [rounded.integers], { perm: [1, 0] }, { shape: [columns, rows] });
  return { ...rounded, integers };
}

interface Attrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly byRows: boolean;
  readonly fine: boolean;
}

kernel('Int8MatMul', ['a', 'b'], (t, { a, b, bias }, { transposeA, transposeB, byRows, fine }: Attrs) => {
  const left = turned(t, (byRows ? ofRows : ofAll)(t, t.plain(a)), transposeA);
  const [right, rest] = symmetric(t, t.plain(b), fine);
  const times = (factor: Rounded, bias?: Value) => product(t, left, turned(t, factor, transposeB), bias);
  const first = times(right, bias && t.plain(bias));
  const value = rest ? t.graph.op('Add', [first, times(rest)], {}, { shape: first.shape }) : first;
  return t.out(value, value.shape, 'float32');
});

// A constant right factor ------------------------------------------------------------------------------------------------

/**
 * a `[..., K]` · constant b `[K, N]`: each row of a in 127 steps on either side of 0, each column of b as well, so that
 * a row's result depends on no other row.
 */
export function matmulByRows(t: Tracer, a: Value, b: Initializer): Value {
  const [K, N] = b.shape as [number, number];
  const { values, scales } = quantise(b.data as Float32Array, [K, N], K);
  const turned = new Int8Array(K * N);
  for (let n = 0; n < N; n++)
    for (let k = 0; k < K; k++) turned[k * N + n] = (values[n * K + k] ?? MIDDLE) - MIDDLE;
  const right = {
    integers: t.graph.constant('int8', [K, N], turned),
    step: t.graph.constant('float32', [N], scales),
  };
  const left = ofRows(t, t.reshape(a, [sizeOf(a.shape) / K, K]));
  return t.reshape(product(t, left, right), [...a.shape.slice(0, -1), N]);
}
