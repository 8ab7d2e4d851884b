import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { iterate, largestSingularValue, spectrallyNormalised } from '../../src/nn/spectral-norm.js';
import { expectClose } from '../support/close.js';
import { expectParity, noise } from '../support/parity.js';
import { wave } from '../support/wave.js';

const filter = wave([2, 2, 3, 5], 0.7); // W [12, 5]
const start = wave([5], 0.9);

/** The rows of W, in float64. */
const rowsOf = (weight: tf.Tensor): number[][] => tf.reshape(weight, [-1, 5]).arraySync() as number[][];

/** σ₁ by cyclic Jacobi rotations of WᵀW: no power iteration. */
function singularValue(rows: readonly (readonly number[])[]): number {
  const n = rows[0]!.length;
  const a = Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (_, j) => rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0)),
  );
  for (let sweep = 0; sweep < 30; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const angle = Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!) / 2;
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (const row of a) [row[p], row[q]] = [c * row[p]! - s * row[q]!, s * row[p]! + c * row[q]!];
        const [x, y] = [a[p]!, a[q]!];
        for (let k = 0; k < n; k++) [x[k], y[k]] = [c * x[k]! - s * y[k]!, s * x[k]! + c * y[k]!];
      }
    }
  }
  return Math.sqrt(Math.max(...a.map((row, i) => row[i]!)));
}

/** The vectors after so many steps of the iteration. */
function after(steps: number, weight = filter) {
  let direction = iterate(weight, start);
  for (let i = 1; i < steps; i++) direction = iterate(weight, direction.u);
  return direction;
}

test('one step by hand: W = diag(3, 1)', () => {
  const { u, v } = iterate(tf.tensor4d([3, 0, 0, 1], [1, 1, 2, 2]), tf.tensor1d([1, 1]));
  expectClose(v, [3 / Math.sqrt(10), 1 / Math.sqrt(10)]);
  expectClose(u, [9 / Math.sqrt(82), 1 / Math.sqrt(82)]);
  expectClose(largestSingularValue(tf.tensor4d([3, 0, 0, 1], [1, 1, 2, 2]), { u, v }), [82 / Math.sqrt(820)]);
});

test('σ goes to the largest singular value, from below', () => {
  const exact = singularValue(rowsOf(filter));
  const sigma = (steps: number) => largestSingularValue(filter, after(steps)).dataSync()[0]!;
  expect(sigma(1)).toBeLessThan(sigma(2));
  expect(sigma(2)).toBeLessThan(exact);
  expect(sigma(100)).toBeCloseTo(exact, 5);
  expect(singularValue(rowsOf(spectrallyNormalised(filter, after(100))))).toBeCloseTo(1, 5);
});

test('with the vectors that the iteration ends at, the derivative is that of the largest singular value', () => {
  const direction = after(100);
  const gradient = tf.grad((weight) => largestSingularValue(weight, direction))(filter);
  expectClose(gradient, tf.mul(direction.v, direction.u));
  const rows = rowsOf(filter);
  const moved = (by: number) =>
    singularValue(rows.map((row, i) => row.map((x, j) => (i === 7 && j === 2 ? x + by : x))));
  expect(tf.reshape(gradient, [-1]).dataSync()[7 * 5 + 2]).toBeCloseTo(
    (moved(1e-4) - moved(-1e-4)) / 2e-4,
    4,
  );
});

test('ONNX Runtime gives the same values and gradients', async () => {
  const inputs = { weight: noise([4, 4, 3, 6], 'weight', 0.1), u: noise([6], 'u') };
  const direction = (u: tf.Tensor) => iterate(tf.tensor(inputs.weight.data, [4, 4, 3, 6]), u);
  await expectParity('iteration', { inputs, fn: ({ weight, u }) => iterate(weight!, u!).u, gradient: false });
  await expectParity('normalised', {
    inputs,
    fn: ({ weight, u }) => spectrallyNormalised(weight!, direction(u!)),
  });
});
