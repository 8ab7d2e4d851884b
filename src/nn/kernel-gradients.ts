/**
 * Gradients of the TF.js kernels that vqgen's programs are made of. TF.js keeps its own in a module that its Node
 * build leaves out, so they are registered here; importing this file is enough. A kernel without an entry cannot be
 * differentiated ("gradient function not found for …").
 *
 * In every line `dy` is the gradient of the output, `x`, `a`, `b` are inputs and `y` is the output.
 */

import * as tf from '@tensorflow/tfjs-core';
import { last, nth, only, pairs } from '../base/lookup.js';
import { composite } from './composite.js';

type Attrs = Record<string, unknown>;
type Gradients = Record<string, () => tf.Tensor>;

/** Registers a gradient that needs the tensors named: inputs, and last the output where that is `y`. */
function gradient<N extends string[] | [string]>(
  kernelName: string,
  needs: N,
  gradFunc: (dy: tf.Tensor, saved: { [K in keyof N]: tf.Tensor }, attrs: Attrs) => Gradients,
): void {
  const inputsToSave = needs.filter((name) => name !== 'y');
  const outputsToSave = [needs.includes('y')];
  const own = (dy: tf.Tensor | tf.Tensor[], saved: tf.Tensor[], attrs: object) =>
    gradFunc(dy as tf.Tensor, saved as { [K in keyof N]: tf.Tensor }, attrs as Attrs);
  tf.registerGradient({ kernelName, inputsToSave, outputsToSave, gradFunc: own });
}

/** A gradient of f(x) that needs x. */
const ofInput = (name: string, f: (dy: tf.Tensor, x: tf.Tensor, attrs: Attrs) => tf.Tensor, input = 'x') =>
  gradient(name, [input], (dy, [x], attrs) => ({ [input]: () => f(dy, x, attrs) }));

/** A gradient of f(x) that needs only y = f(x). */
const ofOutput = (name: string, f: (dy: tf.Tensor, y: tf.Tensor) => tf.Tensor, input = 'x') =>
  gradient(name, ['y'], (dy, [y]) => ({ [input]: () => f(dy, y) }));

