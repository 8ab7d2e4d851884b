/**
 * Keeps a codebook alive, inside the graph: its codes start from encoder outputs once a short warm-up without
 * quantisation has given these a shape, and a code that nothing has chosen for a while becomes an encoder output of
 * the batch. Both can be switched off (`codebook.init: uniform`, `codebook.restart_after: 0`): the published
 * behaviour, of which neither state nor graph then shows a trace.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Stage1Config } from '../config/schema.js';
import type { Specs, Tensors } from '../engine/device.js';
import { select } from './bottleneck.js';

export interface CodebookCare {
  /** `codebook_idle` [K], steps since a code was last chosen, where codes are restarted. */
  readonly state: Specs;
  /** `pick` int32 [K], where it is used: for each code the row of the batch's encoder outputs that it would become. */
  readonly inputs: Specs;
  /** Before the pass: the codebook to use, and whether it quantises yet (undefined: always). */
  begin(codebook: tf.Tensor, z: tf.Tensor, inputs: Tensors): { codebook: tf.Tensor; active?: tf.Tensor };
  /**
   * After the update: the codebook with restarted codes, and `fresh` [K, 1], 1 for each code that holds an encoder
   * output since this step: whatever is averaged over steps starts anew for these.
   */
  finish(
    codebook: tf.Tensor,
    z: tf.Tensor,
    codes: tf.Tensor,
    state: Tensors,
    inputs: Tensors,
  ): { codebook: tf.Tensor; fresh: tf.Tensor | undefined; state: Tensors };
}

/** The step's inputs that care needs: `step`, a scalar float, and `pick`. */
export function careForCodebook(config: Stage1Config): CodebookCare {
  const { codes, codebook } = config;
  const fromData = codebook.init === 'data';
  const restarts = codebook.restart_after > 0;
  const first = firstQuantisedStep(config);

  const outputsAt = (z: tf.Tensor, pick: tf.Tensor) =>
    tf.gather(tf.reshape(z, [-1, config.embed_dim]), pick as tf.Tensor1D); // [K, D]
  const starting = (step: tf.Tensor) => tf.cast(tf.equal(step, first), 'float32');
  const active = (step: tf.Tensor) => tf.cast(tf.greaterEqual(step, first), 'float32');

  return {
    state: restarts ? { codebook_idle: { shape: [codes], dtype: 'float32' } } : {},
    inputs: fromData || restarts ? { pick: { shape: [codes], dtype: 'int32' } } : {},

    begin(current, z, { step, pick }) {
      if (!fromData) return { codebook: current };
      return { codebook: select(starting(step!), outputsAt(z, pick!), current), active: active(step!) };
    },

    finish(current, z, chosen, state, { step, pick }) {
      const started = fromData ? tf.mul(starting(step!), tf.ones([codes, 1])) : undefined;
      if (!restarts) return { codebook: current, fresh: started, state: {} as Tensors };

      const flat = tf.reshape(chosen, [-1]) as tf.Tensor1D; // [N]
      const uses = tf.unsortedSegmentSum(tf.ones([flat.size]), flat, codes); // [K]
      const unused = tf.cast(tf.equal(uses, 0), 'float32');
      const waited = fromData ? active(step!) : 1;
      const idle = tf.mul(unused, tf.add(state.codebook_idle!, waited));
      const dead = tf.cast(tf.greaterEqual(idle, codebook.restart_after), 'float32');
      const column = tf.reshape(dead, [codes, 1]);
      return {
        codebook: select(column, outputsAt(z, pick!), current),
        fresh: started ? tf.maximum(started, column) : column,
        state: { codebook_idle: tf.mul(idle, tf.sub(1, dead)) },
      };
    },
  };
}

/** 1-based; the warm-up takes at most a tenth of the run. */
export function firstQuantisedStep({ codebook, steps }: Stage1Config): number {
  return codebook.init === 'data' ? Math.min(codebook.warmup, Math.floor(steps / 10)) + 1 : 1;
}
