/**
 * Rotary positions (Su et al., RoPE, arXiv 2104.09864, section 3.2) of places in rows and columns: one half of a
 * head's pairs of numbers turns with the row, the other with the column (axial, as Heo et al., arXiv 2403.13298,
 * section 3.2). A query's product with a key then depends on how far their places are apart, not on where they are.
 *
 * Shapes: E numbers of a head, R places. Number i < E/2 makes a pair with number i + E/2.
 */
import * as tf from '@tensorflow/tfjs-core';
import { firstAxis, float32, type HostTensor, lastAxis } from '../base/tensor.js';

export interface Place {
  readonly row: number;
  readonly column: number;
}

/** Cosine and sine, [R, E/2] each, of the angles by which each place turns each pair. */
export interface Turns<T = HostTensor> {
  readonly cos: T;
  readonly sin: T;
}

/** Grids have tens of rows, texts thousands of words, of which the 10,000 of language models speaks. */
const base = 100;

/** @param perHead E, a multiple of 4: pair j of the E/4 of an axis turns by 100^(−4j/E) for each step along it */
export function turnsOf(places: readonly Place[], perHead: number): Turns {
  const each = perHead / 4;
  const rates = Array.from({ length: each }, (_, j) => base ** (-j / each));
  const angles = places.flatMap(({ row, column }) => [row, column].flatMap((at) => rates.map((r) => at * r)));
  const shape = [places.length, perHead / 2];
  const of = (f: (angle: number) => number) => float32(shape, Float32Array.from(angles, f));
  return { cos: of(Math.cos), sin: of(Math.sin) };
}

/** The rows of both tables for `places`, int32 of any shape, or for the first so many: [R, E/2] each. */
export function turnsAt({ cos, sin }: Turns, places: tf.Tensor | number): Turns<tf.Tensor> {
  const rows = (of: HostTensor): tf.Tensor => {
    const [count, pairs] = [typeof places === 'number' ? places : firstAxis(of), lastAxis(of)];
    const table = tf.tensor2d(of.data.subarray(0, count * pairs) as Float32Array, [count, pairs]);
    return typeof places === 'number' ? table : tf.gather(table, tf.reshape(places, [-1]) as tf.Tensor1D);
  };
  return { cos: rows(cos), sin: rows(sin) };
}

/**
 * x [N, H, E], each head turned by its row's place.
 *
 * @param turns of R places: of one for all rows, of each row, or of R = T places that the rows go through in turn
 */
export function turned(x: tf.Tensor, turns: Turns<tf.Tensor>): tf.Tensor {
  const [rows, heads, perHead] = x.shape as [number, number, number];
  const [places, pairs] = turns.cos.shape as [number, number];
  const inTurn = places > 1 && places < rows;
  const halves = tf.split(inTurn ? tf.reshape(x, [rows / places, places, heads, perHead]) : x, 2, -1);
  const [a, b] = halves as [tf.Tensor, tf.Tensor]; // each [..., H, E/2]
  const [cos, sin] = [turns.cos, turns.sin].map((t) => tf.reshape(t, [places, 1, pairs])) as [
    tf.Tensor,
    tf.Tensor,
  ];
  const first = tf.sub(tf.mul(a, cos), tf.mul(b, sin));
  const second = tf.add(tf.mul(a, sin), tf.mul(b, cos));
  const joined = tf.concat([first, second], -1);
  return inTurn ? tf.reshape(joined, x.shape) : joined;
}
