/**
 * Keeps a codebook alive, inside the graph: its codes start from encoder outputs once a short warm-up without
 * quantisation has given these a shape, and a code that nothing has chosen for a while becomes an encoder output of
 * the batch. Both can be switched off (`codebook.init: uniform`, `codebook.restart_after: 0`): the published
 * behaviour, of which neither state nor graph then shows a trace.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Stage1Config } from '../config/schema.js';
import type { Specs, Tensors } from '../engine/device.js';
import { partial, sumOf } from '../train/accumulation.js';
import { select } from './bottleneck.js';

export interface CodebookCare {
  /** `codebook_idle` [K], steps since a code was last chosen, where codes are restarted. */
  readonly state: Specs;
  /**
   * Of a step in micro-batches: `candidates` [K, D], each code's row as far as it has come, and `uses` [K], how often each code was chosen
   * so far. Like this codes start and restart from the whole batch. To start them before the batch is quantised, the step that starts them
   * goes through its micro-batches twice.
   */
  readonly partial: Specs;
  /**
   * `pick` int32 [K], where it is used: for each code the row of the batch's encoder outputs that it would become. In micro-batches
   * the row of this one, where `own` [K, 1] is 1; and, where codes start from data, the scalar `start`: 1 at the micro-batch
   * after which they do.
   */
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

const candidatesName = partial('codebook.candidates');
const usesName = partial('codebook.uses');

/** The step's inputs that care needs beside its own: `step`, a scalar float, and in micro-batches `first` and `last`. */
export function careForCodebook(config: Stage1Config): CodebookCare {
  const { codes, codebook, embed_dim } = config;
  const fromData = codebook.init === 'data';
  const restarts = codebook.restart_after > 0;
  const cares = fromData || restarts;
  const gathers = cares && config.accumulate > 1;
  const firstStep = firstQuantisedStep(config);

  const outputsAt = (z: tf.Tensor, pick: tf.Tensor) =>
    tf.gather(tf.reshape(z, [-1, embed_dim]), pick as tf.Tensor1D); // [K, D]
  const starting = (step: tf.Tensor) => tf.cast(tf.equal(step, firstStep), 'float32');
  const active = (step: tf.Tensor) => tf.cast(tf.greaterEqual(step, firstStep), 'float32');
  const usesOf = (chosen: tf.Tensor) => {
    const flat = tf.reshape(chosen, [-1]) as tf.Tensor1D; // [N]
    return tf.unsortedSegmentSum(tf.ones([flat.size]), flat, codes); // [K]
  };
  /** Steps unused, and which codes that makes dead, [K] each. */
  const idleAfter = (uses: tf.Tensor, before: tf.Tensor, step: tf.Tensor) => {
    const unused = tf.cast(tf.equal(uses, 0), 'float32');
    const waited = fromData ? active(step) : 1;
    const idle = tf.mul(unused, tf.add(before, waited));
    return { idle, dead: tf.cast(tf.greaterEqual(idle, codebook.restart_after), 'float32') };
  };

  const finishMicroBatch: CodebookCare['finish'] = (current, z, chosen, state, inputs) => {
    const { step, pick, own, start, first, last } = inputs as Record<string, tf.Tensor>;
    const candidates = select(own!, outputsAt(z, pick!), state[candidatesName]!);
    const started = fromData ? tf.mul(tf.mul(starting(step!), last!), tf.ones([codes, 1])) : undefined;
    const present = start ? select(start, candidates, current) : current;
    if (!restarts) return { codebook: present, fresh: started, state: { [candidatesName]: candidates } };

    const uses = sumOf(state[usesName]!, usesOf(chosen), first!);
    const { idle, dead } = idleAfter(uses, state.codebook_idle!, step!);
    const column = tf.mul(tf.reshape(dead, [codes, 1]), last!);
    return {
      codebook: select(column, candidates, present),
      fresh: started ? tf.maximum(started, column) : column,
      state: {
        codebook_idle: select(last!, tf.mul(idle, tf.sub(1, dead)), state.codebook_idle!),
        [candidatesName]: candidates,
        [usesName]: uses,
      },
    };
  };

  return {
    state: restarts ? { codebook_idle: { shape: [codes], dtype: 'float32' } } : {},
    partial: {
      ...(gathers && { candidates: { shape: [codes, embed_dim], dtype: 'float32' } as const }),
      ...(gathers && restarts && { uses: { shape: [codes], dtype: 'float32' } as const }),
    },
    inputs: {
      ...(cares && { pick: { shape: [codes], dtype: 'int32' } as const }),
      ...(gathers && { own: { shape: [codes, 1], dtype: 'float32' } as const }),
      ...(gathers && fromData && { start: { shape: [], dtype: 'float32' } as const }),
    },

    begin(current, z, { step, pick }) {
      if (!fromData) return { codebook: current };
      const now = gathers ? current : select(starting(step!), outputsAt(z, pick!), current);
      return { codebook: now, active: active(step!) };
    },

    finish(current, z, chosen, state, inputs) {
      if (gathers) return finishMicroBatch(current, z, chosen, state, inputs);
      const { step, pick } = inputs;
      const started = fromData ? tf.mul(starting(step!), tf.ones([codes, 1])) : undefined;
      if (!restarts) return { codebook: current, fresh: started, state: {} as Tensors };

      const { idle, dead } = idleAfter(usesOf(chosen), state.codebook_idle!, step!);
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
