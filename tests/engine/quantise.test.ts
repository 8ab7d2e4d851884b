import { quantise } from '../../src/engine/quantise.js';
import { dequantise } from '../support/dequantise.js';
import { noise } from '../support/parity.js';

test('by hand: columns of their own, blocks of two rows, the last one short', () => {
  const weights = Float32Array.of(
    ...[1.27, 0],
    ...[-0.635, 0], // 63.5 of 0.01
    ...[-25.4, 2],
  );
  const { values, scales } = quantise(weights, [3, 2], 2);
  // [column, block, row of the block]
  expect([...values]).toEqual([255, 64 + 1, 1, 128, 128, 128, 255, 128]);
  expect([...scales].map((scale) => scale.toFixed(6))).toEqual([
    '0.010000',
    '0.200000',
    '0.000000',
    '0.015748',
  ]);
});

test('no weight moves by more than half a step of its block', () => {
  const [rows, columns, block] = [150, 33, 64];
  const weights = noise([rows, columns], 'weights').data as Float32Array;
  weights[0] = 40; // an outlier costs its own block only
  const quantised = quantise(weights, [rows, columns], block);
  const back = dequantise(quantised, [rows, columns], block);
  const blocks = Math.ceil(rows / block);
  const largest = new Float64Array(columns * blocks);
  const place = (i: number) => (i % columns) * blocks + Math.floor(i / columns / block);
  for (const [i, w] of weights.entries()) largest[place(i)] = Math.max(largest[place(i)]!, Math.abs(w));
  for (const [i, w] of weights.entries()) {
    expect(Math.abs(back[i]! - w)).toBeLessThanOrEqual((largest[place(i)]! / 254) * (1 + 1e-5));
    if (Math.abs(w) === largest[place(i)]) expect(back[i]).toBeCloseTo(w, 5);
  }
  expect(Math.min(...quantised.values)).toBe(1);
  expect(Math.max(...quantised.values)).toBe(255);
});
