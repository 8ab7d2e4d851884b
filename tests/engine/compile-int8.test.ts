/** Programs of precision `int8`: what their products compute, and which products those are. */
import * as tf from '@tensorflow/tfjs-core';
import { silent } from '../../src/base/progress.js';
import { stream } from '../../src/base/rng.js';
import { float32, type HostTensor, type HostTensors } from '../../src/base/tensor.js';
import { compileGraph } from '../../src/engine/compile.js';
import { type GraphProgram, type ProgramPrecision, specsOfTensors } from '../../src/engine/device.js';
import { quantise } from '../../src/engine/quantise.js';
import { cpuTarget, type Target } from '../../src/engine/target.js';
import { tfjsDevice } from '../../src/engine/tfjs-device.js';
import { linear } from '../../src/nn/linear.js';
import { expectClose } from '../support/close.js';
import { dequantise } from '../support/dequantise.js';
import { device, eager, noise } from '../support/parity.js';

const block = 64;
const shapes = [
  [8, 5],
  [64, 33],
  [150, 40], // a short last block
  [512, 96],
] as const;

const precisions = ['int8', 'int8 by rows'] as const;
const cases = precisions.flatMap((precision) => shapes.map((shape) => [precision, ...shape] as const));

/** x·W + b, with the product alone as a second result. */
const layer = (
  x: HostTensor,
  constants: HostTensors,
  precision: ProgramPrecision = 'int8',
): GraphProgram => ({
  name: 'layer',
  inputs: specsOfTensors({ x }),
  constants,
  precision,
  run: ({ x }, { weight, bias }) => ({
    y: linear({ weight: weight!, bias: bias! }, x!),
    product: linear({ weight: weight! }, x!),
  }),
});

async function both(
  x: HostTensor,
  constants: HostTensors,
  precision: ProgramPrecision = 'int8',
): Promise<{ got: HostTensors; want: HostTensors }> {
  const program = layer(x, constants, precision);
  const graph = await device.prepare(program);
  const got = await graph.run({ x });
  await graph.dispose();
  const [rows, columns] = constants.weight!.shape as [number, number];
  const ofOneScale = precision === 'int8' ? block : rows;
  const weights = quantise(constants.weight!.data as Float32Array, [rows, columns], ofOneScale);
  const stored = dequantise(weights, [rows, columns], ofOneScale);
  const float = { ...constants, weight: float32([rows, columns], stored) };
  return { got, want: await eager({ x, ...float }, (all) => program.run(all, all)) };
}

test.each(cases)(
  '%s, [%i, %i]: whole numbers up to 127 are read as they are',
  async (precision, rows, columns) => {
    const rng = stream('whole numbers');
    // A quarter of whole numbers, ±127 in every block: 8 bits hold them exactly, block by block or row by row.
    const x = float32(
      [7, rows],
      Array.from({ length: 7 * rows }, (_, i) => ((i % rows) % block === 3 ? 127 : rng.below(255) - 127) / 4),
    );
    const constants = { weight: noise([rows, columns], 'weight'), bias: noise([columns], 'bias') };
    const { got, want } = await both(x, constants, precision);
    const size = Math.max(...want.product!.data.map(Math.abs));
    // Nothing is rounded but sums in float32.
    for (const name of ['y', 'product']) expectClose(got[name]!, want[name]!, { atol: 1e-5 * size, rtol: 0 });
  },
);

test.each(cases)(
  '%s, [%i, %i]: other inputs move by half a step at most',
  async (precision, rows, columns) => {
    const x = noise([7, rows], 'x');
    const constants = { weight: noise([rows, columns], 'weight'), bias: noise([columns], 'bias') };
    const { got, want } = await both(x, constants, precision);
    const difference = got.y!.data.map((y, i) => y - want.y!.data[i]!);
    for (let row = 0; row < 7; row++) {
      const step = Math.max(...x.data.subarray(row * rows, (row + 1) * rows).map(Math.abs)) / 127;
      for (let column = 0; column < columns; column++) {
        let magnitudes = 0;
        for (let k = 0; k < rows; k++) magnitudes += Math.abs(constants.weight.data[k * columns + column]!);
        expect(Math.abs(difference[row * columns + column]!)).toBeLessThan((step / 2) * magnitudes * 1.02);
      }
    }
  },
);

