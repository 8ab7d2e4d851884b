/**
 * Lookup-free quantisation: Yu et al., "Language Model Beats Diffusion", arXiv 2310.05737, §3.1. Each value of z is a
 * bit of its code; the entropy terms make every choice sure and all codes used.
 */
import * as tf from '@tensorflow/tfjs-core';
import { bitsOf } from '../../config/bottlenecks.js';
import type { Stage1Config } from '../../config/schema.js';
import { squaredErrorTo, straightThrough, withGradient } from '../../nn/gradients.js';
import { digitsOf, numberOf } from './grid.js';
import type { Quantiser } from './quantiser.js';

/**
 * z [B, h, w, log₂K] becomes q of −1 (z ≤ 0) and 1, gradient straight through. Loss: β · mean ‖z − sg(q)‖²
 * (commitment) + entropy_weight · (entropy − codebook_entropy). With shares p(c|z) ∝ exp(−‖z − c‖² / temperature) of
 * the codes c, `entropy` is E[H(p(·|z))] and `codebook_entropy` is H(E[p(·|z)]), both in nats, E over the batch.
 */
export function lookupFree(config: Pick<Stage1Config, 'bottleneck' | 'codes' | 'beta'>): Quantiser {
  const { entropy_weight, temperature } = config.bottleneck;
  const levels = new Array<number>(bitsOf(config.codes)).fill(2);
  const onesOf = (z: tf.Tensor) => tf.cast(tf.greater(z, 0), 'float32');
  const signs = (bits: tf.Tensor) => tf.sub(tf.mul(2, bits), 1);
  return {
    specs: {},
    learnsByGradient: false,
    candidates: (z) => z,
    encode: (_, z) => numberOf(onesOf(z), levels),
    decode: (_, codes) => signs(digitsOf(codes, levels)),
    pass(_, z) {
      const bits = onesOf(z);
      const q = signs(bits);
      const commitment = squaredErrorTo(z, q);
      const logits = tf.mul(tf.reshape(z, [-1, levels.length]), 4 / temperature); // of the bits, [N, D]
      const entropy = choiceEntropy(logits);
      const codebook_entropy = usageEntropy(logits);
      const entropies = tf.mul(entropy_weight, tf.sub(entropy, codebook_entropy));
      return {
        output: straightThrough(z, q),
        codes: numberOf(bits, levels),
        terms: { commitment, entropy, codebook_entropy },
        loss: tf.add(tf.mul(config.beta, commitment), entropies),
      };
    },
  };
}

/**
 * E[H(p(·|z))]: given z the bits are independent, and the entropy of one is log(1 + e^−|x|) + |x|·σ(−|x|), its slope
 * −x·σ(x)·σ(−x).
 *
 * @param x logits of the bits, [N, D]
 */
function choiceEntropy(x: tf.Tensor): tf.Tensor {
  const ofBits = withGradient([x], {
    value() {
      const size = tf.abs(x);
      return tf.add(tf.log(tf.add(1, tf.exp(tf.neg(size)))), tf.mul(size, tf.sigmoid(tf.neg(size))));
    },
    save: [x],
    gradient: (dy, [x]) => [tf.neg(tf.mul(dy, tf.mul(x, tf.mul(tf.sigmoid(x), tf.sigmoid(tf.neg(x))))))],
  });
  return tf.mean(tf.sum(ofBits, -1));
}

/**
 * H(E[p(·|z)]), exact without an [N, K]: a code is its first bits and its last bits, and the mean share of each pair
 * is a product of two matrices.
 *
 * @param x logits of the bits, [N, D]
 */
function usageEntropy(x: tf.Tensor): tf.Tensor {
  const [rows, width] = x.shape as [number, number];
  const ones = tf.split(tf.sigmoid(x), width, 1); // D × [N, 1]
  const half = Math.floor(width / 2);
  const first = sharesOf(ones.slice(0, half), rows);
  const last = sharesOf(ones.slice(half), rows);
  const used = tf.div(tf.matMul(first, last, true), rows); // [2^half, 2^(D − half)]
  return tf.neg(tf.sum(tf.mul(used, tf.log(tf.maximum(used, 1e-12)))));
}

/** P(bit = 1) of some bits, [N, 1] each → shares of all their combinations, [N, 2^bits]. */
function sharesOf(bits: readonly tf.Tensor[], rows: number): tf.Tensor2D {
  return bits.reduce<tf.Tensor2D>(
    (shares, one) => tf.concat([tf.mul(shares, tf.sub(1, one)), tf.mul(shares, one)], 1),
    tf.ones([rows, 1]),
  );
}
