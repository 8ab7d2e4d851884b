/**
 * What happens to a codebook outside of the optimiser, inside the graph: its codes start from encoder outputs once a short
 * warm-up without quantisation has given these a shape; a code that nothing has chosen for a while becomes an encoder
 * output of the batch; and codes that are averages (`bottleneck.kind: ema`) follow what chose them. Start and restart
 * can be switched off (`codebook.init: uniform`, `codebook.restart_after: 0`): the published behaviour, of which neither
 * state nor graph then shows a trace. Where there is no codebook there is nothing to care for.
 */
import * as tf from '@tensorflow/tfjs-core';
import { hasCodebook } from '../../../config/codes.js';
import type { Stage1Config } from '../../../config/schema.js';
import type { Tensors } from '../../../engine/device.js';
import { followed } from '../ema.js';
import { codebookName, select } from '../quantiser.js';
import { careInParts } from './in-parts.js';
import { type CodebookCare, careRules } from './rules.js';

/** State that starts at 1; all other state of care starts at 0. */
export const codebookCounts = 'codebook_counts';

const none: CodebookCare = {
  state: {},
  partial: {},
  inputs: {},
  begin: (params) => ({ params }),
  finish: (params) => ({ params, fresh: undefined, state: {} }),
};

/** The step's inputs that care needs beside its own: `step`, a scalar float, and in micro-batches `first` and `last`. */
export function careForCodebook(config: Stage1Config): CodebookCare {
  if (!hasCodebook(config)) return none;
  const { codes, bottleneck } = config;
  const rules = careRules(config);
  const { fromData, restarts, rowsOf, outputsAt, starting, active } = rules;
  if (config.accumulate > 1) return fromData || restarts ? careInParts(rules) : none;
  const averages = bottleneck.kind === 'ema';
  const perCode = { shape: [codes], dtype: 'float32' } as const;

  return {
    state: {
      ...(restarts && { codebook_idle: perCode }),
      ...(averages && { [codebookCounts]: perCode }),
    },
    partial: {},
    inputs: fromData || restarts ? { pick: { shape: [codes], dtype: 'int32' } } : {},

    begin(params, z, { step, pick }) {
      if (!fromData) return { params };
      const started = select(starting(step!), outputsAt(z, pick!), params[codebookName]!);
      return { params: { ...params, [codebookName]: started }, active: active(step!) };
    },

    finish(params, z, chosen, before, { step, pick }) {
      const state: Tensors = {};
      let book = params[codebookName]!;
      let fresh = fromData ? tf.mul(starting(step!), tf.ones([codes, 1])) : undefined;

      if (averages) {
        const now = { codebook: book, counts: before[codebookCounts]! };
        const next = followed(now, rowsOf(z), tf.reshape(chosen, [-1]), bottleneck.decay);
        const counted = fromData ? select(active(step!), next.counts, now.counts) : next.counts;
        book = fromData ? select(active(step!), next.codebook, book) : next.codebook;
        state[codebookCounts] = counted;
      }
      if (restarts) {
        const { idle, dead } = rules.idleAfter(rules.usesOf(chosen), before.codebook_idle!, step!);
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
