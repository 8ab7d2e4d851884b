import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensors } from '../../../src/engine/device.js';
import { planesOf } from '../../../src/stage1-vqgan/autoencoder/planes.js';
import { labelLoss } from '../../../src/stage1-vqgan/losses.js';
import { expectClose } from '../../support/close.js';
import { expectParity, ids, noise } from '../../support/parity.js';

const colours = ['#ff0000', '#0000ff', '#808080'];
const grey = 128 / 127.5 - 1;
/** A row of blue, grey, red. */
const map = () => tf.tensor4d([-1, -1, 1, grey, grey, grey, 1, -1, -1], [1, 1, 3, 3]);

test('labels: a plane for each colour, and the colour of the likeliest', () => {
  const planes = planesOf({ pictures: 'labels', labels: colours });
  expect(planes.count).toBe(3);
  expectClose(tf.reshape(planes.of(map()), [-1]), [0, 1, 0, 0, 0, 1, 1, 0, 0]);
  const logits = tf.tensor4d([0, 2, 1, -3, -1, -2, 5, 6, 7], [1, 1, 3, 3]);
  expectClose(tf.reshape(planes.shown(logits), [-1]), [-1, -1, 1, -1, -1, 1, grey, grey, grey]);
});

test('depth: the mean of the colours, thrice', () => {
  const planes = planesOf({ pictures: 'depth', labels: [] });
  expectClose(tf.reshape(planes.of(map()), [-1]), [-1 / 3, grey, -1 / 3]);
  expectClose(
    tf.reshape(planes.compared(tf.tensor4d([0.5, 2], [1, 1, 2, 1])), [-1]),
    [0.5, 0.5, 0.5, 2, 2, 2],
  );
});

test('labels cost −log of the share of the right one', () => {
  const logits = tf.tensor4d([0, Math.log(2), Math.log(3), Math.log(6), 0, Math.log(3)], [1, 1, 2, 3]);
  const { total, l1, label_accuracy } = labelLoss(tf.tensor3d([1, 0], [1, 1, 2], 'int32'), logits);
  expectClose(total, [(Math.log(3) + Math.log(10 / 6)) / 2]);
  expectClose(label_accuracy, [0.5]);
  expectClose(l1, [1 - Math.sqrt(0.2)]); // The geometric mean of ⅓ and 6/10.
});

describe.each([[[2, 3, 5]], [[1, 8, 8]]])('traced as computed, %p', (shape) => {
  const planes = planesOf({ pictures: 'labels', labels: colours });
  const images = noise([...shape, 3], 1, 2);
  const logits = noise([...shape, 3], 2);

  test('planes of images, and images of logits', async () => {
    await expectParity('of', { inputs: { images }, fn: ({ images }) => planes.of(images!), gradient: false });
    const shown = { inputs: { logits }, fn: ({ logits }: Tensors) => planes.shown(logits!), gradient: false };
    await expectParity('shown', shown);
  });

  test('the loss, value and gradient', async () => {
    const labels = ids(shape, 3);
    await expectParity('loss', {
      inputs: { logits },
      fn: ({ logits }) => labelLoss(tf.tensor(labels.data, [...shape], 'int32'), logits!).total,
    });
  });
});
