/** Kernels of images, and orders of axes, against TF.js' cpu backend, value and gradient. */
import * as tf from '@tensorflow/tfjs-core';
import { transposedConv } from '../../src/nn/conv.js';
import { upsampleConv } from '../../src/nn/upsample-conv.js';
import { check } from '../support/check-kernels.js';
import { noise } from '../support/parity.js';

type Pad = 'same' | 'valid' | number | [[0, 0], [number, number], [number, number], [0, 0]];
const convolutions: [number[], number[], number, Pad][] = [
  [[2, 8, 8, 3], [3, 3, 3, 5], 1, 'same'],
  [[1, 7, 5, 4], [3, 3, 4, 2], 1, 'same'],
  [[2, 8, 8, 3], [3, 3, 3, 4], 2, 'same'],
  [
    [2, 8, 8, 3],
    [3, 3, 3, 4],
    2,
    [
      [0, 0],
      [0, 1],
      [0, 1],
      [0, 0],
    ],
  ],
  [[1, 7, 9, 2], [3, 3, 2, 3], 2, 1],
  [[2, 6, 6, 4], [1, 1, 4, 3], 1, 'valid'],
  [[2, 8, 8, 3], [4, 4, 3, 5], 2, 1],
  [[1, 5, 6, 2], [4, 4, 2, 1], 1, 1],
  [[1, 20, 19, 3], [3, 3, 3, 4], 1, 1],
  [[2, 19, 20, 3], [4, 4, 3, 2], 1, 1],
  [[2, 18, 19, 2], [3, 3, 2, 3], 1, 'valid'],
  [[2, 19, 18, 2], [3, 2, 2, 3], 1, 'same'],
  [[1, 17, 18, 2], [5, 5, 2, 2], 1, 2],
  [[2, 20, 20, 2], [4, 4, 2, 3], 2, 1],
  [[1, 6, 6, 2], [3, 3, 2, 2], 1, 'valid'],
  [[3, 40, 40, 2], [3, 3, 2, 4], 2, 'same'],
  [[2, 20, 16, 16], [3, 3, 16, 32], 1, 'same'], // this one and those below in blocks of channels
  [[1, 19, 20, 32], [3, 2, 32, 32], 1, 'valid'],
  [[1, 34, 36, 16], [4, 4, 16, 16], 2, 1],
  [[1, 20, 20, 16], [1, 1, 16, 48], 1, 'same'],
];
check(
  'convolutions',
  Object.fromEntries(
    convolutions.flatMap(([x, f, s, p]) => [
      [
        `conv2d x=[${x}] f=[${f}] s=${s} p=${p}`,
        {
          inputs: { x: noise(x, 'x'), f: noise(f, 'f') },
          fn: ({ x, f }: Record<string, tf.Tensor>) =>
            tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, s, p as 'same'),
        },
      ],
      [
        `fused conv2d x=[${x}] f=[${f}] s=${s} p=${p}`,
        {
          inputs: { x: noise(x, 'x'), f: noise(f, 'f'), b: noise([f[3]!], 'b') },
          fn: ({ x, f, b }: Record<string, tf.Tensor>) =>
            tf.fused.conv2d({
              x: x as tf.Tensor4D,
              filter: f as tf.Tensor4D,
              strides: s,
              pad: p as 'same',
              bias: b!,
            }),
        },
      ],
    ]),
  ),
);
const doublings: [number[], number[]][] = [
  [
    [2, 4, 4, 5],
    [4, 4, 3, 5],
  ],
  [
    [1, 3, 5, 2],
    [4, 4, 4, 2],
  ],
  [
    [2, 17, 18, 3],
    [4, 4, 2, 3],
  ],
  [
    [1, 6, 8, 16],
    [4, 4, 16, 16],
  ],
];
check(
  'transposed convolutions of stride 2',
  Object.fromEntries(
    doublings.map(([x, f]) => [
      `x=[${x}] f=[${f}]`,
      {
        inputs: { x: noise(x, 'x'), weight: noise(f, 'f'), bias: noise([f[2]!], 'b') },
        fn: ({ x, weight, bias }: Record<string, tf.Tensor>) =>
          transposedConv({ weight: weight!, bias: bias! }, x!),
      },
    ]),
  ),
);
check('pools and enlarging', {
  'maxPool, odd sides': {
    inputs: { x: noise([2, 5, 7, 3]) },
    fn: ({ x }) => tf.maxPool(x as tf.Tensor4D, 2, 2, 'valid'),
  },
  'avgPool, odd sides': {
    inputs: { x: noise([2, 5, 7, 3]) },
    fn: ({ x }) => tf.avgPool(x as tf.Tensor4D, 2, 2, 'valid'),
  },
  maxPool: { inputs: { x: noise([2, 4, 6, 3]) }, fn: ({ x }) => tf.maxPool(x as tf.Tensor4D, 2, 2, 'valid') },
  'avgPool at every pixel': {
    inputs: { x: noise([2, 4, 6, 3]) },
    fn: ({ x }) => tf.avgPool(x as tf.Tensor4D, 3, 1, 'same'),
  },
  'avgPool at every pixel, wide': {
    inputs: { x: noise([1, 3, 2, 5]) },
    fn: ({ x }) => tf.avgPool(x as tf.Tensor4D, [3, 5], 1, 'same'),
  },
  avgPool: { inputs: { x: noise([2, 4, 6, 3]) }, fn: ({ x }) => tf.avgPool(x as tf.Tensor4D, 2, 2, 'valid') },
  'enlarging convolution': {
    inputs: { x: noise([2, 3, 5, 4]), weight: noise([3, 3, 4, 6]), bias: noise([6]) },
    fn: ({ x, weight, bias }) => upsampleConv({ weight: weight!, bias: bias! }, x!),
  },
  'enlarging convolution, large': {
    inputs: { x: noise([1, 17, 18, 2]), weight: noise([3, 3, 2, 3]), bias: noise([3]) },
    fn: ({ x, weight, bias }) => upsampleConv({ weight: weight!, bias: bias! }, x!),
  },
});

