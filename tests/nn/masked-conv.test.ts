import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { gatedTanh, maskedConv } from '../../src/nn/masked-conv.js';
import { expectClose } from '../support/close.js';
import { expectParity, noise } from '../support/parity.js';

/** All ones, so that a result is the number of ones seen, and of the bias 10. */
const ones = (rows: number, columns: number) => ({
  weight: tf.ones([rows, columns, 1, 1]),
  bias: tf.tensor1d([10]),
});
const image = (values: number[][]) =>
  tf.tensor4d(values.map((row) => row.map((v) => [v])).flat(2), [1, values.length, values[0]!.length, 1]);

const counting = [
  [1, 2, 3],
  [4, 5, 6],
];

test.each([
  // Rows up to the own one, columns one to either side.
  [
    'vertical',
    'B',
    ones(2, 3),
    [
      [3, 6, 5],
      [12, 21, 16],
    ],
  ],
  // Rows above.
  [
    'vertical',
    'A',
    ones(2, 3),
    [
      [0, 0, 0],
      [3, 6, 5],
    ],
  ],
  // Two rows above, two columns to either side.
  [
    'vertical',
    'A',
    ones(3, 5),
    [
      [0, 0, 0],
      [6, 6, 6],
    ],
  ],
  [
    'horizontal',
    'B',
    ones(1, 2),
    [
      [1, 3, 5],
      [4, 9, 11],
    ],
  ],
  [
    'horizontal',
    'A',
    ones(1, 2),
    [
      [0, 1, 2],
      [0, 4, 5],
    ],
  ],
  [
    'horizontal',
    'A',
    ones(1, 3),
    [
      [0, 1, 3],
      [0, 4, 9],
    ],
  ],
] as const)('%s, mask %s: sums of what is seen', (stack, mask, params, sums) => {
  const wanted = sums.map((row) => row.map((v) => v + 10));
  expectClose(maskedConv(stack, params, image(counting), mask), image(wanted));
});

test.each(['vertical', 'horizontal'] as const)('%s: of one row or column mask A leaves nothing', (stack) => {
  const one = stack === 'vertical' ? [[1, 2, 3]] : [[1], [4]];
  const params = stack === 'vertical' ? ones(4, 7) : ones(1, 4);
  expectClose(maskedConv(stack, params, image(one), 'A'), image(one.map((row) => row.map(() => 10))));
});

test('the gate: tanh of the first half times σ of the second', () => {
  const y = gatedTanh(tf.tensor2d([[0.5, -1, 0, 2]]));
  expectClose(y, tf.tensor2d([[Math.tanh(0.5) / 2, Math.tanh(-1) / (1 + Math.exp(-2))]]));
});

test.each([
  ['vertical', 'A', [4, 7]],
  ['vertical', 'B', [2, 3]],
  ['horizontal', 'A', [1, 4]],
  ['horizontal', 'B', [1, 2]],
] as const)('%s, mask %s, filter %p, and the gate: value and gradient', async (stack, mask, size) => {
  await expectParity(`${stack} ${mask}`, {
    inputs: { x: noise([2, 4, 5, 3]), weight: noise([...size, 3, 4], 'w', 0.3), bias: noise([4], 'b') },
    fn: ({ x, weight, bias }) => gatedTanh(maskedConv(stack, { weight: weight!, bias: bias! }, x!, mask)),
  });
});
