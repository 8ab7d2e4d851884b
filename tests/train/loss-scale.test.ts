/**
 * Loss scaling: what a step does whose gradients are not finite, when the scale grows, and that checkpoints serve
 * either precision.
 */
import path from 'node:path';
import { type HostTensors, scalar } from '../../src/base/tensor.js';
import { loadCheckpoint, saveCheckpoint } from '../../src/checkpoint/store.js';
import { checkTogether } from '../../src/config/checks.js';
import { configSchema } from '../../src/config/schema.js';
import { specsOfTensors } from '../../src/engine/device.js';
import { vanishedScale } from '../../src/train/guard.js';
import { firstScale, GROWS_AFTER, isLossScale, scaleValues } from '../../src/train/loss-scale.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { device } from '../support/parity.js';
import {
  accumulatingTraining,
  priorTraining,
  small,
  stage1Training,
  type Training,
} from '../support/steps.js';

afterAll(removeFolders);

async function after(
  { program, start, inputs }: Training,
  runs: readonly number[],
  scale: Record<string, number>,
): Promise<{ state: HostTensors; outputs: HostTensors[]; start: HostTensors }> {
  const from = { ...start };
  for (const [name, value] of Object.entries(scale)) from[name] = scalar(value);
  const runner = await device.prepareStep(program);
  runner.load(from);
  const outputs = await runner.run(runs.map(inputs));
  const state = await runner.read();
  await runner.dispose();
  return { state, outputs, start: from };
}

const value = (state: HostTensors, name: string) => state[name]!.data[0]!;
const changed = (a: HostTensors, b: HostTensors, which: RegExp) =>
  Object.keys(a).filter((name) => which.test(name) && a[name]!.data.some((x, i) => x !== b[name]!.data[i]));

test('a gradient that is not finite: no bit of weights and moments moves, the scale halves, the loss stays finite', async () => {
  const { state, outputs, start } = await after(priorTraining('f16'), [1], { 'loss_scale.value': 2 ** 60 });
  expect(changed(start, state, /^(model|adam)\./)).toEqual([]);
  expect(value(state, 'loss_scale.value')).toBe(2 ** 59);
  expect(value(state, 'loss_scale.good')).toBe(0);
  expect(value(state, 'loss_scale.skipped')).toBe(1);
  expect(outputs[0]!.skipped!.data[0]).toBe(1);
  expect(Number.isFinite(outputs[0]!.loss!.data[0])).toBe(true);
});

test('after enough good steps the scale doubles; the optimiser counts only those in which it acted', async () => {
  const scale = { 'loss_scale.value': 2 ** 10, 'loss_scale.good': GROWS_AFTER - 2, 'loss_scale.skipped': 0 };
  const { state } = await after(priorTraining('f16'), [1, 2], scale);
  expect(value(state, 'loss_scale.value')).toBe(2 ** 11);
  expect(value(state, 'loss_scale.good')).toBe(0);
  const late = await after(priorTraining('f16'), [1, 2, 3], { 'loss_scale.skipped': 0 });
  expect(value(late.state, 'loss_scale.good')).toBe(3);
});

test('stage 1: generator and discriminator each skip by themselves, and λ stays finite', async () => {
  const huge = { 'loss_scale.value': 2 ** 60, 'disc_loss_scale.value': 2 ** 8 };
  const { state, outputs, start } = await after(
    stage1Training(true, { ...small, precision: 'f16' }),
    [1],
    huge,
  );
  expect(changed(start, state, /^(model|adam)\.(?!bottleneck)/)).toEqual([]);
  expect(changed(start, state, /^disc\./).length).toBeGreaterThan(5);
  expect(value(state, 'disc_loss_scale.value')).toBe(2 ** 8);
  for (const [name, { data, dtype }] of Object.entries(outputs[0]!))
    if (dtype === 'float32') expect([name, Number.isFinite(data[0])]).toEqual([name, true]);
});

test('micro-batches: a step that is skipped leaves nothing behind in the sums', async () => {
  const training = accumulatingTraining({ ...small, precision: 'f16' });
  const { state } = await after(training, [1, 2, 3, 4], { 'loss_scale.value': 2 ** 60 });
  const sums = Object.entries(state).filter(([name]) => /^partial\.(model|disc)\./.test(name));
  expect(sums.length).toBeGreaterThan(5);
  for (const [name, { data }] of sums) expect([name, data.every((x) => x === 0)]).toEqual([name, true]);
  expect(value(state, 'loss_scale.value')).toBe(2 ** 58);
});

test('micro-batches: only the last tells whether the step is skipped', () => {
  const output = (skipped: number) => ({ loss: scalar(1), loss_scale: scalar(8), skipped: scalar(skipped) });
  expect(scaleValues([output(0), output(0), output(1)])).toEqual({ loss_scale: 8, skipped: 1 });
  expect(scaleValues([{ loss: scalar(1) }])).toEqual({});
});

test('the guard takes a scale below 1 for a divergence, not a skipped step', () => {
  expect(vanishedScale({ loss: 1, loss_scale: 1, skipped: 1 })).toBeUndefined();
  expect(vanishedScale({ loss: 1 })).toBeUndefined();
  expect(vanishedScale({ loss: 1, loss_scale: 2 ** 16, disc_loss_scale: 0.5 })).toMatch(/not finite at any/);
});

test('a checkpoint of one precision loads in the other', async () => {
  const folder = await freshFolder();
  const state = { step: 3, seconds: 0, validated: 0, best: null, metrics: null };
  const plain = { 'model.w': scalar(2), 'adam.m.w': scalar(1) };
  const scaled = { ...plain, ...firstScale({ 'loss_scale.value': specsOfTensors(plain)['model.w']! }) };
  for (const [name, saved, wanted] of [
    ['f16', scaled, plain],
    ['f32', plain, scaled],
  ] as const) {
    const checkpoint = await saveCheckpoint(path.join(folder, name), saved, state, 1);
    expect(await loadCheckpoint(checkpoint, specsOfTensors(wanted), isLossScale)).toEqual(plain);
  }
});

test('R1 is refused in float16', () => {
  const config = configSchema.parse({ stage1: { precision: 'f16', disc: { r1: 1 } } });
  expect(() => checkTogether(config)).toThrow(
    'Expected 0 for stage1.precision f16 for stage1.disc.r1 but received 1. Its differences are too small for float16.',
  );
});
