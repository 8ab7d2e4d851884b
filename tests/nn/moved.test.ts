import type * as tf from '@tensorflow/tfjs-core';
import { int32 } from '../../src/base/tensor.js';
import { moved } from '../../src/nn/moved.js';
import { eager, expectParity, noise } from '../support/parity.js';

const rows = int32([2, 3], Int32Array.of(2, 0, 0, 0, 1, 2));
const columns = int32([2, 3], Int32Array.of(0, 1, 2, 1, 2, 2));

test('each image takes its own rows and columns', async () => {
  const x = noise([2, 3, 3, 2]);
  const { y } = await eager({ x, rows, columns }, (t) => ({
    y: moved(t.x as tf.Tensor4D, t.rows!, t.columns!),
  }));
  for (let b = 0; b < 2; b++)
    for (let r = 0; r < 3; r++)
      for (let c = 0; c < 3; c++)
        for (let k = 0; k < 2; k++) {
          const [from, to] = [rows.data[3 * b + r]!, columns.data[3 * b + c]!];
          expect(y!.data[((3 * b + r) * 3 + c) * 2 + k]).toBe(x.data[((3 * b + from) * 3 + to) * 2 + k]);
        }
});

test('value and gradient are those of the cpu backend', () =>
  expectParity('moved', {
    inputs: { x: noise([2, 3, 3, 4]), rows, columns },
    fn: (t) => moved(t.x as tf.Tensor4D, t.rows!, t.columns!),
  }));