check('orders of axes under one program', {
  'conv, bias, scale, mean per channel': {
    inputs: { x: noise([2, 6, 6, 3], 'x'), f: noise([3, 3, 3, 4], 'f'), s: noise([4], 's') },
    fn: ({ x, f, s }) => {
      const y = tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, 'same');
      return tf.mean(tf.mul(tf.sub(y, tf.mean(y, [1, 2], true)), s!), [0, 1, 2]);
    },
  },
  'conv plus NHWC input, concatenated, sliced, padded': {
    inputs: { x: noise([2, 6, 6, 3], 'x'), f: noise([3, 3, 3, 3], 'f') },
    fn: ({ x, f }) => {
      const y = tf.add(tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, 'same'), x!);
      const z = tf.slice(tf.concat([y, x!], 3), [0, 1, 0, 1], [2, 4, 6, 4]);
      return tf.reshape(
        tf.pad(z, [
          [0, 0],
          [0, 0],
          [1, 0],
          [0, 0],
        ]),
        [2, -1],
      );
    },
  },
  'attention over pixels': {
    inputs: { x: noise([2, 4, 4, 8], 'x'), f: noise([1, 1, 8, 8], 'f', 0.3) },
    fn: ({ x, f }) => {
      const q = tf.reshape(tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, 'valid'), [2, 16, 8]);
      return tf.reshape(tf.matMul(tf.softmax(tf.matMul(q, q, false, true)), q), [2, 4, 4, 8]);
    },
  },
  'filter arithmetic': {
    inputs: { x: noise([1, 5, 5, 2], 'x'), f: noise([3, 3, 2, 3], 'f'), g: noise([3, 3, 2, 3], 'g') },
    fn: ({ x, f, g }) => tf.conv2d(x as tf.Tensor4D, tf.add(tf.mul(f!, 2), g!) as tf.Tensor4D, 1, 'same'),
  },
});