test.each(precisions)('%s: a row does not depend on the others', async (precision) => {
  const constants = { weight: noise([150, 40], 'weight'), bias: noise([40], 'bias') };
  const x = noise([3, 150], 'x');
  const alone = await both(x, constants, precision);
  for (let i = 150; i < 450; i++) x.data[i]! *= 1000;
  const beside = await both(x, constants, precision);
  expect(beside.got.y!.data.slice(0, 40)).toEqual(alone.got.y!.data.slice(0, 40));
});

/** Operators of the graph and bytes of its large constants. */
async function compiled(program: GraphProgram): Promise<{ text: string; bytes: number }> {
  const { model } = await compileGraph(program);
  const bytes = model.weights.reduce((sum, part) => sum + part.length, 0);
  return { text: Buffer.from(model.model).toString('latin1'), bytes };
}

test('only products with a constant on the right are of 8 bits, their bias inside; the float weights are gone', async () => {
  const x = noise([4, 128], 'x');
  const constants = {
    weight: noise([128, 256], 'weight'),
    bias: noise([256], 'bias'),
    table: noise([64, 128], 'table'),
  };
  const program: GraphProgram = {
    ...layer(x, constants),
    run({ x }, { weight, bias, table }) {
      const h = linear({ weight: weight!, bias: bias! }, x!); // [4, 256]
      const scores = tf.matMul(table as tf.Tensor2D, x as tf.Tensor2D, false, true); // [64, 4]
      return { y: tf.matMul(scores, h as tf.Tensor2D) };
    },
  };
  const int8 = await compiled(program);
  expect(int8.text.match(/MatMulNBits_/g)).toHaveLength(1);
  expect(int8.text).not.toMatch(/Add_/);
  expect(int8.bytes).toBe(128 * 256 + 4 * 64 * 128);
  const f32 = await compiled({ ...program, precision: 'f32' });
  expect(f32.text).not.toMatch(/MatMulNBits/);
  expect(f32.bytes).toBe(4 * 128 * 256 + 4 * 64 * 128);
});

test('by rows: products of bytes where their sums are exact, else blocks', async () => {
  const x = noise([4, 128], 'x');
  const constants = { weight: noise([128, 256], 'weight'), bias: noise([256], 'bias') };
  const operators = async (target: Target) => {
    const { model } = await compileGraph(layer(x, constants, 'int8 by rows'), target);
    return Buffer.from(model.model)
      .toString('latin1')
      .match(/MatMul[A-Za-z]+/g);
  };
  expect(new Set(await operators({ ...cpuTarget, exactBytes: true }))).toEqual(
    new Set(['MatMulIntegerToFloat']),
  );
  expect(new Set(await operators(cpuTarget))).toEqual(new Set(['MatMulNBits']));
});

test('by rows: a row of zeros, a column of zeros', async () => {
  const x = float32([2, 3], [0, 0, 0, 1, 2, -3]);
  const constants = { weight: float32([3, 2], [0, 1, 0, 1, 0, 1]), bias: float32([2], [5, 7]) };
  const { got } = await both(x, constants, 'int8 by rows');
  expectClose(got.y!, float32([2, 2], [5, 7, 5, 7]), { atol: 0.05 });
});

test.each(precisions)('--device tfjs has no 8-bit products: %s', async (precision) => {
  const eager = await tfjsDevice(silent);
  const x = noise([1, 8], 'x');
  await expect(eager.prepare(layer(x, {}, precision))).rejects.toThrow(
    'Expected f32 for --precision but received int8. 8-bit products need --device cpu or webgpu.',
  );
});
