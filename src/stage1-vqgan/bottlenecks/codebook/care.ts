/**
 * What happens to a codebook outside of the optimiser, inside the graph: its codes start from encoder outputs once a
 * short warm-up without quantisation has given these a shape; a code that nothing has chosen for a while becomes an
 * encoder output of the batch; and codes that are averages (`bottleneck.kind: ema`) follow what chose them. Start and
 * restart can be switched off (`codebook.init: uniform`, `codebook.restart_after: 0`): the published behaviour, of
 * which neither state nor graph then shows a trace.
 */

import * as tf from '@tensorflow/tfjs-core';
import { entry, picked } from '../../../base/lookup.js';
import { int32 } from '../../../base/tensor.js';
import type { Tensors } from '../../../engine/device.js';
import type { ParamSpec } from '../../../nn/params.js';
import type { Place } from '../../latent.js';
import { select } from '../quantiser.js';
import { careInParts } from './in-parts.js';
import { picksAt } from './picks.js';
import type { CareRules, CodebookCare } from './rules.js';

/**
 * Codes that follow what chose them: the codebook and counts [K] after a step, see `followed` in `bottlenecks/ema.ts`.
 */
export type Following = (
  now: { codebook: tf.Tensor; counts: tf.Tensor },
  rows: tf.Tensor,
  chosen: tf.Tensor,
) => { codebook: tf.Tensor; counts: tf.Tensor };

const countsName = 'codebook_counts';
const idleName = 'codebook_idle';

/** @param follow where codes are averages */
export function careFor(rules: CareRules, place: Place, follow?: Following): CodebookCare {
  const { codes, fromData, restarts, rowsOf, outputsAt, starting, active } = rules;
  if (place.parts > 1) return fromData || restarts ? careInParts(rules, place) : idle;
  const perCode = (kind: 'zeros' | 'ones'): ParamSpec => ({ shape: [codes], init: { kind } });
  const picks = fromData || restarts;

  return {
    state: {
      ...(restarts && { [idleName]: perCode('zeros') }),
      ...(follow && { [countsName]: perCode('ones') }),
    },
    partial: {},
    inputs: picks ? { pick: { shape: [codes], dtype: 'int32' } } : {},
    feed: (step) => (picks ? [{ pick: int32([codes], picksAt(step, codes, place)) }] : undefined),

    begin(book, z, inputs) {
      if (!fromData) return { book };
      const { step, pick } = picked(inputs, ['step', 'pick']);
      return { book: select(starting(step), outputsAt(z, pick), book), active: active(step) };
    },

    finish(before, z, chosen, kept, inputs) {
      const step = entry(inputs, 'step');
      const state: Tensors = {};
      let book = before;
      let fresh = fromData ? tf.mul(starting(step), tf.ones([codes, 1])) : undefined;

      if (follow) {
        const now = { codebook: book, counts: entry(kept, countsName) };
        const next = follow(now, rowsOf(z), tf.reshape(chosen, [-1]));
        const counted = fromData ? select(active(step), next.counts, now.counts) : next.counts;
        book = fromData ? select(active(step), next.codebook, book) : next.codebook;
        state[countsName] = counted;
      }
      if (restarts) {
        const { idle, dead } = rules.idleAfter(rules.usesOf(chosen), entry(kept, idleName), step);
        const column = tf.reshape(dead, [codes, 1]);
        book = select(column, outputsAt(z, entry(inputs, 'pick')), book);
        fresh = fresh ? tf.maximum(fresh, column) : column;
        state[idleName] = tf.mul(idle, tf.sub(1, dead));
      }
      if (follow && fresh) {
        const counts = entry(state, countsName);
        state[countsName] = select(tf.reshape(fresh, [codes]), tf.ones([codes]), counts);
      }
      return { book, fresh, state, partial: {} };
    },
  };
}

/** Codes that begin anywhere and are left alone. */
const idle: CodebookCare = {
  state: {},
  partial: {},
  inputs: {},
  feed: () => undefined,
  begin: (book) => ({ book }),
  finish: (book) => ({ book, fresh: undefined, state: {}, partial: {} }),
};
