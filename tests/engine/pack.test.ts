/** Updates packed into long vectors, run on the CPU: the same numbers, in few operators. */
import * as tf from '@tensorflow/tfjs-core';
import * as ort from 'onnxruntime-node';
import { float32, type HostTensors, scalar, sizeOf } from '../../src/base/tensor.js';
import { compileStep } from '../../src/engine/compile.js';
import type { Specs, StepProgram, Tensors } from '../../src/engine/device.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { cpuTarget, type Target } from '../../src/engine/target.js';
import '../../src/nn/kernel-gradients.js';
import { valueAndGradsOf } from '../../src/nn/gradients.js';
import { adamSpecs, adamStep, clipByGlobalNorm, emaStep } from '../../src/train/optimizer.js';
import { expectClose } from '../support/close.js';
import { noise } from '../support/parity.js';

const shapes: Record<string, number[]> = {
  'a.weight': [3, 5],
  'b.weight': [5, 4],
  'c.weight': [4, 2],
  'a.bias': [5],
  'b.bias': [4],
  'c.scale': [1],
};
const specs: Specs = Object.fromEntries(
  Object.entries(shapes).map(([name, shape]) => [name, { shape, dtype: 'float32' }]),
);
const prefixed = <T>(prefix: string, record: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).map(([name, t]) => [`${prefix}.${name}`, t]));

/** Three layers trained by AdamW, weights decaying, with an average of the parameters. */
const program = (clip: number): StepProgram => ({
  name: 'layers',
  state: { ...prefixed('model', specs), ...adamSpecs(specs), ...prefixed('ema', specs) },
  inputs: {
    x: { shape: [6, 3], dtype: 'float32' },
    lr: { shape: [], dtype: 'float32' },
    step: { shape: [], dtype: 'float32' },
  },
  constants: {},
  step(state, { x, lr, step }) {
    const part = (prefix: string): Tensors =>
      Object.fromEntries(Object.keys(shapes).map((name) => [name, state[`${prefix}.${name}`]!]));
    const params = part('model');
    const { value, grads } = valueAndGradsOf(params, (p) => {
      const layer = (y: tf.Tensor, name: string) =>
        tf.matMul(y as tf.Tensor2D, p[`${name}.weight`] as tf.Tensor2D);
      const first = tf.tanh(tf.add(layer(x!, 'a'), p['a.bias']!));
      const second = tf.tanh(tf.add(layer(first, 'b'), p['b.bias']!));
      return tf.mean(tf.square(tf.mul(layer(second, 'c'), p['c.scale']!)));
    });
    const clipped = clipByGlobalNorm(grads, clip);
    const adam = {
      betas: [0.9, 0.95] as const,
      epsilon: 1e-8,
      weightDecay: 0.1,
      decays: (n: string) => n.endsWith('.weight'),
    };
    const next = adamStep(params, clipped.grads, state, lr!, step!, adam);
    return {
      state: {
        ...prefixed('model', next.params),
        ...next.state,
        ...prefixed('ema', emaStep(part('ema'), next.params, 0.9)),
      },
      outputs: { loss: value, norm: clipped.norm },
    };
  },
});

const start = (p: StepProgram): HostTensors =>
  Object.fromEntries(
    Object.entries(p.state).map(([name, { shape }]) => {
      const values = noise(shape, name, 0.5);
      return [
        name,
        name.startsWith('adam.v') ? float32(shape, values.data.map(Math.abs) as Float32Array) : values,
      ];
    }),
  );
const inputs = { x: noise([6, 3], 'x'), lr: scalar(0.01), step: scalar(3) };

const packing = (upTo: number): Target => ({ ...cpuTarget, packs: { upTo, pieces: 7 } });

