/** Large constants pass through a file that is gone once the session has them. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { jest } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { float32, scalar } from '../../src/base/tensor.js';
import { specsOfTensors } from '../../src/engine/device.js';
import { expectClose } from '../support/close.js';
import { device, eager, noise } from '../support/parity.js';
import { temporaryFolder } from '../support/run.js';

test('constants of every size have their values, and no file stays', async () => {
  const folder = await temporaryFolder();
  const temporary = jest.spyOn(os, 'tmpdir');
  const inputs = { x: noise([3, 64], 'x') };
  const constants = {
    square: noise([64, 64], 'square'), // large
    wide: noise([64, 33], 'wide'), // large, and no multiple of the alignment
    again: noise([33, 64], 'again'),
    bias: noise([64], 'bias'), // small
  };
  const run = (x: Record<string, tf.Tensor>, c: Record<string, tf.Tensor>) => {
    const y = tf.matMul(tf.matMul(x.x as tf.Tensor2D, c.square as tf.Tensor2D), c.wide as tf.Tensor2D);
    return { y: tf.add(tf.matMul(y, c.again as tf.Tensor2D), c.bias!) };
  };
  try {
    temporary.mockReturnValue(folder);
    const graph = await device.prepare({ name: 'large', inputs: specsOfTensors(inputs), constants, run });
    expect(await fs.readdir(folder)).toEqual([]);
    const wanted = await eager({ ...inputs, ...constants }, (all) => run(all, all));
    expectClose((await graph.run(inputs)).y!, wanted.y!, { atol: 1e-2, rtol: 1e-4 });
    await graph.dispose();

    temporary.mockReturnValue(path.join(folder, 'none'));
    const again = device.prepare({ name: 'large', inputs: specsOfTensors(inputs), constants, run });
    await expect(again).rejects.toThrow(/ENOENT.*none/); // the large ones do go through a file
  } finally {
    temporary.mockRestore();
    await fs.rm(folder, { recursive: true });
  }
});

test('a training step, whose graph is the body of a Loop, reads them too', async () => {
  const weight = noise([64, 64], 'weight', 0.2);
  const inputs = [0.1, 0.2, 0.3].map((x) => ({ shift: scalar(x) }));
  const next = (s: tf.Tensor, w: tf.Tensor, shift: tf.Tensor) =>
    tf.tanh(tf.add(tf.matMul(s as tf.Tensor2D, w as tf.Tensor2D), shift));
  const runner = await device.prepareStep({
    name: 'large step',
    state: { s: { shape: [1, 64], dtype: 'float32' } },
    inputs: { shift: { shape: [], dtype: 'float32' } },
    constants: { weight },
    step({ s }, { shift }, { weight }) {
      const after = next(s!, weight!, shift!);
      return { state: { s: after }, outputs: { sum: tf.sum(after) } };
    },
  });
  const start = noise([1, 64], 'start');
  runner.load({ s: start });
  const sums = (await runner.run(inputs)).map(({ sum }) => sum!.data[0]!);
  const wanted = await eager(
    { start, weight, a: inputs[0]!.shift, b: inputs[1]!.shift, c: inputs[2]!.shift },
    (t) => {
      const first = next(t.start!, t.weight!, t.a!);
      const second = next(first, t.weight!, t.b!);
      return { sums: tf.stack([first, second, next(second, t.weight!, t.c!)].map((s) => tf.sum(s))) };
    },
  );
  expectClose(float32([3], sums), wanted.sums!, { atol: 1e-4, rtol: 1e-4 });
  await runner.dispose();
});
