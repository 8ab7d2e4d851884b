/**
 * Files for any runtime: axes that are free are, what depends on their length is refused, and nothing but the standard
 * is in them.
 */

import fs from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { float32, type HostTensors, int32 } from '../../src/base/tensor.js';
import type { GraphProgram, InputSpec, Tensors } from '../../src/engine/device.js';
import { openOnnxModel, readOnnxMetadata } from '../../src/engine/onnx-file.js';
import { portableModel } from '../../src/engine/portable.js';
import { gelu } from '../../src/nn/gelu.js';
import { groupNorm } from '../../src/nn/group-norm.js';
import { layerNorm } from '../../src/nn/layer-norm.js';
import { spatialAttention } from '../../src/nn/spatial-attention.js';
import { upsampleConv } from '../../src/nn/upsample-conv.js';
import { expectClose } from '../support/close.js';
import { eager, noise } from '../support/parity.js';
import { temporaryFolder } from '../support/run.js';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => fs.rm(folder, { recursive: true }));

const free = (shape: readonly number[], axes: Record<number, string> = { 0: 'batch' }): InputSpec => ({
  shape,
  dtype: 'float32',
  free: axes,
});

const image = free([1, 4, 4, 8]);
const conv = (kernel: number, key: string): HostTensors => ({
  [`${key}.weight`]: noise([kernel, kernel, 8, 8], key, 0.3),
  [`${key}.bias`]: noise([8], key),
});
const norm: HostTensors = { gamma: noise([8], 'gamma'), beta: noise([8], 'beta') };
const convAt = (c: Tensors, key: string) => ({ weight: c[`${key}.weight`]!, bias: c[`${key}.bias`]! });
const normOf = (c: Tensors) => ({ gamma: c.gamma!, beta: c.beta!, groups: 8 });

/** What has an operator of ONNX Runtime's own, or of a later opset, on the CPU; and shapes that hold a free length. */
const programs: Record<string, Omit<GraphProgram, 'name'>> = {
  'group normalisation and swish': {
    inputs: { x: image },
    constants: norm,
    run: ({ x }, c) => ({ y: groupNorm(normOf(c), x!, { swish: true }) }),
  },
  'layer normalisation and GELU': {
    inputs: { x: free([1, 5, 8]) },
    constants: norm,
    run: ({ x }, c) => ({ y: gelu(layerNorm(normOf(c), x!)) }),
  },
  'attention over an image': {
    inputs: { x: image },
    constants: { ...norm, ...conv(1, 'q'), ...conv(1, 'k'), ...conv(1, 'v'), ...conv(1, 'o') },
    run: ({ x }, c) => {
      const [query, key, value, out] = ['q', 'k', 'v', 'o'].map((name) => convAt(c, name));
      const params = { norm: normOf(c), query: query!, key: key!, value: value!, out: out! };
      return { y: spatialAttention(params, x!) };
    },
  },
  enlargement: {
    inputs: { x: image },
    constants: conv(3, 'up'),
    run: ({ x }, c) => ({ y: upsampleConv(convAt(c, 'up'), x!) }),
  },
  'reductions, one-hot, sign, softmax': {
    inputs: { x: free([1, 6]) },
    constants: {},
    run: ({ x }) => {
      const moved = tf.sub(x!, tf.mean(x!, 1, true));
      const ids = tf.argMax(x!, 1);
      const parts = [tf.max(moved, 1), tf.min(moved, 1), tf.cast(ids, 'float32')];
      const hot = tf.mul(tf.oneHot(ids as tf.Tensor1D, 6), tf.softmax(tf.sign(moved)));
      return { y: tf.add(tf.sum(hot, 1), tf.sum(tf.stack(parts), 0)), ids };
    },
  },
  'two free axes': {
    inputs: {
      a: free([1, 3, 1, 2], { 0: 'batch', 2: 'length' }),
      b: free([2, 1, 1, 2], { 1: 'batch', 2: 'length' }),
    },
    constants: {},
    run: ({ a, b }) => {
      const [first, second] = tf.unstack(b!); // [batch, length, 2]
      const joined = tf.concat([a!, tf.stack([first!, second!], 1)], 1); // [batch, 5, length, 2]
      const longer = tf.concat([joined, tf.mean(joined, 2, true)], 2);
      return { joined, longer, flat: tf.reshape(tf.mean(joined, 2), [-1, 10]) };
    },
  },
};

async function write(program: GraphProgram, halves = false): Promise<string> {
  const file = path.join(folder, `${program.name.replace(/\W+/g, '-')}.onnx`);
  await fs.writeFile(file, await portableModel(program, { metadata: { vqgen: '1', note: 'a – b' }, halves }));
  return file;
}

