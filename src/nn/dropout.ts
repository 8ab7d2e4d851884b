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
import { last } from '../base/lookup.js';
import { type Key, stream } from '../base/rng.js';
import { float32, type HostTensor, type HostTensors } from '../base/tensor.js';

const terms = 4;
const modulus = 2 ** 18;

/** Applies dropout to one activation [..., C]; called once for each site, in the order of the layout. */
export type Dropout = (x: tf.Tensor) => tf.Tensor;

export const noDropout: Dropout = (x) => x;

/** So many activations of R rows for each example by C columns. */
export interface NoiseLayout {
  readonly sites: number;
  readonly rows: number;
  readonly columns: number;
}

export interface Noise<T> {
  /** [B, sites, R, 4] */
  readonly rows: T;
  /** [sites, 4, C], divided by 2¹⁸, which is exact. */
  readonly columns: T;
}

/** The noise of one step of `batch` examples. An example's masks do not depend on which others it is computed with. */
export function dropoutNoise(
  { sites, rows, columns }: NoiseLayout,
  seed: Key,
  { step, batch }: { step: number; batch: number },
): Noise<HostTensor> {
  const rng = stream(seed, 'dropout', step);
  const odd = () => 1025 + 2 * rng.below(512);
  const ofRows = new Float32Array(batch * sites * rows * terms);
  const ofColumns = new Float32Array(sites * terms * columns);
  for (let site = 0; site < sites; site++) {
    for (let example = 0; example < batch; example++) {
      const at = (example * sites + site) * rows * terms;
      for (let i = 0; i < rows * terms; i++) ofRows[at + i] = odd();
    }
    for (let i = 0; i < terms * columns; i++) ofColumns[site * terms * columns + i] = odd() / modulus;
  }
  return {
    rows: float32([batch, sites, rows, terms], ofRows),
    columns: float32([sites, terms, columns], ofColumns),
  };
}

/** A dropout that takes its sites from `noise` one after another; kept values are scaled by 1/(1 − rate). */
export function dropoutFrom(noise: Noise<tf.Tensor>, rate: number): Dropout {
  const [batch, , rows] = noise.rows.shape as [number, number, number];
  const columns = last(noise.columns.shape);
  let site = 0;
  return (x) => {
    const r = tf.reshape(tf.slice(noise.rows, [0, site, 0, 0], [batch, 1, rows, terms]), [
      batch * rows,
      terms,
    ]);
    const c = tf.reshape(tf.slice(noise.columns, [site, 0, 0], [1, terms, columns]), [terms, columns]);
    site++;
    const product = tf.matMul(r as tf.Tensor2D, c as tf.Tensor2D); // [B·R, C]
    const uniform = tf.sub(product, tf.floor(product));
    const keep = tf.mul(tf.cast(tf.less(uniform, 1 - rate), 'float32'), 1 / (1 - rate));
    return tf.mul(x, tf.reshape(keep, x.shape));
  };
}

/** Dropout of a network in a training step, by names of the step's inputs. */
export interface StepDropout {
  /** What `batch` examples take; nothing where the rate is 0. */
  inputs(batch: number): Record<string, { shape: number[]; dtype: 'float32' }>;
  /** `batched` [B, …] by examples, `common` of all. */
  feed(step: number, batch: number): { readonly batched: HostTensors; readonly common: HostTensors };
  /** None where `inputs` have no noise, as in validation. */
  of(inputs: Record<string, tf.Tensor>): Dropout;
}

/** @param o.name before the names of its inputs */
export function stepDropout({
  rate,
  seed,
  name = 'noise',
  ...layout
}: NoiseLayout & { readonly rate: number; readonly seed: Key; readonly name?: string }): StepDropout {
  const { sites, rows, columns } = layout;
  const names = { rows: `${name}.rows`, columns: `${name}.columns` };
  return {
    inputs(batch) {
      if (rate === 0) return {};
      return {
        [names.rows]: { shape: [batch, sites, rows, terms], dtype: 'float32' },
        [names.columns]: { shape: [sites, terms, columns], dtype: 'float32' },
      };
    },
    feed(step, batch) {
      if (rate === 0) return { batched: {}, common: {} };
      const noise = dropoutNoise(layout, seed, { step, batch });
      return { batched: { [names.rows]: noise.rows }, common: { [names.columns]: noise.columns } };
    },
    of({ [names.rows]: rows, [names.columns]: columns }) {
      return rows && columns ? dropoutFrom({ rows, columns }, rate) : noDropout;
    },
  };
}
