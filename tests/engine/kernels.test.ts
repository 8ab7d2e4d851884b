/** Every traced kernel against TF.js' cpu backend, value and gradient. */
import * as tf from '@tensorflow/tfjs-core';
import { float32 } from '../../src/base/tensor.js';
import { check } from '../support/check-kernels.js';
import { ids, noise, type ParityCase } from '../support/parity.js';

const positive = (shape: number[]) =>
  float32(
    shape,
    (noise(shape).data as Float32Array).map((x) => Math.abs(x) + 0.3),
  );
/** Keeps away from 0, where |x|, relu and sign have no gradient to compare. */
const awayFromZero = (shape: number[]) =>
  float32(
    shape,
    (noise(shape).data as Float32Array).map((x) => x + Math.sign(x) * 0.05),
  );

const unary: [string, (x: tf.Tensor) => tf.Tensor, boolean?][] = [
  ['abs', tf.abs],
  ['neg', tf.neg],
  ['exp', tf.exp],
  ['tanh', tf.tanh],
  ['sigmoid', tf.sigmoid],
  ['erf', tf.erf, false],
  ['floor', tf.floor, false],
  ['sign', tf.sign, false],
  ['relu', tf.relu],
  ['softplus', tf.softplus],
  ['square', tf.square],
  ['leakyRelu', (x) => tf.leakyRelu(x, 0.2)],
  ['clip', (x) => tf.clipByValue(x, -0.7, 0.9)],
  ['cast', (x) => tf.cast(tf.greater(x, 0.1), 'float32'), false],
  ['toInt', (x) => tf.cast(x, 'int32'), false],
  ['onesLike', (x) => tf.mul(tf.onesLike(x), x), false],
  ['zerosLike', (x) => tf.add(tf.zerosLike(x), x), false],
];
check(
  'unary',
  Object.fromEntries(
    unary.map(([name, fn, gradient = true]) => [
      name,
      { inputs: { x: awayFromZero([2, 3, 5]) }, fn: ({ x }) => fn(x!), gradient },
    ]),
  ),
);
check(
  'unary of positive numbers',
  Object.fromEntries(
    (
      [
        ['log', tf.log],
        ['sqrt', tf.sqrt],
        ['rsqrt', tf.rsqrt],
      ] as [string, (x: tf.Tensor) => tf.Tensor, boolean?][]
    ).map(([name, fn, gradient = true]) => [
      name,
      { inputs: { x: positive([4, 7]) }, fn: ({ x }: Record<string, tf.Tensor>) => fn(x!), gradient },
    ]),
  ),
);

const shapes: [number[], number[]][] = [
  [
    [2, 3, 4, 5],
    [2, 3, 4, 5],
  ],
  [[2, 3, 4, 5], [5]],
  [
    [2, 1, 4, 5],
    [2, 3, 1, 5],
  ],
  [[3, 1], [4]],
  [[1], [2, 2]],
  [[], [2, 3]],
  [[1, 1, 1, 1], [5]],
];
const binary: [string, (a: tf.Tensor, b: tf.Tensor) => tf.Tensor, boolean?][] = [
  ['add', tf.add],
  ['sub', tf.sub],
  ['mul', tf.mul],
  ['div', tf.div],
  ['maximum', tf.maximum],
  ['minimum', tf.minimum],
  ['pow', (a, b) => tf.pow(tf.add(tf.abs(a), 0.5), b), false],
  ['greater', tf.greater, false],
  ['greaterEqual', tf.greaterEqual, false],
  ['less', tf.less, false],
  ['lessEqual', tf.lessEqual, false],
  ['equal', tf.equal, false],
  ['and', (a, b) => tf.logicalAnd(tf.greater(a, 0), tf.greater(b, 0)), false],
];
check(
  'binary',
  Object.fromEntries(
    binary.flatMap(([name, fn, gradient = true]) =>
      shapes.map(([a, b]) => [
        `${name} [${a}] [${b}]`,
        {
          inputs: {
            a: awayFromZero(a),
            b: float32(
              b,
              (awayFromZero(b).data as Float32Array).map((x) => x * 0.9 + 0.01),
            ),
          },
          fn: ({ a, b }: Record<string, tf.Tensor>) => fn(a!, b!),
          gradient,
          tolerance: { atol: 1e-4, rtol: 1e-4 },
        } as ParityCase,
      ]),
    ),
  ),
);

check('select', {
  'where, same shapes': {
    inputs: { a: noise([2, 3], 'a'), b: noise([2, 3], 'b'), i: ids([2, 3], 2) },
    fn: ({ a, b, i }) => tf.where(tf.greater(i!, 0), a!, tf.mul(b!, 2)),
  },
  'where, condition of a column': {
    inputs: { a: noise([4, 3], 'a'), b: noise([4, 3], 'b'), i: ids([4, 1], 2) },
    fn: ({ a, b, i }) => tf.where(tf.equal(i!, 0), a!, b!),
  },
});

