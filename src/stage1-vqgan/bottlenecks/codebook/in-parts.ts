/**
 * The care for a codebook of a batch in micro-batches (`stage1.accumulate` > 1): codes start and restart from the
 * whole batch.
 */

import * as tf from '@tensorflow/tfjs-core';
import { entry, picked } from '../../../base/lookup.js';
import { scalar } from '../../../base/tensor.js';
import { sumOf } from '../../../train/accumulation.js';
import type { Place } from '../../latent.js';
import { select } from '../quantiser.js';
import { picksAt, picksWithin } from './picks.js';
import type { CareRules, CodebookCare } from './rules.js';

/**
 * Of codes learned by gradient, where they start from data or restart. To start them before the batch is quantised,
 * the step that starts them goes through its micro-batches twice: the first time they only look for the codes, and
 * nothing is quantised yet.
 *
 * Partial: `candidates` [K, D], each code's row as far as it has come, and `uses` [K], how often each code was chosen
 * so far. Inputs: `pick` int32 [K], for each code the row of this micro-batch that it would become, where `own` [K, 1]
 * is 1; and, where codes start from data, the scalar `start`: 1 at the micro-batch after which they do.
 */
export function careInParts(rules: CareRules, place: Place): CodebookCare {
  const { codes, width, fromData, restarts } = rules;
  const { parts } = place;
  const perCode = { shape: [codes], dtype: 'float32' } as const;

  return {
    state: restarts ? { codebook_idle: { shape: [codes], init: { kind: 'zeros' } } } : {},
    partial: {
      candidates: { shape: [codes, width], dtype: 'float32' },
      ...(restarts && { uses: perCode }),
    },
    inputs: {
      pick: { shape: [codes], dtype: 'int32' },
      own: { shape: [codes, 1], dtype: 'float32' },
      ...(fromData && { start: { shape: [], dtype: 'float32' } as const }),
    },

    feed(step) {
      const picks = picksAt(step, codes, place);
      const runs = Array.from({ length: parts }, (_, i) => ({
        ...picksWithin(picks, i, place),
        ...(fromData && { start: scalar(0) }),
      }));
      if (!fromData || step !== rules.first) return runs;
      const look = runs.map((run, i) => ({
        ...run,
        step: scalar(step - 0.5), // before the first that quantises
        last: scalar(0),
        start: scalar(i === parts - 1 ? 1 : 0),
      }));
      return [...look, ...runs];
    },

    begin: (book, _, inputs) => ({
      book,
      ...(fromData && { active: rules.active(entry(inputs, 'step')) }),
    }),

    finish(current, z, chosen, before, inputs): ReturnType<CodebookCare['finish']> {
      const { step, pick, own, first, last } = picked(inputs, ['step', 'pick', 'own', 'first', 'last']);
      const { start } = inputs;
      const candidates = select(own, rules.outputsAt(z, pick), entry(before, 'candidates'));
      const started = fromData ? tf.mul(tf.mul(rules.starting(step), last), tf.ones([codes, 1])) : undefined;
      const present = start ? select(start, candidates, current) : current;
      if (!restarts) return { book: present, fresh: started, state: {}, partial: { candidates } };
      const { uses: sum, codebook_idle } = picked(before, ['uses', 'codebook_idle']);
      const uses = sumOf(sum, rules.usesOf(chosen), first);
      const { idle, dead } = rules.idleAfter(uses, codebook_idle, step);
      const column = tf.mul(tf.reshape(dead, [codes, 1]), last);
      const waited = select(last, tf.mul(idle, tf.sub(1, dead)), codebook_idle);
      return {
        book: select(column, candidates, present),
        fresh: started ? tf.maximum(started, column) : column,
        state: { codebook_idle: waited },
        partial: { candidates, uses },
      };
    },
  };
}
