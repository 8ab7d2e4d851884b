/** What the care for a codebook is, and when its codes start and restart, whether a batch comes whole or in micro-batches. */
import * as tf from '@tensorflow/tfjs-core';
import { codeWidth, hasCodebook } from '../../../config/codes.js';
import type { Stage1Config } from '../../../config/schema.js';
import type { Specs, Tensors } from '../../../engine/device.js';

/** What a training step asks of the care for its codebook. */
export interface CodebookCare {
  /**
   * `codebook_idle` [K], steps since a code was last chosen, where codes are restarted; `codebook_counts` [K], running average
   * of how often a code is chosen in a step, where codes are averages.
   */
  readonly state: Specs;
  /** What micro-batches hand on to each other, see `careInParts`. */
  readonly partial: Specs;
  /** `pick` int32 [K], where it is used: for each code the row of the batch's encoder outputs that it would become. */
  readonly inputs: Specs;
  /**
   * Before the pass: the parameters with the codebook to use, and whether it quantises yet (undefined: always).
   *
   * @param z what codes may become, [B, h, w, D]
   */
  begin(params: Tensors, z: tf.Tensor, inputs: Tensors): { params: Tensors; active?: tf.Tensor };
  /**
   * After the update: the parameters with codes that followed or restarted, and `fresh` [K, 1], 1 for each code that holds an
   * encoder output since this step: whatever is averaged over steps starts anew for these.
   */
  finish(
    params: Tensors,
    z: tf.Tensor,
    codes: tf.Tensor,
    state: Tensors,
    inputs: Tensors,
  ): { params: Tensors; fresh: tf.Tensor | undefined; state: Tensors };
}

/** When codes start and restart and what they become, the same for a whole batch and for one in micro-batches. */
export type CareRules = ReturnType<typeof careRules>;

export function careRules(config: Stage1Config) {
  const { codes, codebook } = config;
  const fromData = codebook.init === 'data';
  const first = firstQuantisedStep(config);
  const rowsOf = (z: tf.Tensor) => tf.reshape(z, [-1, codeWidth(config)]); // [N, D]
  const active = (step: tf.Tensor) => tf.cast(tf.greaterEqual(step, first), 'float32');
  return {
    codes,
    width: codeWidth(config),
    fromData,
    restarts: codebook.restart_after > 0,
    rowsOf,
    outputsAt: (z: tf.Tensor, pick: tf.Tensor) => tf.gather(rowsOf(z), pick as tf.Tensor1D), // [K, D]
    starting: (step: tf.Tensor) => tf.cast(tf.equal(step, first), 'float32'),
    active,
    /** How often each code was chosen, [K]. */
    usesOf(chosen: tf.Tensor) {
      const flat = tf.reshape(chosen, [-1]) as tf.Tensor1D; // [N]
      return tf.unsortedSegmentSum(tf.ones([flat.size]), flat, codes);
    },
    /** Steps unused, and which codes that makes dead, [K] each. */
    idleAfter(uses: tf.Tensor, before: tf.Tensor, step: tf.Tensor) {
      const unused = tf.cast(tf.equal(uses, 0), 'float32');
      const waited = fromData ? active(step) : 1;
      const idle = tf.mul(unused, tf.add(before, waited));
      return { idle, dead: tf.cast(tf.greaterEqual(idle, codebook.restart_after), 'float32') };
    },
  };
}

/** 1-based; the warm-up takes at most a tenth of the run. Without a codebook nothing need wait for its start. */
export function firstQuantisedStep(config: Stage1Config): number {
  const { codebook, steps } = config;
  const waits = codebook.init === 'data' && hasCodebook(config);
  return waits ? Math.min(codebook.warmup, Math.floor(steps / 10)) + 1 : 1;
}
