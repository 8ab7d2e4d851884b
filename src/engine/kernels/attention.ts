/** Self-attention without a gradient: every token of a sequence sees all of them. */
import { lastAxis } from '../../base/tensor.js';
import type { Value } from '../graph.js';
import type { Tracer } from '../tracer.js';
import { matmul } from './matmul.js';
import { kernel } from './register.js';

interface Sizes {
  heads: number;
  tokens: number;
}

/** qkv `[B·T, 3D]` → `[B·T, D]`. */
kernel('SelfAttention', ['qkv'], (t, { qkv }, sizes: Sizes) => {
  const [rows, columns] = qkv.shape as [number, number];
  const mixed = (t.target.tiledAttention ? tiled : composed)(t, t.plain(qkv), sizes);
  return t.out(t.reshape(mixed, [rows, columns / 3]), [rows, columns / 3], 'float32');
});

function tiled(t: Tracer, qkv: Value, { heads, tokens }: Sizes): Value {
  const width = lastAxis(qkv) / 3;
  const shape = [qkv.shape[0]! / tokens, tokens, width];
  const sequences = t.reshape(qkv, [shape[0]!, tokens, 3 * width]);
  const parts = t.graph.ops(
    'Split',
    [sequences, t.graph.ints([width, width, width])],
    { axis: 2 },
    new Array(3).fill({ shape }),
  );
  return t.graph.op('MultiHeadAttention', parts, { num_heads: heads }, { shape });
}

function composed(t: Tracer, qkv: Value, { heads, tokens }: Sizes): Value {
  const width = lastAxis(qkv) / 3;
  const [batch, perHead] = [qkv.shape[0]! / tokens, width / heads];
  const apart = t.reshape(qkv, [batch, tokens, 3, heads, perHead]);
  const byHead = t.graph.op(
    'Transpose',
    [apart],
    { perm: [2, 0, 3, 1, 4] },
    { shape: [3, batch, heads, tokens, perHead] },
  );
  const one = { shape: [1, batch, heads, tokens, perHead] };
  const thirds = t.graph.ops('Split', [byHead, t.graph.ints([1, 1, 1])], { axis: 0 }, [one, one, one]);
  const [q, k, v] = thirds.map((part) => t.reshape(part, [batch * heads, tokens, perHead])) as [
    Value,
    Value,
    Value,
  ];
  const scores = matmul(t, q, k, { transB: true, alpha: perHead ** -0.5 });
  const weights = t.graph.op('Softmax', [scores], { axis: -1 }, { shape: scores.shape });
  const mixed = t.reshape(matmul(t, weights, v), [batch, heads, tokens, perHead]);
  return t.graph.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }, { shape: [batch, tokens, heads, perHead] });
}
