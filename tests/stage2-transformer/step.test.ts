import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { int32, scalar } from '../../src/base/tensor.js';
import { configSchema, type PriorConfig } from '../../src/config/schema.js';
import { compileStep } from '../../src/engine/compile.js';
import type { Tensors } from '../../src/engine/device.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import type { Prior } from '../../src/stage2-transformer/prior.js';
import { priorEvaluation, priorStart, priorStep } from '../../src/stage2-transformer/step.js';
import { expectClose } from '../support/close.js';
import { priorOfSizes, small, waveParams } from '../support/gpt.js';

const config = (o: Partial<PriorConfig>): PriorConfig => ({
  ...configSchema.parse({}).prior,
  ...small,
  batch_size: 2,
  dropout: 0,
  ...o,
});
const ids = tf.tensor2d(
  [
    [5, 0, 3, 1],
    [5, 2, 2, 4],
  ],
  [2, 4],
  'int32',
);
const targets = tf.tensor2d(
  [
    [0, 3, 1, 2],
    [2, 2, 4, 0],
  ],
  [2, 4],
  'int32',
);

/** The same sequences as a canvas. */
const whole = { codes: Int32Array.from(targets.dataSync()), labels: Int32Array.of(-1, -1) };

function waveState(o: PriorConfig): Tensors {
  const state: Tensors = {};
  for (const [name, spec] of Object.entries(priorStep(o, priorOfSizes(small)).state))
    state[name] = tf.zeros([...spec.shape]);
  for (const [name, value] of Object.entries(waveParams(small))) state[`model.${name}`] = value;
  return state;
}

test('two steps equal PyTorch: clipping, AdamW, decay on linear weights only', () => {
  const o = config({ clip: 0.5, weight_decay: 0.5 });
  const program = priorStep(o, priorOfSizes(small));
  const lr = tf.scalar(0.01);
  const first = program.step(waveState(o), { ids, targets, lr, step: tf.scalar(1) }, {});
  expectClose(first.outputs.loss!, [1.6285484]);
  expectClose(first.outputs.gradient_norm!, [1.0768287]);
  const second = program.step(first.state, { ids, targets, lr, step: tf.scalar(2) }, {});
  expectClose(second.outputs.loss!, [1.5613834]);
  expect(Object.keys(second.state).sort()).toEqual(Object.keys(program.state).sort());
  const { 'model.head.weight': head, 'model.tokens.weight': table } = second.state;
  expectClose(
    tf.slice(head!, [0, 0], [1, 5]),
    tf.tensor2d([[0.008665, 0.327827, 0.467665, 0.462632, 0.222736]]),
  );
  expectClose(tf.slice(table!, [5, 0], [1, 4]), tf.tensor2d([[0.400044, 0.249041, 0.097155, -0.119597]]), {
    atol: 3e-5, // Adam's first steps divide gradients by their own size
  });
});

/** The noise of dropout alone. */
function noiseOf(prior: Prior, step: number): Tensors {
  const { batched, common } = prior.feed('train', step, whole);
  const all = Object.entries({ ...batched, ...common }).filter(([name]) => name.startsWith('noise.'));
  return Object.fromEntries(all.map(([name, { data, shape }]) => [name, tf.tensor(data, [...shape])]));
}

test('the loss falls over 20 steps on one batch, with dropout on', () => {
  const o = config({ dropout: 0.1 });
  const prior = priorOfSizes(small, { dropout: 0.1 });
  const program = priorStep(o, prior);
  const start = priorStart(prior, 3);
  let state = Object.fromEntries(
    Object.entries(start).map(([name, t]) => [name, tf.tensor(t.data, [...t.shape])]),
  ) as Tensors;
  const losses: number[] = [];
  for (let step = 1; step <= 20; step++) {
    const noise = noiseOf(prior, step);
    const result = tf.tidy(() =>
      program.step(state, { ids, targets, lr: tf.scalar(0.02), step: tf.scalar(step), ...noise }, {}),
    );
    state = result.state;
    losses.push(result.outputs.loss!.dataSync()[0]!);
  }
  expect(losses[0]).toBeCloseTo(Math.log(5), 1);
  expect(losses[19]).toBeLessThan(0.7 * losses[0]!);
});

