import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { type Place, type Turns, turned, turnsOf } from '../../src/nn/rotary.js';
import { expectClose } from '../support/close.js';
import { wave } from '../support/wave.js';

const tensors = ({ cos, sin }: Turns): Turns<tf.Tensor> => ({
  cos: tf.tensor(cos.data, [...cos.shape]),
  sin: tf.tensor(sin.data, [...sin.shape]),
});

/** x [N, H, E] with every row at one place. */
const at = (place: Place, x: tf.Tensor): tf.Tensor => turned(x, tensors(turnsOf([place], x.shape[2]!)));

test('a pair of the first half turns by its rate for each row, one of the second for each column', () => {
  const [row, column] = [2, 3];
  const one = tf.tensor3d([[[1, 0, 1, 0, 0, 1, 0, 0]]]); // E = 8: rates 1 and 1/10, pairs 4 apart
  expectClose(tf.reshape(at({ row, column }, one), [-1]), [
    Math.cos(row),
    -Math.sin(row / 10),
    Math.cos(column),
    0,
    Math.sin(row),
    Math.cos(row / 10),
    Math.sin(column),
    0,
  ]);
});

test('the product of a query and a key depends on how far apart their places are, and on nothing else', () => {
  const [q, k] = [wave([1, 3, 16], 0.7), wave([1, 3, 16], 1.3)];
  const product = (a: Place, b: Place) => tf.sum(tf.mul(at(a, q), at(b, k)), -1);
  const from = { row: 1, column: 5 };
  const apart = (row: number, column: number) => product(from, { row: 1 + row, column: 5 + column });
  for (const { row, column } of [
    { row: 0, column: 0 },
    { row: 7, column: -2.5 },
    { row: -1, column: 40 },
  ]) {
    const moved = product({ row, column }, { row: row + 2, column: column - 3 });
    expectClose(moved, apart(2, -3), { atol: 1e-5 });
  }
  const others = [apart(2, 3), apart(-2, 3), apart(-2, -3), apart(-3, 2), apart(0, 0)];
  for (const other of others)
    expect(tf.max(tf.abs(tf.sub(other, apart(2, -3)))).dataSync()[0]).toBeGreaterThan(0.05);
});

test('rows of several sequences go through the places in turn', () => {
  const places = [
    { row: -1, column: -1 },
    { row: 0, column: 0 },
    { row: 0, column: 1 },
  ];
  const x = wave([6, 2, 8], 0.9);
  const all = turned(x, tensors(turnsOf(places, 8)));
  for (let i = 0; i < 6; i++)
    expectClose(tf.slice(all, i, 1), at(places[i % 3]!, tf.slice(x, i, 1) as tf.Tensor));
});
