import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { readProfile } from '../../src/engine/profile.js';

const event = (op: string, dur: number, inputs: number[][], outputs: number[][], kind = 'kernel_time') => ({
  cat: 'Node',
  name: `${op}_7_${kind}`,
  dur,
  args: {
    op_name: op,
    input_type_shape: inputs.map((float) => ({ float })),
    output_type_shape: outputs.map((float) => ({ float })),
  },
});

test('operator times are summed by operator and shapes, with the arithmetic of products and convolutions', async () => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'vqgen-test-'));
  const product = [
    [
      [2, 3, 5],
      [2, 5, 7],
    ],
    [[2, 3, 7]],
  ] as const; // 2 · 2·3·5·7 = 420
  const convolution = [
    [
      [1, 4, 8, 8],
      [6, 4, 3, 3],
    ],
    [[1, 6, 8, 8]],
  ] as const; // 2 · 384 · 36 = 27648
  const events = [
    event('Loop', 9000, [], []),
    event('Mul', 1500, [[2, 2], []], [[2, 2]]),
    event('Mul', 500, [[2, 2], []], [[2, 2]]),
    event('Mul', 700, [[3], [3]], [[3]]),
    event('Mul', 8000, [[3], [3]], [[3]], 'fence_before'),
    event('MatMul', 400, ...(product as unknown as [number[][], number[][]])),
    event('MatMulNBits', 350, [[3, 5], [7]], [[3, 7]]), // 2 · 3·5·7 = 210
    event('Conv', 300, ...(convolution as unknown as [number[][], number[][]])),
    { cat: 'Session', name: 'model_run', dur: 1, args: {} },
  ];
  const file = path.join(folder, 'profile.json');
  await fs.writeFile(file, JSON.stringify(events));
  expect(await readProfile(file)).toEqual([
    { op: 'Mul', shapes: '2×2, scalar → 2×2', calls: 2, ms: 2, gflop: 0 },
    { op: 'Mul', shapes: '3, 3 → 3', calls: 1, ms: 0.7, gflop: 0 },
    {
      op: 'MatMul',
      shapes: '2×3×5, 2×5×7 → 2×3×7',
      calls: 1,
      ms: 0.4,
      gflop: expect.closeTo(420 / 1e9, 15),
    },
    {
      op: 'MatMulNBits',
      shapes: '3×5, 7 → 3×7',
      calls: 1,
      ms: 0.35,
      gflop: expect.closeTo(210 / 1e9, 15),
    },
    {
      op: 'Conv',
      shapes: '1×4×8×8, 6×4×3×3 → 1×6×8×8',
      calls: 1,
      ms: 0.3,
      gflop: expect.closeTo(27648 / 1e9, 15),
    },
  ]);
  await fs.rm(folder, { recursive: true });
});

test.each([
  ['a product with weights that lie packed', 'MatMul', [[6, 5]], [6, 7], 420],
  ['the same turned', 'FusedMatMul', [[2, 3, 5]], [2, 3, 7], 420],
  ['with a bias', 'Gemm', [[6, 5], [7]], [6, 7], 420],
  [
    'with a bias as a row',
    'Gemm',
    [
      [6, 7],
      [1, 7],
    ],
    [6, 7],
    588,
  ],
  ['with weights that are no constants', 'Gemm', [[6, 5], [7, 5], [7]], [6, 7], 420],
  [
    'attention, scores and sums',
    'MultiHeadAttention',
    [
      [2, 3, 8],
      [2, 4, 8],
      [2, 4, 8],
    ],
    [2, 3, 8],
    768,
  ],
])('arithmetic of %s', async (_, op, inputs, output, wanted) => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'vqgen-test-'));
  const file = path.join(folder, 'profile.json');
  await fs.writeFile(file, JSON.stringify([event(op, 100, inputs, [output])]));
  const [{ gflop } = { gflop: 0 }] = await readProfile(file);
  expect(gflop * 1e9).toBeCloseTo(wanted, 6);
});
