/**
 * Composite kernels of next-token sampling. No attribute or constant holds the length of the cache: that axis may be
 * free.
 */
import type { Shape4 } from '../../base/tensor.js';
import { matmul } from './matmul.js';
import { kernel } from './register.js';

kernel('CachedAttention', ['qkv', 'keys', 'values', 'mask'], (t, inputs, { heads }: { heads: number }) => {
  const g = t.graph;
  const [qkv, keys] = [t.plain(inputs.qkv), t.plain(inputs.keys)];
  const [values, mask] = [t.plain(inputs.values), t.plain(inputs.mask)];
  const [batch, width] = qkv.shape as [number, number];
  const perHead = width / 3 / heads;
  const one = { shape: [batch, heads, 1, perHead] };
  const byHead = t.reshape(qkv, [batch, 3 * heads, 1, perHead]);
  const [q, k, v] = g.ops('Split', [byHead, g.ints([heads, heads, heads])], { axis: 1 }, [one, one, one]);
  // As a vector: ONNX Runtime would move a scalar into the products, whose fast path for one row takes none.
  const scale = g.constant('float32', [perHead], new Float32Array(perHead).fill(perHead ** -0.5));
  const scaled = g.op('Mul', [q, scale], {}, one);
  const scores = matmul(t, scaled, keys, { transB: true }); // [B, H, 1, L]
  const before = g.op('Add', [scores, mask], {}, { shape: scores.shape });
  const here = matmul(t, scaled, k, { transB: true }); // [B, H, 1, 1]
  const [, , length] = keys.shape as Shape4;
  const all = { shape: [batch, heads, 1, length + 1] };
  const weights = g.op('Softmax', [g.op('Concat', [before, here], { axis: 3 }, all)], { axis: 3 }, all);
  const part = (from: number, to: number, count: number) =>
    g.op(
      'Slice',
      [weights, g.ints([from]), g.ints([to]), g.ints([3])],
      {},
      { shape: [batch, heads, 1, count] },
    );
  const mixed = matmul(t, part(0, -1, length), values);
  const own = g.op('Mul', [part(-1, 2 ** 31, 1), v], {}, one);
  const sum = g.op('Add', [mixed, own], {}, one);
  return t.out(t.reshape(sum, [batch, width / 3]), [batch, width / 3], 'float32');
});

/** How long a (free) axis is: int32 [1]. */
kernel('AxisLength', ['x'], (t, { x }, { axis }: { axis: number }) => {
  const out = { type: 'int64', shape: [1] } as const;
  const length = t.graph.op('Shape', [t.plain(x)], { start: axis, end: axis + 1 }, out);
  return t.out(t.graph.op('Cast', [length], { to: 6 }, { type: 'int32', shape: [1] }), [1], 'int32');
});
