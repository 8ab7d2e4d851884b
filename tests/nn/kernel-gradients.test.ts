/** Every registered gradient against central differences of the same function. */
import '../support/cpu.js';
import '../../src/nn/kernel-gradients.js';
import * as tf from '@tensorflow/tfjs-core';
import { expectClose } from '../support/close.js';
import { wave } from '../support/wave.js';

type F = (...args: tf.Tensor[]) => tf.Tensor;
const image = (t: tf.Tensor) => t as tf.Tensor4D;
const positive = (t: tf.Tensor) => tf.add(tf.square(t), 0.5);

/** Kernel (and case), argument shapes, function. */
const cases: [string, number[][], F][] = [
  ['Add a=[2,3] b=[3]', [[2, 3], [3]], (a, b) => tf.add(a!, b!)],
  ['Sub a=[3] b=[2,1]', [[3], [2, 1]], (a, b) => tf.sub(a!, b!)],
  [
    'Multiply a=[2,1,3] b=[4,1]',
    [
      [2, 1, 3],
      [4, 1],
    ],
    (a, b) => tf.mul(a!, b!),
  ],
  ['RealDiv a=[2,3] b=[3]', [[2, 3], [3]], (a, b) => tf.div(a!, positive(b!))],
  ['Maximum', [[2, 3], [3]], (a, b) => tf.maximum(a!, b!)],
  ['Minimum', [[2, 3], [3]], (a, b) => tf.minimum(a!, b!)],
  ['AddN', [[2], [2], [2]], (...all) => tf.addN(all)],
  ['Neg', [[5]], (x) => tf.neg(x!)],
  ['Abs', [[5]], (x) => tf.abs(x!)],
  ['Square', [[5]], (x) => tf.square(x!)],
  ['Log', [[5]], (x) => tf.log(positive(x!))],
  ['Softplus', [[5]], (x) => tf.softplus(x!)],
  ['LeakyRelu', [[5]], (x) => tf.leakyRelu(x!, 0.2)],
  ['Relu', [[5]], (x) => tf.relu(x!)],
  ['ClipByValue', [[7]], (x) => tf.clipByValue(x!, -0.5, 0.4)],
  ['Exp', [[5]], (x) => tf.exp(x!)],
  ['Sqrt', [[5]], (x) => tf.sqrt(positive(x!))],
  ['Rsqrt', [[5]], (x) => tf.rsqrt(positive(x!))],
  ['Tanh', [[5]], (x) => tf.tanh(x!)],
  ['Sigmoid', [[5]], (x) => tf.sigmoid(x!)],
  ['Softmax', [[2, 4]], (x) => tf.softmax(x!)],
  ['Reshape', [[2, 3]], (x) => tf.reshape(x!, [3, 2])],
  ['ExpandDims', [[2, 3]], (x) => tf.expandDims(x!, 1)],
  ['Transpose perm=2,0,1', [[2, 3, 4]], (x) => tf.transpose(x!, [2, 0, 1])],
  ['Slice', [[3, 4]], (x) => tf.slice(x!, [1, 1], [-1, 2])],
  [
    'PadV2',
    [[2, 2]],
    (x) =>
      tf.pad(x!, [
        [1, 0],
        [0, 2],
      ]),
  ],
  [
    'Concat axis=1',
    [
      [2, 1],
      [2, 3],
    ],
    (a, b) => tf.concat([a!, b!], 1),
  ],
  ['SplitV axis=-1', [[2, 6]], (x) => tf.mul(...(tf.split(x!, 2, -1) as [tf.Tensor, tf.Tensor]))],
  ['Select', [[4], [4]], (a, b) => tf.where(tf.tensor1d([1, 0, 1, 0], 'bool'), a!, b!)],
  ['Sum axis=0', [[2, 3]], (x) => tf.sum(x!, 0)],
  ['Sum of all', [[2, 3]], (x) => tf.sum(x!)],
  ['Mean axis=-1', [[2, 3]], (x) => tf.mean(x!, -1)],
  [
    'BatchMatMul',
    [
      [2, 2, 3],
      [2, 3, 2],
    ],
    (a, b) => tf.matMul(a!, b!),
  ],
  [
    'BatchMatMul aᵀ',
    [
      [3, 2],
      [3, 2],
    ],
    (a, b) => tf.matMul(a!, b!, true, false),
  ],
  [
    'BatchMatMul bᵀ',
    [
      [2, 3],
      [4, 3],
    ],
    (a, b) => tf.matMul(a!, b!, false, true),
  ],
  [
    'BatchMatMul aᵀbᵀ',
    [
      [3, 2],
      [4, 3],
    ],
    (a, b) => tf.matMul(a!, b!, true, true),
  ],
  [
    'Conv2D',
    [
      [1, 3, 3, 2],
      [2, 2, 2, 2],
    ],
    (x, w) => tf.conv2d(image(x!), image(w!), 2, 1),
  ],
  [
    'Conv2DBackpropInput',
    [
      [1, 2, 2, 2],
      [4, 4, 1, 2],
    ],
    (x, w) => tf.conv2dTranspose(image(x!), image(w!), [1, 4, 4, 1], 2, 'same'),
  ],
  ['AvgPool', [[1, 4, 4, 1]], (x) => tf.avgPool(image(x!), 2, 2, 'valid')],
  ['AvgPool at every pixel', [[1, 3, 4, 1]], (x) => tf.avgPool(image(x!), 3, 1, 'same')],
  ['MaxPool', [[1, 4, 4, 1]], (x) => tf.maxPool(image(x!), 2, 2, 'valid')],
];

test.each(cases)('%s', (_, shapes, f) => {
  const args = shapes.map((shape, i) => wave(shape, 1.3 + 0.4 * i, 1.5));
  const dy = wave(f(...args).shape, 0.9, 2);
  const value = (at: tf.Tensor[]) => tf.sum(tf.mul(f(...at), dy)).dataSync()[0]!;
  const step = 1e-2;
  const numeric = args.map((arg, i) => {
    const data = arg.dataSync();
    const slopes = Array.from(data, (_, j) => {
      const moved = (by: number) => {
        const copy = Float32Array.from(data);
        copy[j]! += by;
        return value(args.map((a, k) => (k === i ? tf.tensor(copy, arg.shape) : a)));
      };
      return (moved(step) - moved(-step)) / (2 * step);
    });
    return tf.tensor(slopes, arg.shape);
  });
  tf.grads(f)(args, dy).forEach((grad, i) => {
    expectClose(grad, numeric[i]!, { atol: 3e-3, rtol: 3e-3 });
  });
});
