/** Drawing code by code, in the order of the cells, with a model that keeps what it computed of those before. */
import { must } from '../base/lookup.js';
import { vocabulary } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { decodeLoop, type NextLogits } from './autoregressive.js';
import { type Canvas, unknown } from './canvas.js';
import { choose } from './choose.js';
import type { Drawer, Opening } from './prior.js';

export interface CachedModel {
  /** Must be asked for the places 0, 1, 2, … in order; place 0 starts new sequences. */
  readonly nextLogits: NextLogits;
  dispose(): Promise<void>;
}

/** Sequences that a model computes for a batch: with guidance each goes with and without its class. */
export const sequencesFor = ({ batch, cfgScale }: Opening): number => (cfgScale === 1 ? batch : 2 * batch);

/**
 * @param model of as many sequences as `sequencesFor` says
 * @param o.starts [B], what the model takes at place 0 for labels [B]
 */
export function drawerOf(
  model: CachedModel,
  o: { grids: readonly Grid[]; cfgScale: number; starts: (labels: Int32Array) => Int32Array },
): Drawer {
  const { grids, cfgScale: scale, starts } = o;
  const [start] = starts(Int32Array.of(unknown)) as unknown as [number];
  const nextLogits = scale === 1 ? model.nextLogits : guided(model.nextLogits, { scale, start });
  const allowed = vocabulary(grids);
  return {
    draw: (known: Canvas, { choice, greedyFrom = allowed.length, random, onPlace, signal }) =>
      decodeLoop({
        known: known.codes,
        start: starts(known.labels),
        nextLogits,
        pick: (row, logits, place) =>
          choose(
            logits.subarray(0, allowed[place]),
            place < greedyFrom ? choice : likeliest,
            must(random[row], `canvas ${row}`).uniform(),
          ),
        onToken: onPlace,
        signal,
      }),
    dispose: () => model.dispose(),
  };
}

const likeliest = { temperature: 1, topK: 1, topP: 1 };

/**
 * Classifier-free guidance (Ho & Salimans, arXiv 2207.12598; for codes as in LlamaGen): u + s·(c − u) of the logits c
 * with a class and u without.
 *
 * @param nextLogits of 2B sequences: the second half goes the way of the first, but begins without a class
 * @param o.start what begins a sequence without a class
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
