/** Products of bytes: uint8 on the left, int8 on the right, which ONNX Runtime multiplies fastest. */
import { sizeOf } from '../../base/tensor.js';
import type { Initializer, Value } from '../graph.js';
import { quantise } from '../quantise.js';
import type { Tracer } from '../tracer.js';
import { kernel } from './register.js';

// Both factors rounded as they come (`nn/int8-linear.ts`) -----------------------------------------------------------------

interface Rounded {
  readonly integers: Value;
  readonly step: Value;
}

/** As uint8. */
function affine(t: Tracer, x: Value): Rounded & { readonly zero: Value } {
  const [integers, step, zero] = t.graph.ops('DynamicQuantizeLinear', [x], {}, [
    { shape: x.shape, type: 'uint8' },
    { shape: [] },
    { shape: [], type: 'uint8' },
  ]);
  return { integers, step, zero };
}

const [FLOAT32, INT8] = [1, 3];

/**
 * As int8, 0 at 0. The range comes out of `affine`, which reads x once and which the same x on the left has anyway.
 */
function symmetric(t: Tracer, x: Value, fine: boolean): [Rounded, ...Rounded[]] {
  const g = t.graph;
  const scalar = (op: string, inputs: Value[]) => g.op(op, inputs, {}, { shape: [] });
  const { step, zero } = affine(t, x);
  const below = g.op('Cast', [zero], { to: FLOAT32 }, { shape: [], type: 'float32' });
  const most = scalar('Max', [below, scalar('Sub', [g.float(255), below])]);
  const wider = scalar('Mul', [scalar('Mul', [step, most]), g.float(1 / 127)]);
  const origin = g.op(
    'Cast',
    [g.constant('uint8', [], Uint8Array.of(0))],
    { to: INT8 },
    { shape: [], type: 'int8' },
  );
  const inSteps = (x: Value, step: Value): Rounded => ({
    integers: g.op('QuantizeLinear', [x, step, origin], {}, { shape: x.shape, type: 'int8' }),
    step,
  });
  const first = inSteps(x, wider);
  if (!fine) return [first];
  const back = g.op('DequantizeLinear', [first.integers, wider], {}, { shape: x.shape, type: 'float32' });
  const rest = g.op('Sub', [x, back], {}, { shape: x.shape });
  return [first, inSteps(rest, scalar('Mul', [wider, g.float(1 / 254)]))];
}

function turned(t: Tracer, { integers }: Rounded, turn: boolean): Value {
  const [rows, columns] = integers.shape as [number, number];
  if (!turn) return integers;
  return t.graph.op('Transpose', [integers], { perm: [1, 0] }, { shape: [columns, rows] });
}

interface Attrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly fine: boolean;
}

kernel('Int8MatMul', ['a', 'b'], (t, { a, b, bias }, { transposeA, transposeB, fine }: Attrs) => {
  const left = affine(t, t.plain(a));
  const rows = turned(t, left, transposeA);
  const products = symmetric(t, t.plain(b), fine).map((right, i) => {
    const columns = turned(t, right, transposeB);
    const shape = [rows.shape[0], columns.shape[1]] as [number, number];
    const factors = [rows, columns, left.step, right.step, left.zero];
    const inputs = bias && i === 0 ? [...factors, undefined, t.plain(bias)] : factors;
    return t.graph.op('MatMulIntegerToFloat', inputs, {}, { shape, type: 'float32' });
  });
  const value = products.reduce((sum, more) => t.graph.op('Add', [sum, more], {}, { shape: sum.shape }));
  return t.out(value, value.shape, 'float32');
});

// A constant right factor ------------------------------------------------------------------------------------------------

const MIDDLE = 128;
/** In place of 0, by which nothing can be divided. */
const LEAST_STEP = 1e-30;

/**
 * a `[..., K]` · constant b `[K, N]`: each row of a in 127 steps on either side of 0, each column of b as well, so that
 * a row's result depends on no other row.
 */
export function matmulByRows(t: Tracer, a: Value, b: Initializer): Value {
  const g = t.graph;
  const [K, N] = b.shape as [number, number];
  const rows = sizeOf(a.shape) / K;
  const x = t.reshape(a, [rows, K]);
  const sizes = g.op('Abs', [x], {}, { shape: x.shape });
  const largest = g.op('ReduceMax', [sizes, g.ints([1])], { keepdims: 1 }, { shape: [rows, 1] });
  const steps = g.op('Mul', [largest, g.float(1 / 127)], {}, { shape: [rows, 1] });
  const step = g.op('Max', [steps, g.float(LEAST_STEP)], {}, { shape: [rows, 1] });
  const middles = g.constant('uint8', [rows], new Uint8Array(rows).fill(MIDDLE));
  const ofRows = [x, t.reshape(step, [rows]), middles];
  const left = g.op('QuantizeLinear', ofRows, { axis: 0 }, { shape: x.shape, type: 'uint8' });
  const { values, scales } = quantise(b.data as Float32Array, [K, N], K);
  const turned = new Int8Array(K * N);
  for (let n = 0; n < N; n++)
    for (let k = 0; k < K; k++) turned[k * N + n] = (values[n * K + k] ?? MIDDLE) - MIDDLE;
  const right = g.constant('int8', [K, N], turned);
  const ofColumns = g.constant('float32', [N], scales);
  const factors = [left, right, g.float(1), ofColumns, g.constant('uint8', [], Uint8Array.of(MIDDLE))];
  const product = g.op('MatMulIntegerToFloat', factors, {}, { shape: [rows, N], type: 'float32' });
  return t.reshape(g.op('Mul', [product, step], {}, { shape: [rows, N] }), [...a.shape.slice(0, -1), N]);
}
