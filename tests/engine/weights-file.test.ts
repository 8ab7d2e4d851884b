/** Large constants pass through a file that is gone once the session has them. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { jest } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
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