/** A gradient of f(a, b) with broadcasting: summed over what was broadcast. */
const ofPair = (
  name: string,
  toA: (dy: tf.Tensor, a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
  toB: (dy: tf.Tensor, a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
) =>
  gradient(name, ['a', 'b'], (dy, [a, b]) => ({
    a: () => sumTo(toA(dy, a, b), a.shape),
    b: () => sumTo(toB(dy, a, b), b.shape),
  }));

function sumTo(t: tf.Tensor, shape: number[]): tf.Tensor {
  const axes = tf.backend_util.getReductionAxes(shape, t.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(t, axes) : t, shape);
}

/** dy of a reduction, spread over the axes that were reduced. */
function spread(dy: tf.Tensor, shape: number[], axis: unknown): tf.Tensor {
  const axes = tf.util.parseAxisParam(axis as number | number[], shape);
  const kept = shape.map((n, i) => (axes.includes(i) ? 1 : n));
  return tf.broadcastTo(tf.reshape(dy, kept), shape);
}

/** dy where `open`, of the same shape, is true. */
const gate = (dy: tf.Tensor, open: tf.Tensor): tf.Tensor =>
  composite('Gate', { dy, open }, {}, () => [tf.where(open, dy, tf.zerosLike(dy))])[0];

type Window = number | [number, number];

/**
 * [1, H, W, 1]: a window's size over the number of its pixels that lie within the image, for windows of odd sides around
 * every pixel. A mean is of the latter, while the kernel of the gradient, TF.js's as ours, divides by the former.
 */
function missing(shape: number[], window: Window): tf.Tensor {
  const [down, across] = typeof window === 'number' ? [window, window] : window;
  const counts = (size: number, window: number): number[] =>
    Array.from({ length: size }, (_, at) => {
      const reach = (window - 1) / 2;
      return window / (Math.min(size, at + reach + 1) - Math.max(0, at - reach));
    });
  const rows = tf.tensor4d(counts(shape[1]!, down), [1, shape[1]!, 1, 1]);
  return tf.mul(rows, tf.tensor4d(counts(shape[2]!, across), [1, 1, shape[2]!, 1]));
}

const run = (name: string, inputs: Record<string, tf.Tensor>, attrs: Attrs): tf.Tensor =>
  tf.engine().runKernel(name, inputs, attrs as tf.NamedAttrMap) as tf.Tensor;

// Arithmetic
ofPair(
  'Add',
  (dy) => dy,
  (dy) => dy,
);
ofPair(
  'Sub',
  (dy) => dy,
  (dy) => tf.neg(dy),
);
ofPair(
  'Multiply',
  (dy, _, b) => tf.mul(dy, b),
  (dy, a) => tf.mul(dy, a),
);
ofPair(
  'RealDiv',
  (dy, _, b) => tf.div(dy, b),
  (dy, a, b) => tf.neg(tf.div(tf.mul(dy, tf.div(a, b)), b)),
);
ofPair(
  'Maximum',
  (dy, a, b) => gate(dy, tf.greaterEqual(a, b)),
  (dy, a, b) => gate(dy, tf.less(a, b)),
);
ofPair(
  'Minimum',
  (dy, a, b) => gate(dy, tf.lessEqual(a, b)),
  (dy, a, b) => gate(dy, tf.greater(a, b)),
);
tf.registerGradient({
  kernelName: 'AddN',
  saveAllInputs: true,
  gradFunc: (dy, saved) => Object.fromEntries(saved.map((_, i) => [i, () => tf.clone(dy as tf.Tensor)])),
});

// Functions of one tensor
ofInput('Neg', (dy) => tf.neg(dy));
ofInput('Abs', (dy, x) => tf.mul(dy, tf.sign(x)));
ofInput('Square', (dy, x) => tf.mul(dy, tf.mul(x, 2)));
ofInput('Log', (dy, x) => tf.div(dy, x));
ofInput('Softplus', (dy, x) => tf.mul(dy, tf.sigmoid(x)));
ofInput('LeakyRelu', (dy, x, { alpha }) => tf.where(tf.greater(x, 0), dy, tf.mul(dy, alpha as number)));
ofInput('ClipByValue', (dy, x, { clipValueMin, clipValueMax }) =>
  gate(
    dy,
    tf.logicalAnd(tf.greaterEqual(x, clipValueMin as number), tf.lessEqual(x, clipValueMax as number)),
  ),
);
ofOutput('Exp', (dy, y) => tf.mul(dy, y));
ofOutput('Sqrt', (dy, y) => tf.div(dy, tf.mul(y, 2)));
ofOutput('Rsqrt', (dy, y) => tf.mul(dy, tf.mul(-0.5, tf.mul(y, tf.square(y)))));
ofOutput('Tanh', (dy, y) => tf.mul(dy, tf.sub(1, tf.square(y))));
ofOutput('Sigmoid', (dy, y) => tf.mul(dy, tf.mul(y, tf.sub(1, y))));
ofOutput('Relu', (dy, y) => gate(dy, tf.greater(y, 0)));
gradient('Softmax', ['y'], (dy, [y], { dim }) => ({
  logits: () => tf.mul(y, tf.sub(dy, tf.sum(tf.mul(dy, y), dim as number, true))),
}));

// Shapes
ofInput('Identity', (dy) => tf.clone(dy));
ofInput('Cast', (dy) => tf.clone(dy));
ofInput('Reshape', (dy, x) => tf.reshape(dy, x.shape));
ofInput('ExpandDims', (dy, x) => tf.reshape(dy, x.shape), 'input');
ofInput('Transpose', (dy, _, { perm }) =>
  tf.transpose(dy, tf.backend_util.getUndoAxesPermutation(perm as number[])),
);
ofInput('Slice', (dy, x, { begin, size }) => {
  const [starts, sizes] = tf.slice_util.parseSliceParams(x, begin as number[], size as number[]) as [
    number[],
    number[],
  ];
  const ends = pairs(starts, sizes).map(([start, length]) => start + length);
  const after = pairs(x.shape, ends).map(([length, end]) => length - end);
  return tf.pad(dy, pairs(starts, after));
});
ofInput('PadV2', (dy, x, { paddings }) =>
  tf.slice(
    dy,
    (paddings as [number, number][]).map(([before]) => before),
    x.shape,
  ),
);
tf.registerGradient({
  kernelName: 'Concat',
  saveAllInputs: true,
  gradFunc: (dy, saved, attrs) => {
    const { axis: given } = attrs as { axis?: unknown };
    const axis = only(tf.util.parseAxisParam(given as number, last(saved).shape));
    const lengths = saved.map(({ shape }) => nth(shape, axis));
    const parts = tf.split(dy as tf.Tensor, lengths, axis);
    return Object.fromEntries(parts.map((part, i) => [i, () => part]));
  },
});
tf.registerGradient({
  kernelName: 'SplitV',
  gradFunc: (dy, _, attrs) => ({
    x: () => tf.concat([dy].flat(), (attrs as { axis?: unknown }).axis as number),
  }),
});
gradient('Select', ['condition'], (dy, [condition]) => ({
  condition: () => tf.zerosLike(tf.cast(condition, 'float32')),
  t: () => tf.where(condition, dy, tf.zerosLike(dy)),
  e: () => tf.where(condition, tf.zerosLike(dy), dy),
}));

// Reductions and products
ofInput('Sum', (dy, x, { axis }) => spread(dy, x.shape, axis));
ofInput('Mean', (dy, x, { axis }) => spread(tf.mul(dy, dy.size / x.size), x.shape, axis));
gradient('BatchMatMul', ['a', 'b'], (dy, [a, b], attrs) => {
  const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
  return {
    a: () => (transposeA ? tf.matMul(b, dy, transposeB, true) : tf.matMul(dy, b, false, !transposeB)),
    b: () => (transposeB ? tf.matMul(dy, a, true, transposeA) : tf.matMul(a, dy, !transposeA, false)),
  };
});

// Images
gradient('Conv2D', ['x', 'filter'], (dy, [x, filter], { strides, pad, dataFormat, dimRoundingMode }) => {
  const attrs = { strides, pad, dataFormat, dimRoundingMode };
  return {
    x: () => run('Conv2DBackpropInput', { dy, filter }, { ...attrs, inputShape: x.shape }),
    filter: () => run('Conv2DBackpropFilter', { x, dy }, { ...attrs, filterShape: filter.shape }),
  };
});
gradient(
  'Conv2DBackpropInput',
  ['dy', 'filter'],
  (dy, [x, filter], { strides, pad, dataFormat, dimRoundingMode }) => {
    const attrs = { strides, pad, dataFormat, dimRoundingMode };
    return {
      dy: () => run('Conv2D', { x: dy, filter }, { ...attrs, dilations: 1 }),
      filter: () => run('Conv2DBackpropFilter', { x: dy, dy: x }, { ...attrs, filterShape: filter.shape }),
    };
  },
);
ofInput('AvgPool', (dy, x, { filterSize, strides, pad }) => {
  const everywhere = pad === 'same' && [strides].flat().every((n) => n === 1);
  const shared = everywhere ? tf.mul(dy, missing(x.shape, filterSize as Window)) : dy;
  return run('AvgPoolGrad', { dy: shared, input: x }, { filterSize, strides, pad });
});
gradient('MaxPool', ['x', 'y'], (dy, [x, y], { filterSize, strides, pad }) => ({
  x: () => run('MaxPoolGrad', { dy, input: x, output: y }, { filterSize, strides, pad }),
}));
