import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensor } from '../../src/base/tensor.js';
import { dropoutFrom, dropoutNoise, type Noise } from '../../src/nn/dropout.js';
import { valueAndGradsOf } from '../../src/nn/gradients.js';
import { expectClose } from '../support/close.js';

const layout = { sites: 3, rows: 256, columns: 192 };
const rate = 0.1;

const tensors = ({ rows, columns }: Noise<HostTensor>): Noise<tf.Tensor> => ({
  rows: tf.tensor(rows.data, [...rows.shape]),
  columns: tf.tensor(columns.data, [...columns.shape]),
});

/** Masks of the sites, one array of 0 and 1 for each. */
function masks(seed: number, step: number): Float32Array[] {
  const noise = dropoutNoise({ ...layout, rows: layout.rows / 8 }, seed, { step, batch: 8 });
  const dropout = dropoutFrom(tensors(noise), rate);
  return Array.from({ length: layout.sites }, () => {
    const y = dropout(tf.fill([layout.rows, layout.columns], 1 - rate));
    return y.dataSync() as Float32Array;
  });
}

test('every number is exact in float32 products', () => {
  const { rows, columns } = dropoutNoise(layout, 0, { step: 1, batch: 2 });
  expect([rows.shape, columns.shape]).toEqual([
    [2, 3, 256, 4],
    [3, 4, 192],
  ]);
  for (const table of [rows.data, columns.data.map((c) => c * 2 ** 18)]) {
    for (const n of table) expect(Number.isInteger(n) && n % 2 === 1 && n >= 1024 && n < 2048).toBe(true);
  }
});

test('the same mask for the same seed and step, others for others, one for each site', () => {
  const [a, b, c] = masks(1, 7);
  expect(masks(1, 7)).toEqual([a, b, c]);
  for (const other of [b!, c!, masks(1, 8)[0]!, masks(2, 7)[0]!]) {
    const differing = a!.filter((v, i) => v !== other[i]).length / a!.length;
    expect(Math.abs(differing - 2 * rate * (1 - rate))).toBeLessThan(0.01);
  }
});

test('kept values are scaled, and the share kept is right in every row and column', () => {
  const { rows, columns } = layout;
  for (const mask of masks(0, 1)) {
    const kept = Array.from(mask, Math.round);
    expectClose(tf.tensor1d(mask), kept, { atol: 1e-6 });
    const rowRates = Array.from({ length: rows }, (_, r) => mean(kept.slice(r * columns, (r + 1) * columns)));
    const columnRates = Array.from({ length: columns }, (_, c) =>
      mean(kept.filter((_, i) => i % columns === c)),
    );
    expect(Math.abs(mean(kept) - 0.9)).toBeLessThan(0.006);
    // Five standard deviations of a binomial share.
    const bound = (n: number) => 5 * Math.sqrt((0.9 * 0.1) / n);
    expect(Math.max(...rowRates.map((r) => Math.abs(r - 0.9)))).toBeLessThan(bound(columns));
    expect(Math.max(...columnRates.map((r) => Math.abs(r - 0.9)))).toBeLessThan(bound(rows));
  }
});

test('rows are uncorrelated with one another, and so are columns', () => {
  const { rows, columns } = layout;
  const mask = masks(3, 5)[0]!;
  const centred = Array.from(mask, (v) => (Math.round(v) - 0.9) / 0.3);
  const row = (r: number) => centred.slice(r * columns, (r + 1) * columns);
  const column = (c: number) => centred.filter((_, i) => i % columns === c);
  for (const [lines, n] of [
    [Array.from({ length: 64 }, (_, r) => row(r)), columns],
    [Array.from({ length: 64 }, (_, c) => column(c)), rows],
  ] as const) {
    const correlations = lines.flatMap((a, i) =>
      lines.slice(i + 1).map((b) => a.reduce((sum, v, k) => sum + v * b[k]!, 0) / n),
    );
    expect(Math.sqrt(mean(correlations.map((c) => c * c))) * Math.sqrt(n)).toBeLessThan(1.15);
    expect(Math.max(...correlations.map(Math.abs))).toBeLessThan(6 / Math.sqrt(n));
  }
});

test('the gradient passes through the mask of the forward pass', () => {
  const noise = dropoutNoise({ sites: 1, rows: 2, columns: 6 }, 0, { step: 1, batch: 2 });
  const x = tf.fill([2, 2, 6], 1);
  const f = (x: tf.Tensor) => dropoutFrom(tensors(noise), 0.5)(x);
  const { grads } = valueAndGradsOf({ x }, ({ x }) => tf.sum(f(x)));
  expectClose(grads.x, f(x));
  expect(new Set(grads.x.dataSync())).toEqual(new Set([0, 2]));
});

const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