/** Losses of steps on one batch of 8 sequences of 16 codes, and how many products are of integers. */
async function losses(precision: 'f32' | 'int8'): Promise<{ losses: number[]; integerProducts: number }> {
  const prior = priorOfSizes({ layers: 2, heads: 4, width: 32, codes: 12, tokens: 16 }, { precision });
  const program = priorStep(config({ batch_size: 8, precision }), prior);
  const { model } = await compileStep(program);
  const integerProducts =
    Buffer.from(model.model).toString('latin1').split('MatMulIntegerToFloat_').length - 1;
  const runner = await onnxDevice({ threads: 1 }).prepareStep(program);
  runner.load(priorStart(prior, 1));
  const codes = Int32Array.from({ length: 8 * 16 }, (_, i) => (i * i + 3 * i) % 11);
  const { batched } = prior.feed('train', 1, { codes, labels: new Int32Array(8).fill(-1) });
  const steps = Array.from({ length: 60 }, (_, i) => ({ ...batched, lr: scalar(0.01), step: scalar(i + 1) }));
  const outputs = await runner.run(steps);
  await runner.dispose();
  return { losses: outputs.map(({ loss }) => loss!.data[0]!), integerProducts };
}

test('products of integers learn what those of floats learn', async () => {
  const [float, integer] = [await losses('f32'), await losses('int8')];
  // Of two blocks four layers each: forward one, of the gradients one and, twice as fine, two.
  expect([float.integerProducts, integer.integerProducts]).toEqual([0, 2 * 4 * 4]);
  expect(integer.losses[0]).not.toBe(float.losses[0]);
  expect(Math.abs(integer.losses[0]! - float.losses[0]!)).toBeLessThan(1e-3);
  expect(float.losses[59]).toBeLessThan(0.3 * float.losses[0]!);
  expect(Math.abs(integer.losses[59]! - float.losses[59]!)).toBeLessThan(0.02 * float.losses[0]!);
});

test('whatever it learnt with, a prior is judged in float32', () => {
  const params = Object.fromEntries(
    Object.entries(waveParams(small)).map(([name, value]) => [`model.${name}`, value]),
  );
  const [float, integer] = (['f32', 'int8'] as const).map((precision) =>
    priorEvaluation(priorOfSizes(small, { precision }), 2)
      .run({ ...params, ids, targets }, {})
      .loss.dataSync(),
  );
  expect(integer).toEqual(float);
});

test('classes that decide the codes are learned; without its class a sequence is one of either', async () => {
  const prior = priorOfSizes({ ...small, classes: 2 });
  const device = onnxDevice({ threads: 1 });
  const runner = await device.prepareStep(priorStep(config({ batch_size: 4 }), prior));
  runner.load(priorStart(prior, 3));
  const sequence = (start: number, code: number) => [start, code, code, code];
  const rows = [sequence(6, 1), sequence(7, 2), sequence(5, 1), sequence(5, 2)];
  const step = {
    ids: int32([4, 4], rows.flat()),
    targets: int32(
      [4, 4],
      rows.flatMap(([, ...codes]) => [codes[0]!, ...codes]),
    ),
    lr: scalar(0.02),
  };
  await runner.run(Array.from({ length: 100 }, (_, i) => ({ ...step, step: scalar(i + 1) })));
  const state = await runner.read();
  await runner.dispose();

  const graph = await device.prepare(priorEvaluation(prior, 1));
  const weights = Object.fromEntries(Object.entries(state).filter(([name]) => name.startsWith('model.')));
  const loss = async (start: number, code: number): Promise<number> => {
    const targets = int32([1, 4], [code, code, code, code]);
    const { loss } = await graph.run({ ...weights, ids: int32([1, 4], sequence(start, code)), targets });
    return 4 * loss!.data[0]!;
  };
  for (const [start, code] of [
    [6, 1],
    [7, 2],
  ] as const) {
    expect(await loss(start, code)).toBeLessThan(0.2);
    expect(await loss(start, 3 - code)).toBeGreaterThan(2);
    expect(await loss(5, code)).toBeCloseTo(Math.LN2, 0);
  }
  await graph.dispose();
});

test('dropout changes the loss, and is off without a noise input', () => {
  const loss = (dropout: number): number => {
    const o = config({ dropout });
    const prior = priorOfSizes(small, { dropout });
    const program = priorStep(o, prior);
    expect('noise.rows' in program.inputs).toBe(dropout > 0);
    const inputs = { ids, targets, lr: tf.scalar(0), step: tf.scalar(1) };
    const { outputs } = program.step(waveState(o), { ...inputs, ...noiseOf(prior, 1) }, {});
    return outputs.loss!.dataSync()[0]!;
  };
  expect(loss(0)).toBeCloseTo(1.62855, 4);
  expect(Math.abs(loss(0.3) - 1.62855)).toBeGreaterThan(1e-3);
});

test('evaluation: nats per token of each sequence, without dropout', () => {
  const weights = Object.fromEntries(
    Object.entries(waveParams(small)).map(([name, value]) => [`model.${name}`, value]),
  );
  const { loss } = priorEvaluation(priorOfSizes(small), 2).run({ ...weights, ids, targets }, {});
  expect(loss!.shape).toEqual([2]);
  expectClose(tf.mean(loss!), [1.6285484]);
});
