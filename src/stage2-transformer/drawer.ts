/** Drawing code by code, in the order of the cells, with a model that keeps what it computed of those before. */
import { must } from '../base/lookup.js';
import { vocabulary } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { decodeLoop, type NextLogits } from './autoregressive.js';
import { type Canvas, unknown } from './canvas.js';
import { choose } from './choose.js';
import { between, guidanceAt } from './guidance.js';
import type { Drawer, Opening } from './prior.js';
import { untoldCodes } from './told.js';

export interface CachedModel {
  /** Must be asked for the places 0, 1, 2, … in order; place 0 starts new sequences. */
  readonly nextLogits: NextLogits;
  dispose(): Promise<void>;
}

/** Sequences that a model computes for a batch: with guidance each goes with and without its class. */
export const sequencesFor = ({ batch, cfgScale }: Opening): number => (cfgScale === 1 ? batch : 2 * batch);

/**
 * @param model of as many sequences as `sequencesFor` says
 * @param o.given those of the grids that are given, the first ones
 * @param o.starts [B], what the model takes at place 0 for labels [B]
 */
export function drawerOf(
  model: CachedModel,
  o: {
    grids: readonly Grid[];
    given?: readonly Grid[];
    cfgScale: number;
    starts: (labels: Int32Array) => Int32Array;
  },
): Drawer {
  const { grids, given = [], cfgScale: scale, starts } = o;
  const untold = untoldCodes(given);
  const [start] = starts(Int32Array.of(unknown)) as unknown as [number];
  const allowed = vocabulary(grids);
  const steps = allowed.length;
  /** A place's number among the cells that are drawn, from 1 on. */
  const drawn = (place: number): number => Math.max(1, place + 1 - untold.length);
  return {
    draw: (known: Canvas, { choice, growth = 'constant', greedyFrom = steps, random, onPlace, signal }) =>
      decodeLoop({
        known: known.codes,
        start: starts(known.labels),
        nextLogits:
          scale === 1
            ? model.nextLogits
            : guided(model.nextLogits, {
                scaleAt: (place) =>
                  guidanceAt(growth, { scale, step: drawn(place), steps: drawn(steps - 1) }),
                start,
                untold,
              }),
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
 * @param nextLogits of 2B sequences: the second half goes the way of the first, but begins without a class
 * @param o.scaleAt guidance at a place
 * @param o.start what begins a sequence without a class
 * @param o.untold codes of the first cells that tell nothing, for the second half
 * @returns the same of B sequences
 */
export function guided(
  nextLogits: NextLogits,
  o: { scaleAt: (place: number) => number; start: number; untold?: Int32Array },
): NextLogits {
  return async (ids, position) => {
    const both = new Int32Array(2 * ids.length);
    both.set(ids);
    const nothing = position === 0 ? o.start : o.untold?.[position - 1];
    if (nothing === undefined) both.set(ids, ids.length);
    else both.fill(nothing, ids.length);
    return between(await nextLogits(both, position), o.scaleAt(position));
  };
}