async function packed(p: StepProgram) {
  const compiled = await compileStep(p, { loopBelow: 0, target: packing(Number.POSITIVE_INFINITY) });
  const session = await ort.InferenceSession.create(compiled.model.model, { logSeverityLevel: 3 });
  const state = start(p);
  const feeds: Record<string, ort.Tensor> = {};
  for (const { name, shape, members } of compiled.buffers) {
    const data = new Float32Array(sizeOf(shape)).fill(members.length > 1 ? 7 : 0); // what lies behind does not count
    for (const { slot, offset } of members) data.set(state[slot.name]!.data, offset);
    feeds[`state/${name}`] = new ort.Tensor('float32', data, shape);
  }
  for (const [name, t] of Object.entries(inputs))
    feeds[`inputs/${name}`] = new ort.Tensor('float32', t.data as Float32Array, t.shape);
  const results = await session.run(feeds);
  const after: HostTensors = {};
  for (const { name, members } of compiled.buffers)
    for (const { slot, offset } of members) {
      const whole = results[`final/${name}`]!.data as Float32Array;
      after[slot.name] = float32(slot.shape, whole.slice(offset, offset + sizeOf(slot.shape)));
    }
  return {
    buffers: compiled.buffers,
    after,
    loss: results['result/loss']!.data[0],
    norm: results['result/norm']!.data[0] as number,
  };
}

async function unpacked(p: StepProgram) {
  const runner = await onnxDevice({ threads: 1, target: packing(0) }).prepareStep(p);
  runner.load(start(p));
  const [outputs] = await runner.run([inputs]);
  const after = await runner.read();
  await runner.dispose();
  return { after, outputs: outputs! };
}

test('one buffer for each part of the state of parameters alike; the odd one stays by itself', async () => {
  const { buffers } = await packed(program(0));
  const several = buffers.filter(({ members }) => members.length > 1);
  expect(several.map(({ members }) => members.map(({ slot }) => slot.name))).toEqual(
    [
      ['a.weight', 'b.weight', 'c.weight'],
      ['a.bias', 'b.bias'],
    ].flatMap((names) =>
      ['model', 'adam.m', 'adam.v', 'ema'].map((prefix) => names.map((name) => `${prefix}.${name}`)),
    ),
  );
  expect(several[0]!.members.map(({ offset }) => offset)).toEqual([0, 15, 35]);
  const alone = buffers.filter(({ members }) => members.length === 1).map(({ name }) => name);
  expect(alone).toEqual(['model.c.scale', 'adam.m.c.scale', 'adam.v.c.scale', 'ema.c.scale']);
});

test('without clipping the bits are the same', async () => {
  const one = await packed(program(0));
  const other = await unpacked(program(0));
  expect(one.loss).toBe(other.outputs.loss!.data[0]);
  expect(one.after).toEqual(other.after);
});

test('the common norm is that of all gradients, packed or not', async () => {
  const one = await packed(program(0.01));
  const other = await unpacked(program(0.01));
  const norm = other.outputs.norm!.data[0]!;
  expect(norm).toBeGreaterThan(0.02);
  expect(Math.abs(one.norm / norm - 1)).toBeLessThan(1e-5);
  for (const [name, wanted] of Object.entries(other.after))
    expectClose(one.after[name]!, wanted, { atol: 1e-6, rtol: 1e-5 });
});

test.each([
  ['one by one', { loopUpTo: 0 }],
  ['in a loop', { loopUpTo: undefined }],
])('a device packs what is small and hands out the state as it was: %s', async (_, o) => {
  const p = program(0);
  const wanted = await unpacked(p);
  for (const upTo of [8, 1000]) {
    const runner = await onnxDevice({ threads: 1, target: packing(upTo), ...o }).prepareStep(p);
    runner.load(start(p));
    const outputs = await runner.run([inputs, inputs]);
    expect(outputs[0]).toEqual(wanted.outputs);
    runner.load(start(p));
    await runner.run([inputs]);
    expect(await runner.read()).toEqual(wanted.after);
    await runner.dispose();
  }
});
