/** Operator times as ONNX Runtime's profiler writes them, summed by operator and shapes. */
import fs from 'node:fs/promises';
import { must } from '../base/lookup.js';
import { lastAxis, sizeOf } from '../base/tensor.js';

/** All calls of one operator on operands of the same shapes. */
export interface OperatorTime {
  readonly op: string;
  /** Of inputs, then outputs: `8×64×32×32, 64×64×3×3 → 8×64×32×32`. */
  readonly shapes: string;
  readonly calls: number;
  readonly ms: number;
  /** Multiplications and additions of one call in 10⁹; 0 where they do not count beside moving the numbers. */
  readonly gflop: number;
}

interface Event {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args: {
    readonly op_name?: string;
    readonly input_type_shape?: readonly Record<string, number[]>[];
    readonly output_type_shape?: readonly Record<string, number[]>[];
  };
}

/** The slowest first; control flow (Loop) is left out, since its body is in. */
export async function readProfile(file: string): Promise<OperatorTime[]> {
  const events = JSON.parse(await fs.readFile(file, 'utf8')) as Event[];
  const rows = new Map<string, { op: string; shapes: string; calls: number; ms: number; gflop: number }>();
  for (const { cat, name, dur, args } of events) {
    const op = args?.op_name;
    if (cat !== 'Node' || !op || op === 'Loop' || !name.endsWith('_kernel_time')) continue;
    const [inputs, outputs] = [args.input_type_shape, args.output_type_shape].map((list) =>
      (list ?? []).map((typed) => Object.values(typed)[0] ?? []),
    ) as [number[][], number[][]];
    const text = (list: number[][]) => list.map((shape) => shape.join('×') || 'scalar').join(', ');
    const shapes = `${text(inputs)} → ${text(outputs)}`;
    const key = `${op} ${shapes}`;
    const row = rows.get(key) ?? { op, shapes, calls: 0, ms: 0, gflop: gflop(op, inputs, outputs) };
    rows.set(key, { ...row, calls: row.calls + 1, ms: row.ms + dur / 1000 });
  }
  return [...rows.values()].sort((a, b) => b.ms - a.ms);
}

/** Of products and convolutions: two for each product that is added up. Weights that lie packed have no shape. */
function gflop(op: string, inputs: readonly number[][], outputs: readonly number[][]): number {
  const [a, b] = inputs;
  const [y] = outputs;
  if (!a || !y) return 0;
  if (/Conv$/.test(op)) return b ? (2 * sizeOf(y) * sizeOf(b.slice(1))) / 1e9 : 0;
  if (op === 'ConvTranspose') return b ? (2 * sizeOf(a) * sizeOf(b.slice(1))) / 1e9 : 0;
  if (op === 'MultiHeadAttention') return b ? (4 * sizeOf(a) * must(b[1], 'length')) / 1e9 : 0;
  if (!/MatMul|Gemm/.test(op)) return 0;
  const packed = !b || b.length < 2 || (op === 'Gemm' && b[0] === 1); // then b is a bias, or a scale
  if (packed || op === 'MatMulNBits') return (2 * sizeOf(y) * lastAxis({ shape: a })) / 1e9;
  // √(M·K · K·N · M·N) = M·N·K, whichever way the factors lie.
  const batch = sizeOf(y.slice(0, -2));
  const perBatch = (shape: readonly number[]) => sizeOf(shape.slice(-2));
  return (2 * batch * Math.sqrt(perBatch(a) * perBatch(b) * perBatch(y))) / 1e9;
}
