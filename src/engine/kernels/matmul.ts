/** Matrix products: transposed operands are read transposed, never copied. */
import { must, pairs } from '../../base/lookup.js';
import type { Initializer, Value } from '../graph.js';
import { quantise } from '../quantise.js';
import type { Sym, Tracer } from '../tracer.js';
import { matmulByRows } from './int8-products.js';
import { kernel } from './register.js';

/** a `[..., M, K]` (or `[..., K, M]`) · b `[..., K, N]` (or `[..., N, K]`), times `alpha`. */
export function matmul(
  t: Tracer,
  a: Value,
  b: Value,
  o: { transA?: boolean; transB?: boolean; alpha?: number } = {},
): Value {
  const rank = Math.max(a.shape.length, b.shape.length);
  const m = must(a.shape.at(o.transA ? -1 : -2), 'rows of a');
  const n = must(b.shape.at(o.transB ? -2 : -1), 'columns of b');
  const pad = (v: Value) => [...new Array<number>(rank - v.shape.length).fill(1), ...v.shape];
  const batch = pairs(pad(a), pad(b))
    .slice(0, -2)
    .map(([x, y]) => Math.max(x, y));
  const shape = [...batch, m, n];
  if (!o.transA && !o.transB && (o.alpha ?? 1) === 1) return t.graph.op('MatMul', [a, b], {}, { shape });
  const { transA = false, transB = false, alpha = 1 } = o;
  return t.target.product(t.graph, a, b, { transA, transB, alpha }, shape);
}

/** A sum over all rows of a batch, as which gradients of weights come: in float32 with all that is made of it. */
export function matmulOverRows(...args: Parameters<typeof matmul>): Value {
  return args[0].graph.inFloat32(() => matmul(...args), 'onwards');
}

/** Rows that share a scale, of either factor. 32 is slower, 128 not measurably faster (docs/performance.md). */
const BLOCK = 64;

/** Accuracy level at which MatMulNBits multiplies integers. */
const INT8 = 4;

/**
 * a `[..., K]` · constant b `[K, N]`, both as 8-bit integers: b here, a by ONNX Runtime, row by row, so that a row's
 * result depends on no other row.
 */
function matmulInt8(t: Tracer, a: Value, b: Initializer): Value {
  const [K, N] = b.shape as [number, number];
  const blocks = Math.ceil(K / BLOCK);
  const { values, scales } = quantise(b.data as Float32Array, [K, N], BLOCK);
  const weights = t.graph.constant('uint8', [N, blocks, BLOCK], values);
  const factors = t.graph.constant('float32', [N * blocks], scales);
  const attrs = { K, N, bits: 8, block_size: BLOCK, accuracy_level: INT8 };
  return t.graph.op('MatMulNBits', [a, weights, factors], attrs, { shape: [...a.shape.slice(0, -1), N] });
}

/** The constant that a matrix is, if it is one. */
const frozen = (t: Tracer, matrix: Sym): Initializer | undefined =>
  matrix.shape.length === 2 ? t.graph.initializers.get(t.plain(matrix).name) : undefined;

kernel('BatchMatMul', ['a', 'b'], (t, { a, b }, attrs: { transposeA: boolean; transposeB: boolean }) => {
  const weights =
    t.precision.startsWith('int8') && !attrs.transposeA && !attrs.transposeB ? frozen(t, b) : undefined;
  if (weights) {
    const byRows = t.precision === 'int8 by rows' && t.target.exactBytes;
    const value = (byRows ? matmulByRows : matmulInt8)(t, t.plain(a), weights);
    return t.out(value, value.shape, 'float32');
  }
  const overRows = attrs.transposeA && !attrs.transposeB && a.shape.length === 2 && b.shape.length === 2;
  const product = overRows ? matmulOverRows : matmul;
  const value = product(t, t.plain(a), t.plain(b), { transA: attrs.transposeA, transB: attrs.transposeB });
  return t.out(value, value.shape, 'float32');
});
