/** Products of 8-bit integers: by hand, through ONNX Runtime beside TF.js, and what rounding costs at most. */
import * as tf from '@tensorflow/tfjs-core';
import { float32, type HostTensor } from '../../src/base/tensor.js';
import { int8Linear, int8MatMul } from '../../src/nn/int8-linear.js';
import { linear } from '../../src/nn/linear.js';
import { expectClose } from '../support/close.js';
import { eager, expectParity, noise } from '../support/parity.js';

const turns = [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
] as const;

test('by hand: the left factor in 256 steps from least to most, the right one in 127 on either side of 0', async () => {
  const { product } = await eager(
    { a: float32([1, 3], [-1, 0.013, 1.55]), b: float32([3, 2], [127, 0.4, 1, 0.6, 1, 3]) },
    ({ a, b }) => ({ product: int8MatMul(a!, b!) }),
  );
  // a in steps of 0.01: -1, 0.01, 1.55; b in whole numbers: 127, 1, 1 and 0, 1, 3.
  expectClose(product!, [-127 + 0.01 + 1.55, 0.01 + 4.65], { atol: 1e-5 });
});

test.each(turns)('through ONNX Runtime, a turned: %s, b turned: %s', async (transposeA, transposeB) => {
  for (const [m, k, n] of [
    [1, 1, 1],
    [5, 7, 3],
    [33, 64, 40],
    [70, 130, 65],
  ] as const) {
    const inputs = {
      a: noise(transposeA ? [k, m] : [m, k], `a ${m}`),
      b: noise(transposeB ? [n, k] : [k, n], `b ${m}`),
    };
    const fn = ({ a, b }: Record<string, tf.Tensor>) => int8MatMul(a!, b!, { transposeA, transposeB });
    await expectParity(`int8 product ${[m, k, n]}`, {
      inputs,
      fn,
      gradient: false,
      tolerance: { atol: 1e-4 },
    });
  }
});

test('by hand: rows of the left factor in steps of their own; the right one in two integers', async () => {
  const inputs = { a: float32([2, 2], [127, 0.6, -1.27, 0.004]), b: float32([2, 1], [127, 0.4]) };
  const all = await eager(inputs, ({ a, b }) => ({
    rows: int8MatMul(a!, b!, { byRows: true }),
    fine: int8MatMul(a!, b!, { byRows: true, fine: true }),
  }));
  // a in steps of 1: 127, 1, and of 0.01: -1.27, 0. b in whole numbers: 127, 0, and 254 times as fine: 127, 0.4016.
  expectClose(all.rows!, [127 * 127, -1.27 * 127], { atol: 1e-3 });
  expectClose(all.fine!, [127 * 127 + 102 / 254, -1.27 * 127], { atol: 1e-3 });
});

test.each([
  [[1, 1, 1], {}],
  [[9, 70, 33], {}],
  [[9, 70, 33], { fine: true }],
  [[64, 128, 48], { transposeB: true }],
  [[64, 128, 48], { transposeB: true, fine: true }],
] as const)('rows in steps of their own through ONNX Runtime: %j, %j', async ([m, k, n], options) => {
  const a = noise([m, k], 'a');
  for (let i = 0; i < k; i++) a.data[i]! *= 1e-3; // its first row
  const b = noise('transposeB' in options ? [n, k] : [k, n], 'b');
  const fn = ({ a, b }: Record<string, tf.Tensor>) => int8MatMul(a!, b!, { byRows: true, ...options });
  await expectParity('by rows', { inputs: { a, b }, fn, gradient: false, tolerance: { atol: 1e-4 } });
});

test.each([
  [4, 8, 5],
  [32, 24, 48],
] as const)('the layer with its gradients through ONNX Runtime, [%i, %i] to %i', async (rows, from, to) => {
  const inputs = { x: noise([rows, from], 'x'), weight: noise([from, to], 'w'), bias: noise([to], 'b') };
  const fn = ({ x, weight, bias }: Record<string, tf.Tensor>) =>
    int8Linear({ weight: weight!, bias: bias! }, x!);
  await expectParity('int8 layer', { inputs, fn, tolerance: { atol: 1e-4 } });
});

test.each([
  ['zeros', [0, 0, 0, 0], [1, 2, 3, 4]],
  ['zeros on the right', [1, 2, 3, 4], [0, 0, 0, 0]],
  ['all above 0', [3, 4, 5, 6], [7, 7, 7, 7]],
  ['all below 0', [-3, -4, -5, -6], [-7, -1, -2, -7]],
] as const)('%s', async (name, left, right) => {
  const inputs = { a: float32([2, 2], [...left]), b: float32([2, 2], [...right]) };
  await expectParity(name, {
    inputs,
    fn: ({ a, b }) => int8MatMul(a!, b!),
    gradient: false,
  });
  const exact = await eager(inputs, ({ a, b }) => ({ y: tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D) }));
  const { y } = await eager(inputs, ({ a, b }) => ({ y: int8MatMul(a!, b!) }));
  expectClose(y!, exact.y!, { atol: 0.5, rtol: 0 });
});

test('a layer and its gradients stay within what rounding can do to them', async () => {
  const [rows, from, to] = [64, 96, 80];
  const inputs = { x: noise([rows, from], 'x'), weight: noise([from, to], 'w'), dy: noise([rows, to], 'dy') };
  const all = (layer: typeof linear) =>
    eager(inputs, ({ x, weight, dy }) => {
      const f = (x: tf.Tensor, weight: tf.Tensor) => layer({ weight }, x);
      const [dx, dw] = tf.grads(f as (...t: tf.Tensor[]) => tf.Tensor)([x!, weight!], dy);
      return { y: f(x!, weight!), dx: dx!, dw: dw! };
    });
  const [rounded, exact] = [await all(int8Linear), await all(linear)];
  const share = (name: string) => {
    const [got, want] = [rounded[name]!, exact[name]!];
    const size = (t: HostTensor, minus?: HostTensor) =>
      Math.hypot(...Array.from(t.data, (value, i) => value - (minus?.data[i] ?? 0)));
    return size(got, want) / size(want);
  };
  for (const name of ['y', 'dx', 'dw']) {
    expect(share(name)).toBeGreaterThan(1e-4);
    expect(share(name)).toBeLessThan(0.02);
  }
});
