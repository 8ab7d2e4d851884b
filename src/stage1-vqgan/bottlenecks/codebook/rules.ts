/**
 * What the care for a codebook is, and when its codes start and restart, whether a batch comes whole or in
 * micro-batches.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../../base/tensor.js';
import type { Stage1Config } from '../../../config/schema.js';
import type { Specs, Tensors } from '../../../engine/device.js';
import type { ParamSpec } from '../../../nn/params.js';
import type { Place } from '../../latent.js';

/** What a training step asks of the care for its codebook. `book` is [K, D] everywhere. */
export interface CodebookCare {
  /**
   * `codebook_idle` [K], steps since a code was last chosen, where codes are restarted; `codebook_counts` [K], running
   * average of how often a code is chosen in a step, where codes are averages.
   */
  readonly state: Record<string, ParamSpec>;
  /** What micro-batches hand on to each other, see `careInParts`. */
  readonly partial: Specs;
  /** `pick` int32 [K], where it is used: for each code the row of the batch's encoder outputs that it would become. */
  readonly inputs: Specs;
  /** What each run of a step's program is fed; none where nothing is. @param step 1-based */
  feed(step: number): HostTensors[] | undefined;
  /**
   * Before the pass: the codebook to use, and whether it quantises yet (undefined: always).
   *
   * @param z what codes may become, [B, h, w, D]
   */
  begin(book: tf.Tensor, z: tf.Tensor, inputs: Tensors): { book: tf.Tensor; active?: tf.Tensor };
  /**
   * After the update: the codebook with codes that followed or restarted, and `fresh` [K, 1], 1 for each code that
   * holds an encoder output since this step: whatever is averaged over steps starts anew for these.
   *
   * @param state both `state` and `partial`
   */
  finish(
    book: tf.Tensor,
    z: tf.Tensor,
    codes: tf.Tensor,
    state: Tensors,
    inputs: Tensors,
  ): { book: tf.Tensor; fresh: tf.Tensor | undefined; state: Tensors; partial: Tensors };
}

/** When codes start and restart and what they become, the same for a whole batch and for one in micro-batches. */
export type CareRules = ReturnType<typeof careRules>;

/** @param width D of the codes */
export function careRules(config: Stage1Config, width: number) {
  const { codes, codebook } = config;
  const fromData = codebook.init === 'data';
  const first = firstQuantisedStep(config);
  const rowsOf = (z: tf.Tensor) => tf.reshape(z, [-1, width]); // [N, D]
  const active = (step: tf.Tensor) => tf.cast(tf.greaterEqual(step, first), 'float32');
  return {
    codes,
    width,
    fromData,
    first,
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

/** 1-based; the warm-up takes at most a tenth of the run. */
function firstQuantisedStep({ codebook, steps }: Stage1Config): number {
  return codebook.init === 'data' ? Math.min(codebook.warmup, Math.floor(steps / 10)) + 1 : 1;
}

/** Rows of encoder outputs that a batch gives. */
export const rowsOfBatch = ({ batch, side }: Place): number => batch * side * side;
