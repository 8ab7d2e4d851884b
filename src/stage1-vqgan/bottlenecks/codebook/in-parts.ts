/** The care for a codebook of a batch in micro-batches (`stage1.accumulate` > 1): codes start and restart from the whole batch. */
import * as tf from '@tensorflow/tfjs-core';
import { partial, sumOf } from '../../../train/accumulation.js';
import { codebookName, select } from '../quantiser.js';
import type { CareRules, CodebookCare } from './rules.js';

const candidatesName = partial('codebook.candidates');
const usesName = partial('codebook.uses');

/**
 * Of codes learned by gradient, where they start from data or restart. To start them before the batch is quantised, the step that
 * starts them goes through its micro-batches twice.
 *
 * Partial: `candidates` [K, D], each code's row as far as it has come, and `uses` [K], how often each code was chosen so far.
 * Inputs: `pick` int32 [K], for each code the row of this micro-batch that it would become, where `own` [K, 1] is 1; and, where
 * codes start from data, the scalar `start`: 1 at the micro-batch after which they do.
 */
export function careInParts(rules: CareRules): CodebookCare {
  const { codes, width, fromData, restarts } = rules;
  const perCode = { shape: [codes], dtype: 'float32' } as const;

  return {
    state: restarts ? { codebook_idle: perCode } : {},
    partial: {
      candidates: { shape: [codes, width], dtype: 'float32' },
      ...(restarts && { uses: perCode }),
    },
    inputs: {
      pick: { shape: [codes], dtype: 'int32' },
      own: { shape: [codes, 1], dtype: 'float32' },
      ...(fromData && { start: { shape: [], dtype: 'float32' } as const }),
    },

    begin: (params, _, { step }) => ({ params, ...(fromData && { active: rules.active(step!) }) }),

    finish(params, z, chosen, before, inputs) {
      const { step, pick, own, start, first, last } = inputs as Record<string, tf.Tensor>;
      const current = params[codebookName]!;
      const candidates = select(own!, rules.outputsAt(z, pick!), before[candidatesName]!);
      const started = fromData
        ? tf.mul(tf.mul(rules.starting(step!), last!), tf.ones([codes, 1]))
        : undefined;
      const present = start ? select(start, candidates, current) : current;
      if (!restarts) {
        return {
          params: { ...params, [codebookName]: present },
          fresh: started,
          state: { [candidatesName]: candidates },
        };
      }
      const uses = sumOf(before[usesName]!, rules.usesOf(chosen), first!);
      const { idle, dead } = rules.idleAfter(uses, before.codebook_idle!, step!);
      const column = tf.mul(tf.reshape(dead, [codes, 1]), last!);
      return {
        params: { ...params, [codebookName]: select(column, candidates, present) },
        fresh: started ? tf.maximum(started, column) : column,
        state: {
          codebook_idle: select(last!, tf.mul(idle, tf.sub(1, dead)), before.codebook_idle!),
          [candidatesName]: candidates,
          [usesName]: uses,
        },
      };
    },
  };
}
