/**
 * Dropout (Srivastava et al., 2014) whose randomness is an input of the step.
 *
 * A mask of [R, C] values needs only R + C small random vectors: U = frac(r·c / 2¹⁸) for row vectors r and column
 * vectors c of four whole numbers is spread evenly over [0, 1) and nearly independent from entry to entry. All numbers
 * are odd and in [2¹⁰, 2¹¹): every partial sum of a product stays below 2²⁴, so that float32 is exact in any order of
 * summation and a mask has the same bits on every device; and the products wrap around 2¹⁸ many times, so that no row
 * or column is favoured.
 */
import * as tf from '@tensorflow/tfjs-core';
import { type Key, stream } from '../base/rng.js';
import { float32, type HostTensor, type HostTensors } from '../base/tensor.js';

const terms = 4;
const modulus = 2 ** 18;

/** Applies dropout to one activation [..., C]; called once for each site, in the order of the layout. */
export type Dropout = (x: tf.Tensor) => tf.Tensor;

export const noDropout: Dropout = (x) => x;

/** R rows by C columns of each of so many activations. */
export interface NoiseLayout {
  readonly sites: number;
  readonly rows: number;
  readonly columns: number;
}

/** Length of the noise vector for `sites` activations of `rows` rows by `columns` columns. */
export function noiseLength(sites: number, rows: number, columns: number): number {
  return sites * terms * (rows + columns);
}

/**
 * The noise [L] of one step: for each site the rows' vectors [R, 4], then the columns' [4, C]
 * (already divided by 2¹⁸, which is exact).
 */
export function dropoutNoise(o: NoiseLayout, seed: Key, step: number): HostTensor {
  const rng = stream(seed, 'dropout', step);
  const data = new Float32Array(noiseLength(o.sites, o.rows, o.columns));
  let next = 0;
  for (let site = 0; site < o.sites; site++) {
    for (let i = 0; i < terms * o.rows; i++) data[next++] = 1025 + 2 * rng.below(512);
    for (let i = 0; i < terms * o.columns; i++) data[next++] = (1025 + 2 * rng.below(512)) / modulus;
  }
  return float32([data.length], data);
}

/**
 * The noise of rows `from` to `from + count`: their masks are the same rows of the masks that the whole noise [L]
 * makes.
 */
export function rowsOfNoise(noise: HostTensor, o: NoiseLayout, from: number, count: number): HostTensor {
  if (count === o.rows) return noise;
  const data = new Float32Array(noiseLength(o.sites, count, o.columns));
  for (let site = 0; site < o.sites; site++) {
    const [at, to] = [noiseLength(site, o.rows, o.columns), noiseLength(site, count, o.columns)];
    data.set(noise.data.subarray(at + terms * from, at + terms * (from + count)), to);
    const columns = noise.data.subarray(at + terms * o.rows, at + terms * (o.rows + o.columns));
    data.set(columns, to + terms * count);
  }
  return float32([data.length], data);
}

/** The noise of a step for each of its runs, which share the rows: masks do not depend on the number of runs. */
export function noisePerRun(
  layout: NoiseLayout,
  seed: Key,
  { step, runs }: { step: number; runs: number },
): HostTensor[] {
  const noise = dropoutNoise(layout, seed, step);
  const rows = layout.rows / runs;
  return Array.from({ length: runs }, (_, run) => rowsOfNoise(noise, layout, run * rows, rows));
}

/**
 * A dropout that takes its sites from `noise` one after another; kept values are scaled by 1/(1 − rate).
 *
 * @param noise float32 [noiseLength(sites, rows, columns)]
 */
export function dropoutFrom(noise: tf.Tensor, o: { rows: number; columns: number; rate: number }): Dropout {
  const { rows, columns, rate } = o;
  let at = 0;
  const take = (shape: [number, number]): tf.Tensor2D => {
    const length = shape[0] * shape[1];
    at += length;
    return tf.reshape(tf.slice(noise, [at - length], [length]), shape) as tf.Tensor2D;
  };
  return (x) => {
    const product = tf.matMul(take([rows, terms]), take([terms, columns])); // [R, C]
    const uniform = tf.sub(product, tf.floor(product));
    const keep = tf.mul(tf.cast(tf.less(uniform, 1 - rate), 'float32'), 1 / (1 - rate));
    return tf.mul(x, tf.reshape(keep, x.shape));
  };
}

/** Dropout of a network in a training step that computes its batch in `runs` parts. */
export interface StepDropout {
  /** What a part of `batch` examples takes; nothing where the rate is 0. */
  inputs(batch: number): Record<string, { shape: number[]; dtype: 'float32' }>;
  /** What a step of `batch` examples feeds each of its parts. */
  feeds(step: number, batch: number): HostTensors[];
  /** None where `inputs` have no noise, as in validation. */
  of(inputs: Record<string, tf.Tensor>, batch: number): Dropout;
}

/** @param o.rows rows of an activation for each example. @param o.name of the input */
export function stepDropout(
  o: NoiseLayout & {
    readonly rate: number;
    readonly seed: Key;
    readonly runs: number;
    readonly name?: string;
  },
): StepDropout {
  const { rate, seed, runs, sites, columns, name = 'noise' } = o;
  const layout = (batch: number): NoiseLayout => ({ sites, rows: batch * o.rows, columns });
  return {
    inputs(batch) {
      if (rate === 0) return {};
      return { [name]: { shape: [noiseLength(sites, layout(batch).rows, columns)], dtype: 'float32' } };
    },
    feeds(step, batch) {
      if (rate === 0) return Array.from({ length: runs }, () => ({}));
      return noisePerRun(layout(batch), seed, { step, runs }).map((noise) => ({ [name]: noise }));
    },
    of({ [name]: noise }, batch) {
      return noise ? dropoutFrom(noise, { ...layout(batch), rate }) : noDropout;
    },
  };
}