/** Inputs with `batch` and `length` for the free axes. */
const inputsAt = (inputs: GraphProgram['inputs'], lengths: Record<string, number>): HostTensors =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, spec]) => [
      name,
      noise(
        spec.shape.map((n, axis) => lengths[spec.free?.[axis] ?? ''] ?? n),
        name,
      ),
    ]),
  );

test.each(Object.entries(programs))('%s, at any length of a free axis', async (name, rest) => {
  const model = await openOnnxModel(await write({ name, ...rest }), '--model', 1);
  for (const lengths of [
    { batch: 1, length: 1 },
    { batch: 3, length: 7 },
    { batch: 16, length: 2 },
  ]) {
    const inputs = inputsAt(rest.inputs, lengths);
    const wanted = await eager({ ...inputs, ...rest.constants }, (all) => rest.run(all, all));
    const actual = await model.run(inputs);
    expect(Object.keys(actual)).toEqual(Object.keys(wanted));
    for (const key of Object.keys(wanted))
      expectClose(actual[key]!, wanted[key]!, { atol: 1e-5, rtol: 1e-4 });
  }
  await model.dispose();
});

test('int32 is int64 at the borders, and metadata is read again', async () => {
  const file = await write({
    name: 'numbers',
    inputs: { ids: { shape: [1], dtype: 'int32', free: { 0: 'batch' } } },
    constants: { table: noise([5, 3], 'table') },
    run: ({ ids }, { table }) => ({
      rows: tf.gather(table!, ids!),
      next: tf.add(ids!, tf.scalar(1, 'int32')),
    }),
  });
  const model = await openOnnxModel(file, '--model', 1);
  const { rows, next } = await model.run({ ids: int32([2], [4, 0]) });
  const table = noise([5, 3], 'table').data;
  expectClose(rows!, float32([2, 3], [...table.slice(12), ...table.slice(0, 3)]), { atol: 0, rtol: 0 });
  expect([...next!.data]).toEqual([5, 1]);
  await model.dispose();
  expect(await readOnnxMetadata(file, '--model')).toEqual({ vqgen: '1', note: 'a – b' });
});

test.each<[string, InputSpec, (x: tf.Tensor) => tf.Tensor, RegExp]>([
  [
    'a length as a number',
    free([1, 4]),
    (x) => tf.div(x, x.shape[0]!),
    /a Div from .* depends on a free axis/,
  ],
  ['a repetition', free([1, 4]), (x) => tf.tile(x, [x.shape[0]!, 1]), /depends on a free axis|as long as/],
  [
    'a part of it',
    free([4, 1], { 1: 'batch' }),
    (x) => tf.slice(x, [0, 1], [4, x.shape[1]! - 1]),
    /of Slice depends/,
  ],
  [
    'two axes in one',
    free([1, 4, 1], { 0: 'batch', 2: 'length' }),
    (x) => tf.reshape(x, [-1]),
    /neither as long/,
  ],
])('refused: %s', async (_, x, run, message) => {
  const program = { name: 'bad', inputs: { x }, constants: {}, run: ({ x }: Tensors) => ({ y: run(x!) }) };
  await expect(portableModel(program, { metadata: {}, halves: false })).rejects.toThrow(message);
});

test('half precision: half the bytes, rounded weights, sums in float32', async () => {
  const weight = noise([64, 64], 'weight');
  const program: GraphProgram = {
    name: 'product',
    inputs: { x: free([1, 64]) },
    constants: { weight, bias: noise([64], 'bias') },
    run: ({ x }, { weight, bias }) => ({
      y: tf.add(tf.matMul(x as tf.Tensor2D, weight as tf.Tensor2D), bias!),
    }),
  };
  const whole = (await fs.stat(await write(program))).size;
  const file = await write(program, true);
  expect((await fs.stat(file)).size).toBeLessThan(0.6 * whole);
  const inputs = inputsAt(program.inputs, { batch: 3 });
  const rounded = float32([64, 64], Float32Array.from(weight.data, toNearestHalf));
  const wanted = await eager({ ...inputs, ...program.constants, weight: rounded }, (all) =>
    program.run(all, all),
  );
  const model = await openOnnxModel(file, '--model', 1);
  expectClose((await model.run(inputs)).y!, wanted.y!, { atol: 1e-5, rtol: 1e-5 });
  await model.dispose();
});

/** 11 significant bits; no weight here is so small that there are fewer. */
function toNearestHalf(x: number): number {
  const step = 2 ** (Math.floor(Math.log2(Math.abs(x))) - 10);
  const up = Math.round(x / step);
  return (up - x / step === 0.5 && up % 2 !== 0 ? up - 1 : up) * step; // the even one of two
}
