/**
 * Codes as running averages of what chooses them: van den Oord et al., arXiv 1711.00937, appendix A.1, with the counts
 * smoothed as in VQ-VAE-2 (Razavi et al., arXiv 1906.00446). No gradient and no optimiser reaches the codebook.
 */
import * as tf from '@tensorflow/tfjs-core';
import { squaredErrorTo } from '../../nn/gradients.js';
import { type CodebookConfig, nearestCode, nearestRow, passedOn, rowOf } from './nearest.js';
import { type Codebook, type Quantiser, select } from './quantiser.js';

/** Codes, gradient and commitment as `nearestCode` has them; there is no codebook term. `followed` moves the codes. */
export function averagedCode(config: CodebookConfig): Quantiser<Codebook> {
  const weight = config.legacy_beta ? 1 : config.beta;
  return {
    ...nearestCode(config),
    learnsByGradient: false,
    pass(params, z, active) {
      const ids = nearestRow(params, z);
      const q = rowOf(params, ids);
      const error = squaredErrorTo(z, q);
      const commitment = active ? tf.mul(active, error) : error;
      return {
        output: passedOn(config, z, active ? select(active, q, z) : q),
        codes: ids,
        terms: { commitment },
        loss: tf.mul(weight, commitment),
      };
    },
  };
}

/** Laplace smoothing: as if each code were chosen this often besides. */
const smoothing = 1e-5;

/**
 * The codebook after a step, and the counts N: Nₖ ← γNₖ + (1 − γ)nₖ, mₖ ← γmₖ + (1 − γ)Σz, eₖ = mₖ / N̂ₖ with N̂ₖ =
 * (Nₖ + ε) / (N + Kε) · N and N = Σ Nₖ; nₖ and Σz are of the vectors that chose k. The sums m are not kept: they are
 * eₖ·N̂ₖ, so that a code that is replaced brings its own.
 *
 * @param codebook [K, D]
 * @param counts [K], 1 for a code that has just begun
 * @param z [N, D]
 * @param codes int32 [N]
 * @param decay γ
 */
export function followed(
  { codebook, counts }: { codebook: tf.Tensor; counts: tf.Tensor },
  z: tf.Tensor,
  codes: tf.Tensor,
  decay: number,
): { codebook: tf.Tensor; counts: tf.Tensor } {
  const [size] = codebook.shape as [number];
  const ids = codes as tf.Tensor1D;
  const uses = tf.unsortedSegmentSum(tf.ones([ids.size]), ids, size); // [K]
  const sums = tf.unsortedSegmentSum(z, ids, size); // [K, D]
  const next = tf.add(tf.mul(decay, counts), tf.mul(1 - decay, uses));
  const kept = tf.mul(codebook, tf.mul(decay, smoothed(counts)));
  const moved = tf.div(tf.add(kept, tf.mul(1 - decay, sums)), smoothed(next));
  return { codebook: moved, counts: next };
}

/** Counts [K] → N̂ [K, 1]. */
function smoothed(counts: tf.Tensor): tf.Tensor {
  const [size] = counts.shape as [number];
  const all = tf.sum(counts);
  const scale = tf.div(all, tf.add(all, size * smoothing));
  return tf.reshape(tf.mul(tf.add(counts, smoothing), scale), [size, 1]);
}
