/** Matrix products: transposed operands are read transposed, never copied. */
import type { Value } from '../graph.js';
import type { Tracer } from '../tracer.js';
import { kernel } from './register.js';

/** a `[..., M, K]` (or `[..., K, M]`) · b `[..., K, N]` (or `[..., N, K]`), times `alpha`. */
export function matmul(
  t: Tracer,
  a: Value,
  b: Value,
  o: { transA?: boolean; transB?: boolean; alpha?: number } = {},
): Value {
  const rank = Math.max(a.shape.length, b.shape.length);
  const [m, n] = [a.shape.at(o.transA ? -1 : -2)!, b.shape.at(o.transB ? -2 : -1)!];
  const pad = (v: Value) => [...new Array<number>(rank - v.shape.length).fill(1), ...v.shape];
  const batch = pad(a)
    .slice(0, -2)
    .map((x, i) => Math.max(x, pad(b)[i]!));
  const shape = [...batch, m, n];
  if (!o.transA && !o.transB && (o.alpha ?? 1) === 1) return t.graph.op('MatMul', [a, b], {}, { shape });
  const { transA = false, transB = false, alpha = 1 } = o;
  return t.target.product(t.graph, a, b, { transA, transB, alpha }, shape);
}

kernel<{ transposeA: boolean; transposeB: boolean }>('BatchMatMul', ({ t, inputs: { a, b }, attrs }) => {
  const value = matmul(t, t.plain(a!), t.plain(b!), { transA: attrs.transposeA, transB: attrs.transposeB });
  return t.out(value, value.shape, 'float32');
});
