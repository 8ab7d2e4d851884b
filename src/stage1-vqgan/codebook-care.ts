/**
 * What happens to a codebook outside of the optimiser, inside the graph: its codes start from encoder outputs once a short
 * warm-up without quantisation has given these a shape; a code that nothing has chosen for a while becomes an encoder
 * output of the batch; and codes that are averages (`bottleneck.kind: ema`) follow what chose them. Start and restart
 * can be switched off (`codebook.init: uniform`, `codebook.restart_after: 0`): the published behaviour, of which neither
 * state nor graph then shows a trace. Where there is no codebook there is nothing to care for.
 */
import * as tf from '@tensorflow/tfjs-core';
import { codeWidth, hasCodebook } from '../config/codes.js';
import type { Stage1Config } from '../config/schema.js';
import type { Specs, Tensors } from '../engine/device.js';
import { select } from './bottleneck.js';
import { followed } from './bottlenecks/ema.js';

/** The codebook's name among the model's parameters. */
export const codebookName = 'bottleneck.codebook';
/** State that starts at 1; all other state of care starts at 0. */
export const codebookCounts = 'codebook_counts';

export interface CodebookCare {
  /**
   * `codebook_idle` [K], steps since a code was last chosen, where codes are restarted; `codebook_counts` [K], running average
   * of how often a code is chosen in a step, where codes are averages.
   */
  readonly state: Specs;
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

const none: CodebookCare = {
  state: {},
  inputs: {},
  begin: (params) => ({ params }),
  finish: (params) => ({ params, fresh: undefined, state: {} }),
};

/** The step's inputs that care needs: `step`, a scalar float, and `pick`. */
export function careForCodebook(config: Stage1Config): CodebookCare {
  if (!hasCodebook(config)) return none;
  const { codes, codebook, bottleneck } = config;
  const fromData = codebook.init === 'data';
  const restarts = codebook.restart_after > 0;
  const averages = bottleneck.kind === 'ema';
  const first = firstQuantisedStep(config);

  const rowsOf = (z: tf.Tensor) => tf.reshape(z, [-1, codeWidth(config)]); // [N, D]
  const outputsAt = (z: tf.Tensor, pick: tf.Tensor) => tf.gather(rowsOf(z), pick as tf.Tensor1D); // [K, D]
  const starting = (step: tf.Tensor) => tf.cast(tf.equal(step, first), 'float32');
  const active = (step: tf.Tensor) => tf.cast(tf.greaterEqual(step, first), 'float32');
  const perCode = { shape: [codes], dtype: 'float32' } as const;

  return {
    state: {
      ...(restarts && { codebook_idle: perCode }),
      ...(averages && { [codebookCounts]: perCode }),
    },
    inputs: fromData || restarts ? { pick: { shape: [codes], dtype: 'int32' } } : {},

    begin(params, z, { step, pick }) {
      if (!fromData) return { params };
      const started = select(starting(step!), outputsAt(z, pick!), params[codebookName]!);
      return { params: { ...params, [codebookName]: started }, active: active(step!) };
    },

    finish(params, z, chosen, before, { step, pick }) {
      const flat = tf.reshape(chosen, [-1]) as tf.Tensor1D; // [N]
      const state: Tensors = {};
      let book = params[codebookName]!;
      let fresh = fromData ? tf.mul(starting(step!), tf.ones([codes, 1])) : undefined;

      if (averages) {
        const now = { codebook: book, counts: before[codebookCounts]! };
        const next = followed(now, rowsOf(z), flat, bottleneck.decay);
        const counted = fromData ? select(active(step!), next.counts, now.counts) : next.counts;
        book = fromData ? select(active(step!), next.codebook, book) : next.codebook;
        state[codebookCounts] = counted;
      }
      if (restarts) {
        const uses = tf.unsortedSegmentSum(tf.ones([flat.size]), flat, codes); // [K]
        const unused = tf.cast(tf.equal(uses, 0), 'float32');
        const waited = fromData ? active(step!) : 1;
        const idle = tf.mul(unused, tf.add(before.codebook_idle!, waited));
        const dead = tf.cast(tf.greaterEqual(idle, codebook.restart_after), 'float32');
        const column = tf.reshape(dead, [codes, 1]);
        book = select(column, outputsAt(z, pick!), book);
        fresh = fresh ? tf.maximum(fresh, column) : column;
        state.codebook_idle = tf.mul(idle, tf.sub(1, dead));
      }
      if (averages && fresh) {
        state[codebookCounts] = select(tf.reshape(fresh, [codes]), tf.ones([codes]), state[codebookCounts]!);
      }
      return { params: { ...params, [codebookName]: book }, fresh, state };
    },
  };
}

/** 1-based; the warm-up takes at most a tenth of the run. Without a codebook nothing need wait for its start. */
export function firstQuantisedStep(config: Stage1Config): number {
  const { codebook, steps } = config;
  const waits = codebook.init === 'data' && hasCodebook(config);
  return waits ? Math.min(codebook.warmup, Math.floor(steps / 10)) + 1 : 1;
}
