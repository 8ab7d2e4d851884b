/** Drawing with a GPT: code by code, in the order of the cells. */

import { vocabulary } from '../../stage1-vqgan/grids.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import { decodeLoop, type NextLogits } from '../autoregressive.js';
import type { Canvas } from '../canvas.js';
import { choose } from '../choose.js';
import type { Drawer, Opening } from '../prior.js';
import { startToken, startTokens } from './sequences.js';

export interface CachedModel {
  /** Must be asked for the places 0, 1, 2, … in order; place 0 starts new sequences. */
  readonly nextLogits: NextLogits;
  dispose(): Promise<void>;
}

/** Sequences that a model computes for a batch: with guidance each goes with and without its class. */
export const sequencesFor = ({ batch, cfgScale }: Opening): number => (cfgScale === 1 ? batch : 2 * batch);

/**
 * @param model of as many sequences as `sequencesFor` says
 * @param codes K
 */
export function drawerOf(
  model: CachedModel,
  { codes, grids, cfgScale }: { codes: number; grids: readonly Grid[]; cfgScale: number },
): Drawer {
  const start = startToken(codes);
  const nextLogits = cfgScale === 1 ? model.nextLogits : guided(model.nextLogits, { scale: cfgScale, start });
  const allowed = vocabulary(grids);
  return {
    draw: (known: Canvas, { choice, random, onPlace, signal }) =>
      decodeLoop({
        known: known.codes,
        start: startTokens(codes, known.labels),
        nextLogits,
        pick: (row, logits, place) =>
          choose(logits.subarray(0, allowed[place]!), choice, random[row]!.uniform()),
        onToken: onPlace,
        signal,
      }),
    dispose: () => model.dispose(),
  };
}

/**
 * Classifier-free guidance (Ho & Salimans, arXiv 2207.12598; for codes as in LlamaGen): u + s·(c − u) of the logits c
 * with a class and u without.
 *
 * @param nextLogits of 2B sequences: the second half goes the way of the first, but begins without a class
 * @param o.start the token that begins a sequence without a class
 * @returns the same of B sequences
 */
export function guided(
  nextLogits: NextLogits,
  { scale, start }: { scale: number; start: number },
): NextLogits {
  return async (ids, position) => {
    const both = new Int32Array(2 * ids.length);
    both.set(ids);
    if (position === 0) both.fill(start, ids.length);
    else both.set(ids, ids.length);
    const logits = await nextLogits(both, position);
    const half = logits.length / 2;
    const without = logits.subarray(half);
    return logits.subarray(0, half).map((logit, i) => without[i]! + scale * (logit - without[i]!));
  };
}
