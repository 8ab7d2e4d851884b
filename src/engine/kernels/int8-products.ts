/** Products of factors that are rounded to 8-bit integers as they come (`nn/int8-linear.ts`). */
import type { Value } from '../graph.js';
import type { Tracer } from '../tracer.js';
import { kernel } from './register.js';

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
 * As int8, 0 at 0: a right factor that ONNX Runtime multiplies fast. The range comes out of `affine`, which reads x
 * once and which the same x on the left has anyway.
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
