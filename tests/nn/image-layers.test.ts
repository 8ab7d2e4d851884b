/** The expected numbers are PyTorch's (float64) on the same waves: `torch.sin(k · arange)` in NHWC order. */
import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { batchNorm } from '../../src/nn/batch-norm.js';
import { conv, convSpecs } from '../../src/nn/conv.js';
import { groupNorm } from '../../src/nn/group-norm.js';
import { spatialAttention } from '../../src/nn/spatial-attention.js';
import { upsampleConv } from '../../src/nn/upsample-conv.js';
import { expectClose } from '../support/close.js';
import { wave } from '../support/wave.js';

const close = { atol: 2e-5, rtol: 2e-5 };

/** The row of channels at one position. */
const at = (t: tf.Tensor, position: number[], channels: number) =>
  tf.reshape(tf.slice(t, [...position, 0], [...position.map(() => 1), channels]), [channels]);

/** Value and gradients of Σ f·dy with the wave dy(1.1). */
function run(f: (...args: tf.Tensor[]) => tf.Tensor, args: tf.Tensor[]) {
  const y = f(...args);
  return { y, grads: tf.grads(f)(args, wave(y.shape, 1.1)) };
}

describe('group norm, x=[2,2,3,64]', () => {
  const args = [wave([2, 2, 3, 64], 0.7), wave([64], 0.3), wave([64], 0.9)];

  test('with swish', () => {
    const f = (x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) =>
      groupNorm({ gamma, beta, groups: 32 }, x, { swish: true });
    const { y, grads } = run(f as (...args: tf.Tensor[]) => tf.Tensor, args);
    expectClose(at(y, [1, 1, 2], 4), [0, 0.359251, 0.091595, -0.258121], close);
    expectClose(at(grads[0]!, [1, 1, 2], 4), [-0.000559, 0.11894, -0.262414, -0.111569], close);
    expectClose(tf.slice(grads[1]!, 0, 4), [-0.710336, -0.797288, -0.408758, -1.304848], close);
    expectClose(tf.slice(grads[2]!, 0, 4), [0.583177, 1.123796, 0.060764, -1.099917], close);
  });

  test('without', () => {
    const f = (x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) =>
      groupNorm({ gamma, beta, groups: 32 }, x, { swish: false });
    const { y, grads } = run(f as (...args: tf.Tensor[]) => tf.Tensor, args);
    expectClose(at(y, [1, 1, 2], 4), [0, 0.5637, 0.168951, -0.881126], close);
    expectClose(at(grads[0]!, [1, 1, 2], 4), [-0.005839, 0.150234, -0.085323, -0.679439], close);
    expectClose(tf.slice(grads[1]!, 0, 4), [-1.420671, -1.558182, -0.632265, -0.578605], close);
  });
});

test('batch norm, x=[2,2,3,3]', () => {
  const f = (...[x, gamma, beta]: tf.Tensor[]) => batchNorm({ gamma: gamma!, beta: beta! }, x!);
  const { y, grads } = run(f, [wave([2, 2, 3, 3], 0.7), wave([3], 0.3, 2), wave([3], 0.9)]);
  expectClose(tf.reshape(tf.slice(y, [0, 0, 0, 0], [1, 1, 3, 3]), [9]), [
    ...[0, 1.324053, 2.549399, 0, 1.064904, 0.410386, 0, -0.03917, -0.038606],
  ]);
  expectClose(
    tf.reshape(tf.slice(grads[0]!, [0, 0, 0, 0], [1, 1, 3, 3]), [9]),
    [0, 0.764571, 1.025345, 0, -0.798919, -1.180714, 0, 0.745185, 0.930694],
    close,
  );
  expectClose(grads[1]!, [1.140023, -0.62481, 0.861105], close);
  expectClose(grads[2]!, [-0.525554, 0.31819, 0.814213], close);
});

test('spatial attention, x=[2,2,3,4]', () => {
  const projection = (i: number) => ({
    weight: tf.reshape(wave([4, 4], 0.5 + 0.1 * i), [1, 1, 4, 4]),
    bias: wave([4], 0.2 + 0.1 * i),
  });
  const params = {
    norm: { gamma: tf.add(wave([4], 0.3), 1), beta: wave([4], 0.9), groups: 4 },
    query: projection(0),
    key: projection(1),
    value: projection(2),
    out: projection(3),
  };
  const { y, grads } = run((x) => spatialAttention(params, x!), [wave([2, 2, 3, 4], 0.7)]);
  expectClose(at(y, [1, 1, 2], 4), [-0.757148, -0.631924, 0.061493, 1.118243], close);
  expectClose(at(grads[0]!, [1, 1, 2], 4), [-0.227126, 0.306514, -1.156525, 2.132838], close);
  expectClose(at(grads[0]!, [0, 0, 0], 4), [0.595848, 0.692583, -0.760574, 0.419333], close);
});

