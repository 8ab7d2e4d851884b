/** Filling the unknown cells of canvases together, in a few passes of a network that sees the whole canvas. */
import { must } from '../../base/lookup.js';
import type { Rng } from '../../base/rng.js';
import { type Canvas, unknown } from '../canvas.js';
import { chooseByProbability } from '../choose.js';
import { guidanceAt } from '../guidance.js';
import type { Passes } from '../passes.js';
import type { Drawing } from '../prior.js';
import { type MaskSchedule, stillMasked } from './schedule.js';

/** The probability that a network gives each code of every cell, [B·T, K], row by row. */
export type Ask = (canvas: Canvas, o: { temperature: number; scale: number }) => Promise<Float32Array>;

export interface FillOptions extends Drawing {
  readonly passes: Passes;
  readonly schedule: MaskSchedule;
  /** [T], how many codes each cell may have. */
  readonly vocabulary: Int32Array;
  /** All T cells, those that are to be far from each other first. */
  readonly far: Int32Array;
  /** Guidance at the last pass. */
  readonly scale: number;
}

/**
 * A code for every unknown cell, [B, T]; known ones stay. Each canvas has its own random numbers, in the order of its
 * cells: what is drawn does not depend on the canvases beside it. Cells from `greedyFrom` on take one pass more.
 */
export async function fill(known: Canvas, ask: Ask, o: FillOptions): Promise<Int32Array> {
  const { passes, choice, growth = 'constant', vocabulary, random, onPlace, onPass, signal } = o;
  const { greedyFrom = vocabulary.length } = o;
  const { steps } = passes;
  const cells = vocabulary.length;
  const canvas = { ...known, codes: Int32Array.from(known.codes) };
  const probabilities = async (step: number): Promise<ProbabilitiesOf> => {
    signal?.throwIfAborted();
    const scale = guidanceAt(growth, { scale: o.scale, step, steps });
    const all = await ask(canvas, { temperature: choice.temperature, scale });
    const width = all.length / canvas.codes.length;
    return (row, cell) => {
      const at = (row * cells + cell) * width;
      return all.subarray(at, at + must(vocabulary[cell], 'cell'));
    };
  };
  const rows = Array.from(known.labels, (_, row) => ({
    codes: canvas.codes.subarray(row * cells, (row + 1) * cells),
    free: freeCells(known.codes.subarray(row * cells, (row + 1) * cells), greedyFrom),
    rng: must(random[row], `canvas ${row}`),
  }));
  const orders = rows.map(({ free, rng }) =>
    passes.order === 'halton' ? begunAnywhere(o.far, free, rng) : free,
  );
  for (let step = 1; step <= steps; step++) {
    const of = await probabilities(step);
    onPass?.({ codes: canvas.codes, probabilities: of });
    for (const [row, { codes, free, rng }] of rows.entries()) {
      const order = must(orders[row], `order of ${row}`);
      advance({ codes, free, order, rng, step, probabilities: (cell) => of(row, cell) }, o);
    }
    onPlace?.(step - 1);
  }
  if (greedyFrom < cells) {
    const of = await probabilities(steps);
    for (const [row, { codes }] of rows.entries())
      for (let cell = greedyFrom; cell < cells; cell++)
        if (codes[cell] === unknown) codes[cell] = likeliest(of(row, cell));
  }
  return canvas.codes;
}

type ProbabilitiesOf = (row: number, cell: number) => Float32Array;

/** One canvas at one pass. */
interface Pass {
  /** [T], written to. */
  readonly codes: Int32Array;
  /** Cells that are to be drawn, in their order. */
  readonly free: readonly number[];
  /** The same in the order in which they are filled, where confidence does not decide. */
  readonly order: readonly number[];
  readonly rng: Pick<Rng, 'uniform'>;
  readonly step: number;
  readonly probabilities: (cell: number) => Float32Array;
}

function advance(pass: Pass, { passes, choice, schedule }: FillOptions): void {
  const { codes, free, order, rng, step, probabilities } = pass;
  const masked = order.filter((cell) => codes[cell] === unknown);
  const drawnBefore = free.filter((cell) => codes[cell] !== unknown);
  const { steps } = passes;
  const left = stillMasked(schedule, { step, steps, cells: free.length, masked: masked.length });
  const filled = masked.length - left;
  const done = step / steps;
  const noise = passes.choiceTemperature * (1 - done);
  if (passes.order === 'halton') {
    for (const cell of masked.slice(0, filled))
      codes[cell] = chooseByProbability(probabilities(cell), choice, rng.uniform());
  } else {
    const drawn = masked.map((cell) => {
      const p = probabilities(cell);
      const code = chooseByProbability(p, choice, rng.uniform());
      const chance = gumbel(rng.uniform());
      const score = Math.log(must(p[code], 'probability')) + (noise > 0 ? noise * chance : 0);
      return { cell, code, score };
    });
    drawn.sort((a, b) => b.score - a.score);
    for (const { cell, code } of drawn.slice(0, filled)) codes[cell] = code;
  }
  const again = Math.round(passes.revise * (1 - done) * drawnBefore.length);
  if (again > 0)
    for (const cell of leastBelieved(drawnBefore, codes, probabilities).slice(0, again))
      codes[cell] = unknown;
}

/** Cells whose code has the smallest probability first. */
function leastBelieved(
  cells: readonly number[],
  codes: Int32Array,
  probabilities: Pass['probabilities'],
): number[] {
  const believed = cells.map((cell) => ({
    cell,
    probability: must(probabilities(cell)[codes[cell] ?? unknown], 'probability'),
  }));
  return believed.sort((a, b) => a.probability - b.probability).map(({ cell }) => cell);
}

/** Cells to be drawn among the first `end`. */
function freeCells(codes: Int32Array, end: number): number[] {
  const free: number[] = [];
  for (let cell = 0; cell < end; cell++) if (codes[cell] === unknown) free.push(cell);
  return free;
}

/** `free` in the order of `far`, begun at a random place, so that canvases differ in where they begin. */
function begunAnywhere(far: Int32Array, free: readonly number[], rng: Pick<Rng, 'uniform'>): number[] {
  const wanted = new Set(free);
  const cells = Array.from(far).filter((cell) => wanted.has(cell));
  const start = Math.floor(rng.uniform() * cells.length);
  return [...cells.slice(start), ...cells.slice(0, start)];
}

/** Gumbel(0, 1) of u from U(0, 1). */
const gumbel = (u: number): number => -Math.log(-Math.log(u));

function likeliest(probabilities: Float32Array): number {
  let best = 0;
  for (const [code, p] of probabilities.entries())
    if (p > must(probabilities[best], 'probability')) best = code;
  return best;
}
