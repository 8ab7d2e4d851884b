/** Training steps of each stage on the GPU against ONNX Runtime's CPU device: three steps, the last two in one run. */
import type { HostTensors } from '../../src/base/tensor.js';
import { livingGpuTensors } from '../../src/engine/gpu-tensors.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { device } from '../support/parity.js';
import {
  accumulatingTraining,
  adversaries,
  bottlenecks,
  inParts,
  pixelcnnTraining,
  priorTraining,
  stage1Training,
  type Training,
} from '../support/steps.js';

async function threeSteps({ program, start, inputs }: Training): Promise<HostTensors[][]> {
  const results = [];
  for (const runs of [onnxDevice({ threads: 2 }), device]) {
    const runner = await runs.prepareStep(program);
    runner.load(start);
    results.push([...(await runner.run([inputs(1)])), ...(await runner.run([2, 3].map(inputs)))]);
    await runner.dispose();
  }
  return results;
}

const trainings: [string, () => Training][] = [
  ['stage 1 without discriminator', () => stage1Training(false)],
  ['stage 1 with discriminator', () => stage1Training(true)],
  ...bottlenecks.map(([name, keys]): [string, () => Training] => [
    `stage 1 with the bottleneck ${name}`,
    () => stage1Training(false, keys),
  ]),
  ...adversaries.map(([name, keys]): [string, () => Training] => [
    `stage 1 with a discriminator with ${name}`,
    () => stage1Training(true, keys),
  ]),
  ...inParts.map(([name, keys]): [string, () => Training] => [
    `stage 1 in micro-batches, ${name}`,
    () => accumulatingTraining(keys),
  ]),
  ['prior', priorTraining],
  ['prior, pixelcnn', pixelcnnTraining],
];

test.each(trainings)('%s: the same numbers, the same codes', async (_, training) => {
  const [cpu, gpu] = await threeSteps(training());
  for (const [i, outputs] of cpu!.entries()) {
    for (const [name, { data, dtype }] of Object.entries(outputs)) {
      const got = Array.from(gpu![i]![name]!.data);
      if (dtype === 'int32') expect([i, name, got]).toEqual([i, name, Array.from(data)]);
      else {
        const off = Math.max(...Array.from(data, (x, j) => Math.abs(got[j]! - x) / (Math.abs(x) + 1e-6)));
        expect([i, name, off < 1e-4 ? 'within 1e-4' : off]).toEqual([i, name, 'within 1e-4']);
      }
    }
  }
  expect(livingGpuTensors).toBe(0);
});

test('twenty steps of stage 1, taken two at a time from where the CPU stands: nothing drifts', async () => {
  const { program, start, inputs } = stage1Training(true);
  const [cpu, gpu] = await Promise.all(
    [onnxDevice({ threads: 2 }), device].map((runs) => runs.prepareStep(program)),
  );
  cpu!.load(start);
  const off: number[] = [];
  for (let step = 1; step <= 20; step += 2) {
    gpu!.load(await cpu!.read());
    const two = [step, step + 1].map(inputs);
    const [expected, got] = [await cpu!.run(two), await gpu!.run(two)];
    for (const [i, { loss }] of expected.entries())
      off.push(Math.abs(got[i]!.loss!.data[0]! / loss!.data[0]! - 1));
  }
  await Promise.all([cpu!.dispose(), gpu!.dispose()]);
  expect(off).toHaveLength(20);
  expect(off.filter((difference) => !(difference < 1e-4))).toEqual([]);
});

test('a run moves from the CPU to the GPU and back without a jump', async () => {
  const { program, start, inputs } = priorTraining();
  const cpu = onnxDevice({ threads: 2 });
  const losses = async (devices: (typeof cpu)[]): Promise<number[]> => {
    let state = start;
    const all: number[] = [];
    for (const [i, runs] of devices.entries()) {
      const runner = await runs.prepareStep(program);
      runner.load(state);
      const outputs = await runner.run([2 * i + 1, 2 * i + 2].map(inputs));
      all.push(...outputs.map(({ loss }) => loss!.data[0]!));
      state = await runner.read();
      await runner.dispose();
    }
    return all;
  };
  const stayed = await losses([cpu, cpu, cpu]);
  const moved = await losses([cpu, device, cpu]);
  for (const [i, loss] of stayed.entries()) expect(Math.abs(moved[i]! / loss - 1)).toBeLessThan(1e-5);
});