test('3×3 convolution of stride 2 pads right and bottom, x=[1,4,4,2]', () => {
  const f = (...[x, weight, bias]: tf.Tensor[]) => conv({ weight: weight!, bias: bias! }, x!, { stride: 2 });
  const { y, grads } = run(f, [wave([1, 4, 4, 2], 0.7), wave([3, 3, 2, 3], 0.5), wave([3], 0.4)]);
  expectClose(
    y,
    tf.tensor(
      [
        -0.51979, -0.358201, -0.07505, 0.25646, 1.147575, 1.791585, -0.155476, 0.072631, 0.316818, 0.44941,
        1.078286, 1.477023,
      ],
      [1, 2, 2, 3],
    ),
    close,
  );
  expectClose(
    tf.slice(grads[0]!, [0, 1, 0, 0], [1, 1, 4, 2]),
    [-0.506814, -1.598999, 0.280597, 1.638696, 0.341569, 0.062433, -0.148691, -1.729064],
    close,
  );
  expectClose(
    tf.slice(grads[1]!, [2, 2, 0, 0], [1, 1, 2, 3]),
    [0, 0.882837, 0.800902, 0, 0.753736, 0.683783],
    close,
  );
  expectClose(grads[2]!, [-0.30374, -0.072217, 0.238226], close);
});

test('4×4 convolution without bias, zeros on every side, odd size, x=[1,5,5,2]', () => {
  const f = (...[x, weight]: tf.Tensor[]) => conv({ weight: weight! }, x!, { stride: 2, pad: 1 });
  const { y, grads } = run(f, [wave([1, 5, 5, 2], 0.7), wave([4, 4, 2, 1], 0.5)]);
  expectClose(y, tf.tensor([0.194827, -1.756062, -0.00702, -0.52248], [1, 2, 2, 1]), close);
  expectClose(
    tf.reshape(tf.slice(grads[0]!, [0, 4, 0, 0], [1, 1, 5, 2]), [10]),
    [0.339704, 0.649857, 0.885545, 0.766321, 0.459476, 0.040135, -0.156264, -0.147476, -0.10258, -0.032569],
    close,
  );
  expectClose(tf.slice(grads[1]!, [3, 3, 0, 0], [1, 1, 2, 1]), [0.011691, 0.912479], close);
});

test.each([
  [1, 2, 3, 2, 3],
  [2, 5, 4, 3, 2],
  [1, 1, 1, 1, 1],
])(
  'enlarging in the convolution is enlarging before it, x=[%i,%i,%i,%i] to %i',
  (b, h, w, inputs, outputs) => {
    const plain = (...[x, weight, bias]: tf.Tensor[]) =>
      conv(
        { weight: weight!, bias: bias! },
        tf.reshape(tf.mul(tf.reshape(x!, [b, h, 1, w, 1, inputs]), tf.ones([1, 1, 2, 1, 2, 1])), [
          b,
          2 * h,
          2 * w,
          inputs,
        ]),
      );
    const fast = (...[x, weight, bias]: tf.Tensor[]) => upsampleConv({ weight: weight!, bias: bias! }, x!);
    const args = [wave([b, h, w, inputs], 0.7), wave([3, 3, inputs, outputs], 0.5), wave([outputs], 0.3)];
    const [wanted, actual] = [run(plain, args), run(fast, args)];
    expectClose(actual.y, wanted.y, close);
    for (const [i, gradient] of wanted.grads.entries()) expectClose(actual.grads[i]!, gradient, close);
  },
);

test('filters start as PyTorch starts them: U(±1/√fan-in) for weight and bias', () => {
  expect(convSpecs(3, 4, 8)).toEqual({
    weight: { shape: [3, 3, 4, 8], init: { kind: 'uniform', bound: 1 / 6 } },
    bias: { shape: [8], init: { kind: 'uniform', bound: 1 / 6 } },
  });
});
