/**
 * A whole training step of each stage with everything on: ONNX Runtime against TF.js' cpu backend, two steps in a row.
 */
import { silent } from '../../src/base/progress.js';
import type { HostTensor, HostTensors } from '../../src/base/tensor.js';
import { openDevice } from '../../src/engine/index.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { device } from '../support/parity.js';
import {
  accumulatingTraining,
  adversaries,
  bottlenecks,
  inParts,
  pixelcnnTraining,
  priorTraining,
  small,
  stage1Training,
  type Training,
} from '../support/steps.js';

async function twoSteps({ program, start, inputs }: Training) {
  const results = [];
  for (const runs of [device, await openDevice({ device: 'tfjs', reporter: silent })]) {
    const runner = await runs.prepareStep(program);
    runner.load(start);
    const outputs = await runner.run([inputs(1)]);
    const first = await runner.read();
    outputs.push(...(await runner.run([inputs(2)])));
    results.push({ outputs, first, state: await runner.read() });
    await runner.dispose();
  }
  return results as [(typeof results)[0], (typeof results)[0]];
}

const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values));
const minus = (a: HostTensor, b: HostTensor) => Array.from(a.data, (x, i) => x - b.data[i]!);

/**
 * Moments are sums of gradients: they agree in norm to 10⁻³ after one step. Adam turns each gradient into a step of
 * about the learning rate, rounding noise too, so weights are compared by their updates: in norm to 3 %, as moments of
 * later steps, and not where the gradient is nothing but noise (biases that the next norm or softmax takes away
 * again).
 */
function expectSameState(
  actual: HostTensors,
  wanted: HostTensors,
  start: HostTensors,
  moments: number,
): void {
  expect(Object.keys(actual).sort()).toEqual(Object.keys(wanted).sort());
  const far: string[] = [];
  for (const [name, tensor] of Object.entries(wanted)) {
    const own = name.replace(/^(model|ema)\./, 'adam.m.').replace(/^disc\./, 'disc_adam.m.');
    const isMoment = own === name;
    if (!isMoment && wanted[own] && norm(wanted[own].data) < 1e-6) continue;
    const size = isMoment ? norm(tensor.data) : norm(minus(tensor, start[name]!));
    const off = norm(minus(actual[name]!, tensor));
    if (!(off <= (isMoment ? moments : 3e-2) * size + 1e-6)) far.push(`${name}: ${off} of ${size}`);
  }
  expect(far).toEqual([]);
}

function expectSameOutputs(actual: readonly HostTensors[], wanted: readonly HostTensors[]): void {
  for (const [i, outputs] of wanted.entries()) {
    expect(Object.keys(actual[i]!).sort()).toEqual(Object.keys(outputs).sort());
    for (const [name, tensor] of Object.entries(outputs)) {
      expect([i, name, Array.from(actual[i]![name]!.data)]).toEqual([
        i,
        name,
        Array.from(tensor.data, (x) => (tensor.dtype === 'int32' ? x : expect.closeTo(x, 4))),
      ]);
    }
  }
}

const moved = (before: HostTensor, after: HostTensor) => before.data.some((x, i) => x !== after.data[i]);

test.each([
  [true, {}],
  [false, { ...small, perceptual: {} }],
] as const)('stage 1, adversarial %s', async (adversarial, keys) => {
  const training = stage1Training(adversarial, keys);
  const { start } = training;
  const [traced, eager] = await twoSteps(training);
  expectSameOutputs(traced.outputs, eager.outputs);
  expectSameState(traced.first, eager.first, start, 1e-3);
  expectSameState(traced.state, eager.state, start, 3e-2);
  const learned = Object.keys(start).filter((name) => /^(model|disc|ema)\./.test(name));
  for (const name of learned) {
    if (name === 'disc.conv_out.bias') continue; // inside the hinge's margin real and fake pull it equally
    expect([name, moved(start[name]!, traced.state[name]!)]).toEqual([name, true]);
  }
});

test.each(bottlenecks)('stage 1 with the bottleneck %s', async (_, keys) => {
  const training = stage1Training(false, keys);
  const { start } = training;
  const [traced, eager] = await twoSteps(training);
  expectSameOutputs(traced.outputs, eager.outputs);
  expectSameState(traced.first, eager.first, start, 1e-3);
  expectSameState(traced.state, eager.state, start, 3e-2);
  const learned = Object.keys(start).filter((name) => /^(model|ema)\./.test(name));
  for (const name of learned) expect([name, moved(start[name]!, traced.state[name]!)]).toEqual([name, true]);
});

test.each(adversaries)('stage 1 with a discriminator with %s', async (_, keys) => {
  for (const training of [stage1Training(true, keys), accumulatingTraining(keys)]) {
    const [traced, eager] = await twoSteps(training);
    expectSameOutputs(traced.outputs, eager.outputs);
    expectSameState(traced.first, eager.first, training.start, 1e-3);
    expectSameState(traced.state, eager.state, training.start, 3e-2);
  }
});

test.each(inParts)(
  'stage 1 in micro-batches, %s: a whole step and the first half of the next',
  async (_, keys) => {
    const training = accumulatingTraining(keys);
    const [traced, eager] = await twoSteps(training);
    expectSameOutputs(traced.outputs, eager.outputs);
    expectSameState(traced.first, eager.first, training.start, 1e-3);
    expectSameState(traced.state, eager.state, training.start, 3e-2);
  },
);

test.each([
  ['gpt', priorTraining],
  ['pixelcnn', pixelcnnTraining],
] as const)('prior %s, with dropout, decay and clipping', async (_, trainingOf) => {
  const training = trainingOf();
  const { start } = training;
  const [traced, eager] = await twoSteps(training);
  expectSameOutputs(traced.outputs, eager.outputs);
  expectSameState(traced.first, eager.first, start, 1e-3);
  expectSameState(traced.state, eager.state, start, 3e-2);
});

test('steps in one run or in several give the same bits', async () => {
  const { program, start, inputs } = stage1Training(true, small);
  const runner = await device.prepareStep(program);
  const states: HostTensors[] = [];
  for (const groups of [[[1, 2, 3, 4]], [[1], [2, 3], [4]]]) {
    runner.load(start);
    for (const steps of groups) await runner.run(steps.map(inputs));
    states.push(await runner.read());
  }
  await runner.dispose();
  expect(states[1]).toEqual(states[0]);
});

test('steps in a Loop, one by one or in one call each: the same bits', async () => {
  const { program, start, inputs } = priorTraining();
  const results = [];
  for (const [loopUpTo, calls] of [
    [Number.POSITIVE_INFINITY, [[1, 2, 3]]],
    [Number.POSITIVE_INFINITY, [[1], [2, 3]]],
    [0, [[1, 2, 3]]],
  ] as const) {
    const runner = await onnxDevice({ threads: 1, loopUpTo }).prepareStep(program);
    runner.load(start);
    const outputs = [];
    for (const call of calls) outputs.push(...(await runner.run(call.map(inputs))));
    results.push({ outputs, state: await runner.read() });
    await runner.dispose();
  }
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
});
