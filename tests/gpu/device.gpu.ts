/** Tensors on the GPU have owners, and a graph that does not fit there is refused. */
import * as tf from '@tensorflow/tfjs-core';
import { silent } from '../../src/base/progress.js';
import { searchAdapter } from '../../src/engine/adapter.js';
import { GpuTensor, livingGpuTensors, Transfers } from '../../src/engine/gpu-tensors.js';
import { openDevice } from '../../src/engine/index.js';
import { kernel } from '../../src/engine/kernels/register.js';
import { toOrt } from '../../src/engine/sessions.js';
import { expectClose } from '../support/close.js';
import { device, noise } from '../support/parity.js';
import { toyInputs, toyStart, toyStep } from '../support/toy.js';

test('nothing stays behind: loading anew, running, reading, disposing', async () => {
  const before = livingGpuTensors;
  const runner = await device.prepareStep(toyStep);
  runner.load(toyStart);
  await runner.run([1, 2].map(toyInputs));
  const inUse = livingGpuTensors;
  // Two sets of the state, and outputs of two steps.
  expect(inUse - before).toBe(2 * Object.keys(toyStep.state).length + 2 * 2);
  runner.load(toyStart);
  await runner.run([3].map(toyInputs));
  await runner.read();
  expect(livingGpuTensors).toBe(inUse);
  await runner.dispose();
  await runner.dispose();
  expect(livingGpuTensors).toBe(before);
});

test('a software adapter is taken only when it is asked for', async () => {
  const search = await searchAdapter();
  if (!('adapter' in search)) throw new Error(search.none);
  expect(search.adapter.gflops).toBeGreaterThan(0);
  expect((await openDevice({ device: 'webgpu', reporter: silent })).name).toBe('webgpu');
  const automatic = await openDevice({ reporter: silent });
  if (search.adapter.software) expect(automatic.name).toBe('cpu');
});

test('a tensor is counted until it is disposed of, once', async () => {
  const before = livingGpuTensors;
  const transfers = new Transfers();
  const x = noise([2, 3]);
  const tensor = await transfers.upload(toOrt(x));
  expect(livingGpuTensors).toBe(before + 1);
  const back = await transfers.download(tensor);
  expectClose({ shape: back.dims, data: back.data as Float32Array }, x, { atol: 0, rtol: 0 });
  tensor.dispose();
  tensor.dispose();
  expect(livingGpuTensors).toBe(before);
  await transfers.dispose();
});

test('a tensor on the host is no GPU tensor', () => {
  expect(() => new GpuTensor(toOrt(noise([2])))).toThrow('internal: a tensor [2] lies on the cpu');
});

test('what the state was loaded with may change afterwards only by a run', async () => {
  const runner = await device.prepareStep(toyStep);
  await expect(runner.read()).rejects.toThrow('before its state is loaded');
  runner.load(toyStart);
  const read = await runner.read();
  for (const [name, wanted] of Object.entries(toyStart))
    expectClose(read[name]!, wanted, { atol: 0, rtol: 0 });
  await runner.dispose();
});

test('an operator without a GPU kernel is refused, not run on the CPU', async () => {
  kernel('Round', ['x'], (t, { x }) => {
    const value = t.graph.op('Round', [x.value], {}, { shape: x.value.shape });
    return t.out(value, x.shape, x.dtype, x.perm);
  });
  const program = {
    name: 'round',
    inputs: { x: { shape: [3], dtype: 'float32' } as const },
    constants: {},
    run: ({ x }: Record<string, tf.Tensor>) => ({ y: tf.round(x!) }),
  };
  await expect(device.prepare(program)).rejects.toThrow('fallback to CPU EP has been explicitly disabled');
});

test('the outputs of steps in one run are those of steps one by one', async () => {
  const results = [];
  for (const groups of [[[1, 2, 3]], [[1], [2, 3]]]) {
    const runner = await device.prepareStep(toyStep);
    runner.load(toyStart);
    const outputs = [];
    for (const steps of groups) outputs.push(...(await runner.run(steps.map(toyInputs))));
    results.push({ outputs, state: await runner.read() });
    await runner.dispose();
  }
  expect(results[1]).toEqual(results[0]);
});