check(
  'reductions',
  Object.fromEntries(
    (
      [
        [[2, 3, 4, 5], [1, 2], false],
        [[2, 3, 4, 5], [0], true],
        [[2, 3, 4, 5], [3], false],
        [[6], [0], false],
        [[2, 3], [0, 1], false],
        [[2, 3, 4, 1], [0, 1, 2], true],
      ] as [number[], number[], boolean][]
    ).flatMap(([shape, axes, keep]) =>
      (
        [
          ['sum', tf.sum, true],
          ['mean', tf.mean, true],
          ['max', tf.max, false],
          ['min', tf.min, false],
        ] as const
      ).map(([name, fn, gradient]) => [
        `${name} [${shape}] over ${axes}${keep ? ' kept' : ''}`,
        {
          inputs: { x: noise(shape) },
          fn: ({ x }: Record<string, tf.Tensor>) => fn(x!, axes, keep),
          gradient,
        },
      ]),
    ),
  ),
);
check('more reductions', {
  'sum of booleans': {
    inputs: { x: noise([3, 4]) },
    fn: ({ x }) => tf.sum(tf.greater(x!, 0), 1),
    gradient: false,
  },
  argMax: { inputs: { x: noise([3, 4, 5]) }, fn: ({ x }) => tf.argMax(x!, 1), gradient: false },
  argMin: { inputs: { x: noise([3, 4]) }, fn: ({ x }) => tf.argMin(x!, -1), gradient: false },
  softmax: { inputs: { x: noise([2, 3, 7]) }, fn: ({ x }) => tf.softmax(x!) },
  logSumExp: { inputs: { x: noise([3, 4]) }, fn: ({ x }) => tf.logSumExp(x!, 1), gradient: false },
});

check('shape', {
  reshape: { inputs: { x: noise([2, 3, 4]) }, fn: ({ x }) => tf.reshape(x!, [6, -1]) },
  expandDims: { inputs: { x: noise([2, 3]) }, fn: ({ x }) => tf.expandDims(x!, 1) },
  'transpose of 3 axes': {
    inputs: { x: noise([2, 3, 4]) },
    fn: ({ x }) => tf.mul(tf.transpose(x!, [2, 0, 1]), 2),
  },
  'transpose of 4 axes, then sum': {
    inputs: { x: noise([2, 3, 4, 5]) },
    fn: ({ x }) => tf.sum(tf.square(tf.transpose(x!, [0, 3, 1, 2])), 1),
  },
  'transpose, then reshape': {
    inputs: { x: noise([2, 3, 4]) },
    fn: ({ x }) => tf.reshape(tf.transpose(x!, [1, 0, 2]), [6, 4]),
  },
  slice: { inputs: { x: noise([4, 5, 6]) }, fn: ({ x }) => tf.slice(x!, [1, 0, 2], [2, 5, 3]) },
  pad: {
    inputs: { x: noise([2, 3, 4, 2]) },
    fn: ({ x }) =>
      tf.pad(
        x!,
        [
          [0, 0],
          [1, 2],
          [0, 1],
          [0, 0],
        ],
        0.5,
      ),
  },
  concat: {
    inputs: { a: noise([2, 3], 'a'), b: noise([2, 5], 'b') },
    fn: ({ a, b }) => tf.concat([a!, b!], 1),
  },
  stack: {
    inputs: { a: noise([2, 3], 'a'), b: noise([2, 3], 'b') },
    fn: ({ a, b }) => tf.stack([a!, b!], 1),
    gradient: false,
  },
  unstack: {
    inputs: { x: noise([3, 2, 4]) },
    fn: ({ x }) => tf.mul(tf.unstack(x!, 1)[1]!, tf.unstack(x!, 1)[0]!),
    gradient: false,
  },
  split: { inputs: { x: noise([2, 7]) }, fn: ({ x }) => tf.split(x!, [3, 4], 1)[1]! },
  tile: { inputs: { x: noise([2, 3]) }, fn: ({ x }) => tf.tile(x!, [2, 3]), gradient: false },
  broadcastTo: { inputs: { x: noise([1, 3]) }, fn: ({ x }) => tf.broadcastTo(x!, [4, 3]), gradient: false },
  fill: { inputs: { x: noise([2, 3]) }, fn: ({ x }) => tf.mul(tf.fill([2, 3], 1.5), x!) },
  gather: {
    inputs: { x: noise([5, 3]), i: ids([4], 5) },
    fn: ({ x, i }) => tf.gather(x!, i!),
    gradient: false,
  },
  'gather on axis 1': {
    inputs: { x: noise([2, 6]), i: ids([3], 6) },
    fn: ({ x, i }) => tf.gather(x!, i!, 1),
    gradient: false,
  },
  oneHot: { inputs: { i: ids([2, 3], 5) }, fn: ({ i }) => tf.oneHot(i!, 5), gradient: false },
  'segment sum': {
    inputs: { x: noise([9, 4]), i: ids([9], 5) },
    fn: ({ x, i }) => tf.unsortedSegmentSum(x!, tf.reshape(i!, [9]) as tf.Tensor1D, 5),
    gradient: false,
  },
  'segment sum, too large to be a product': {
    inputs: { x: noise([70_000]), i: ids([70_000], 64) },
    fn: ({ x, i }) => tf.unsortedSegmentSum(x!, i as tf.Tensor1D, 64),
    gradient: false,
  },
  range: { inputs: { x: noise([5]) }, fn: ({ x }) => tf.mul(x!, tf.range(0, 5)) },
});

const products: [number[], number[], boolean, boolean][] = [
  [[3, 4], [4, 5], false, false],
  [[4, 3], [4, 5], true, false],
  [[3, 4], [5, 4], false, true],
  [[4, 3], [5, 4], true, true],
  [[2, 3, 4], [2, 5, 4], false, true],
  [[2, 2, 3, 4], [2, 2, 4, 1], false, false],
  [[1, 1], [1, 1], false, false],
];
check(
  'matrix products',
  Object.fromEntries(
    products.map(([a, b, ta, tb]) => [
      `[${a}]${ta ? 'ᵀ' : ''}·[${b}]${tb ? 'ᵀ' : ''}`,
      {
        inputs: { a: noise(a, 'a'), b: noise(b, 'b') },
        fn: ({ a, b }: Record<string, tf.Tensor>) => tf.matMul(a!, b!, ta, tb),
      },
    ]),
  ),
);
