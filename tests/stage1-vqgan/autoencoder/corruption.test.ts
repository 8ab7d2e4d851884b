import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { parseConfig } from '../../../src/config/layers.js';
import { modelOf } from '../../../src/stage1-vqgan/model.js';
import { expectClose } from '../../support/close.js';
import { noise } from '../../support/parity.js';
import { tensorsOf } from '../tiny.js';

const of = (corrupt: object) =>
  modelOf(parseConfig({ data: { size: 16 }, stage1: { ch_mult: [1, 1, 1], corrupt } }, 'test')).corruption;
const images = tf.tensor(noise([3, 16, 16, 3], 'images', 0.5).data as Float32Array, [3, 16, 16, 3]);

test('noise: x + σ·ε, drawn by seed and key; left out, the picture is clean', () => {
  const { apply, feed, channels } = of({ kind: 'noise', amount: 0.25 });
  expect(channels).toBe(3);
  const fed = feed(7, 3);
  const seen = apply(images, tensorsOf(fed));
  expectClose(seen, tf.add(images, tf.mul(0.25, tensorsOf(fed).corruption!)));
  const { mean, variance } = tf.moments(tensorsOf(fed).corruption!);
  expect(Math.abs(mean.dataSync()[0]!)).toBeLessThan(0.1);
  expect(Math.abs(variance.dataSync()[0]! - 1)).toBeLessThan(0.1);
  expect(feed(7, 3).corruption!.data).toEqual(fed.corruption!.data);
  expect(feed(8, 3).corruption!.data).not.toEqual(fed.corruption!.data);
  expectClose(apply(images, {}), images, { atol: 0 });
});

describe('mask', () => {
  const { apply, feed, channels, shown } = of({ kind: 'mask', amount: 0.6 });
  const fed = feed(1, 3);
  const seen = apply(images, tensorsOf(fed));

  test('as many cells of 4 × 4 pixels in each picture, others elsewhere', () => {
    expect(channels).toBe(4);
    const cells = fed.corruption!.data as Float32Array;
    const hidden = [0, 1, 2].map((b) => Array.from(cells.subarray(16 * b, 16 * (b + 1))));
    for (const picture of hidden) expect(picture.reduce((a, c) => a + c)).toBe(10); // of 16 cells
    expect(hidden[0]).not.toEqual(hidden[1]);
  });

  test('hidden cells are 0 and marked in a fourth channel, the others are as they were', () => {
    const [pixels, marks] = tf.split(seen, [3, 1], 3) as [tf.Tensor, tf.Tensor];
    const cells = tensorsOf(fed).corruption as tf.Tensor4D;
    const enlarged = tf.image.resizeNearestNeighbor(cells, [16, 16]);
    expectClose(marks, enlarged);
    expectClose(pixels, tf.mul(images, tf.sub(1, enlarged)));
    expectClose(shown(seen), pixels);
  });

  test('a finished tokenizer sees all, and no mark', () => {
    expectClose(apply(images, {}), tf.concat([images, tf.zeros([3, 16, 16, 1])], 3), { atol: 0 });
  });

  test.each([
    [1e-6, 1],
    [0.999, 15],
  ])('a share of %d hides %i of 16 cells: never none, never all', (amount, n) => {
    const { data } = of({ kind: 'mask', amount }).feed(1, 1).corruption!;
    expect(Array.from(data).reduce((a, c) => a + c, 0)).toBe(n);
  });
});
