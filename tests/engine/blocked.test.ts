import * as tf from '@tensorflow/tfjs-core';
import { blockedTarget, withBlocks } from '../../src/engine/blocked.js';
import type { Target } from '../../src/engine/target.js';
import { trace } from '../../src/engine/trace.js';
import { noise } from '../support/parity.js';

const blockedNodes = async (image: number[], filters: number[], target: Target, frozen = false) => {
  const spec = (shape: number[]) => ({ shape, dtype: 'float32' as const });
  const { graph } = await trace(
    'convolution',
    { inputs: { x: spec(image), ...(!frozen && { f: spec(filters) }) } },
    frozen ? { f: noise(filters) } : {},
    ({ inputs }, constants) => ({
      out: {
        y: tf.conv2d(inputs!.x as tf.Tensor4D, (inputs!.f ?? constants.f) as tf.Tensor4D, 1, 'same'),
      },
    }),
    { target },
  );
  return graph.nodes.filter((node) => node.domain === 'com.microsoft.nchwc').map((node) => node.op);
};

const all = ['ReorderInput', 'Conv', 'ReorderOutput'];

test('learned filters of whole blocks convolve large images in the blocked layout', async () => {
  expect(await blockedNodes([1, 16, 16, 32], [3, 3, 32, 16], withBlocks(16))).toEqual(all);
  expect(await blockedNodes([1, 16, 16, 8], [3, 3, 8, 24], withBlocks(8))).toEqual(all);
});

test('small images, broken blocks and frozen filters stay with the plain operator', async () => {
  expect(await blockedNodes([1, 8, 8, 32], [3, 3, 32, 16], withBlocks(16))).toEqual([]);
  expect(await blockedNodes([1, 32, 32, 32], [3, 3, 32, 24], withBlocks(16))).toEqual([]);
  expect(await blockedNodes([1, 16, 16, 32], [3, 3, 32, 16], withBlocks(16), true)).toEqual([]);
});

test('the machine says whether it has blocks, and of what length', async () => {
  const target = await blockedTarget();
  const found = await Promise.all([16, 8].map((n) => blockedNodes([1, 32, 32, n], [3, 3, n, n], target)));
  const lengths = found.map((ops) => ops.length > 0);
  expect([
    [false, false],
    [true, false],
    [true, true],
  ]).toContainEqual(lengths);
});
