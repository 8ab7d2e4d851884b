import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import '../../src/nn/kernel-gradients.js';
import { inParts } from '../../src/nn/in-parts.js';
import { expectClose } from '../support/close.js';
import { preferring } from '../support/parts.js';
import { wave } from '../support/wave.js';

const images = wave([6, 4, 4, 3], 0.7);
/** Of the largest tensor, of one image. */
const bytes = 4 * 4 * 4 * 8;

function sizes(bytesAtOnce: number | undefined): number[] {
  const seen: number[] = [];
  preferring(bytesAtOnce, () =>
    inParts([images], 8, (x) => {
      seen.push(x!.shape[0]!);
      return [x!];
    }),
  );
  return seen;
}

test('a backend without a preference sees the whole batch', () => {
  expect(sizes(undefined)).toEqual([6]);
});

test('parts are equal, as large as fit, and at least an image', () => {
  expect(sizes(6 * bytes)).toEqual([6]);
  expect(sizes(5 * bytes)).toEqual([3, 3]);
  expect(sizes(2 * bytes)).toEqual([2, 2, 2]);
  expect(sizes(1)).toEqual([1, 1, 1, 1, 1, 1]);
});

test('values and gradients are those of the whole batch, with several images and results', () => {
  const filter = wave([3, 3, 3, 8], 0.3) as tf.Tensor4D;
  const f = (x: tf.Tensor, y: tf.Tensor, w: tf.Tensor) =>
    inParts([x, y], 8, (x, y) => {
      const features = tf.conv2d(tf.mul(x!, y!) as tf.Tensor4D, w as tf.Tensor4D, 1, 'same');
      return [features, tf.mean(features, [1, 2, 3])];
    });
  const run = () => {
    const both = (...args: tf.Tensor[]) => {
      const [features, means] = f(args[0]!, args[1]!, args[2]!);
      return tf.add(tf.sum(tf.square(features!)), tf.sum(tf.mul(means!, tf.range(0, 6))));
    };
    const args = [images, wave([6, 4, 4, 3], 1.3), filter];
    return [...f(args[0]!, args[1]!, filter), ...tf.grads(both)(args)];
  };
  const [whole, parts] = [run(), preferring(2 * bytes, run)];
  for (const [i, tensor] of whole.entries()) expectClose(parts[i]!, tensor, { atol: 1e-5, rtol: 1e-5 });
});
