import { jest } from '@jest/globals';
import { silent } from '../../src/base/progress.js';
import { scalar } from '../../src/base/tensor.js';
import { tfjsDevice } from '../../src/engine/tfjs-device.js';

const one = { shape: [], dtype: 'float32' } as const;

/** Whether the process could do something else, such as hear Ctrl-C, before the work ended. */
async function pauses(work: () => Promise<unknown>): Promise<boolean> {
  let heard = false;
  setImmediate(() => {
    heard = true;
  });
  await work();
  return heard;
}

test('every run and every step lets the process hear Ctrl-C', async () => {
  const device = await tfjsDevice(silent);
  const graph = await device.prepare({
    name: 'same',
    inputs: { x: one },
    constants: {},
    run: ({ x }) => ({ x: x! }),
  });
  expect(await pauses(() => graph.run({ x: scalar(1) }))).toBe(true);
  const steps = await device.prepareStep({
    name: 'same',
    state: { w: one },
    inputs: { x: one },
    constants: {},
    step: ({ w }, { x }) => ({ state: { w: w! }, outputs: { x: x! } }),
  });
  steps.load({ w: scalar(1) });
  expect(await pauses(() => steps.run([{ x: scalar(1) }]))).toBe(true);
});

async function warningsOf(): Promise<string[]> {
  const warnings: string[] = [];
  await tfjsDevice({ ...silent, warn: (line) => warnings.push(line) });
  return warnings;
}

test('without a GPU backend it says what is missing: the package, or what the package fails for', async () => {
  const slow = '--device tfjs runs on the plain JavaScript backend, which is slow';
  const native = '@tensorflow/tfjs-node-gpu';
  expect(await warningsOf()).toEqual([`${slow}; npm install ${native} for an NVIDIA GPU.`]);
  jest.doMock(
    native,
    () => {
      throw new Error('libcudart.so.11.0: cannot open shared object file\nat somewhere');
    },
    { virtual: true },
  );
  expect(await warningsOf()).toEqual([
    `${slow}: ${native} is installed but fails (libcudart.so.11.0: cannot open shared object file).`,
  ]);
});
