/** What MaskGIT is shown of a canvas in training and validation, and what each cell counts there. */
import { permutation, type Rng, stream } from '../../base/rng.js';
import { type Canvas, unknown } from '../canvas.js';
import { type MaskSchedule, maskedShare } from './schedule.js';

/** T cells, of which those that are given are never masked. */
export interface Cells {
  /** [T], how many codes each cell may have. */
  readonly vocabulary: Int32Array;
  readonly given: number;
}

export interface Shown {
  /** With `unknown` where it is masked. */
  readonly canvas: Canvas;
  /** [B, T], what the cross entropy of a cell counts; over all cells but the given ones they average to 1. */
  readonly weights: Float32Array;
}

/** What a visible code counts where some of them are wrong, so that it learns to tell which. */
const keptWeight = 0.1;

/**
 * As training shows it: of each canvas a random choice of cells is masked, their share the schedule's at a point drawn
 * from U(0, 1); of the visible ones a share drawn from U(0, `substitute`) is wrong, one half any code, the other what
 * another canvas of the batch has there.
 *
 * @param whole without unknown cells
 */
export function masked(
  whole: Canvas,
  cells: Cells,
  o: { schedule: MaskSchedule; substitute: number; seed: number; step: number },
): Shown {
  const rng = stream(o.seed, 'mask', o.step);
  const free = cells.vocabulary.length - cells.given;
  return shown(whole, cells, (row) => {
    const count = Math.max(1, Math.ceil(free * maskedShare(o.schedule, rng.uniform())));
    const order = permutation(free, rng);
    const hidden = order.subarray(0, count);
    if (o.substitute === 0) return { hidden, wrong: new Map(), kept: 0 };
    const share = rng.uniform() * o.substitute;
    const wrong = new Map<number, number>();
    for (const cell of order.subarray(count))
      if (rng.uniform() < share) wrong.set(cell, wrongCode(whole, cells, { row, cell, rng }));
    return { hidden, wrong, kept: keptWeight };
  });
}

/** A code for free cell `cell` of canvas `row` that is drawn without regard to the canvas. */
function wrongCode(
  { codes, labels }: Canvas,
  { vocabulary, given }: Cells,
  { row, cell, rng }: { row: number; cell: number; rng: Rng },
): number {
  const at = given + cell;
  if (rng.uniform() < 0.5 || labels.length === 1) return rng.below(vocabulary[at]!);
  const other = (row + 1 + rng.below(labels.length - 1)) % labels.length;
  return codes[other * vocabulary.length + at]!;
}

/**
 * As validation shows canvases `first` on. With `rate` that share of the cells is masked; without, k of them with k
 * spread evenly over 1 to all: the mean over such canvases of what a masked cell costs is the mean over all orders of
 * what the codes cost one after another, a bound on their likelihood (Uria et al., arXiv 1310.1757, section 3).
 */
export function maskedForValidation(whole: Canvas, cells: Cells, first: number, rate?: number): Shown {
  const free = cells.vocabulary.length - cells.given;
  return shown(whole, cells, (row) => {
    const share = rate ?? evenly(first + row);
    const count = rate === undefined ? 1 + Math.floor(free * share) : Math.max(1, Math.round(free * share));
    const order = permutation(free, stream('masked validation', first + row));
    return { hidden: order.subarray(0, count), wrong: new Map(), kept: 0, each: true };
  });
}

/** Points of [0, 1) that fill it evenly however many are taken (van der Corput). */
function evenly(n: number): number {
  let value = 0;
  for (let [left, scale] = [n, 0.5]; left > 0; left >>= 1, scale /= 2) value += (left & 1) * scale;
  return value;
}

/** What becomes of the free cells of a canvas. */
interface Fate {
  readonly hidden: Int32Array;
  readonly wrong: ReadonlyMap<number, number>;
  /** Weight of a visible right code. */
  readonly kept: number;
  /** Whether the canvas counts as much as any other, however many of its cells do. */
  readonly each?: boolean;
}

function shown(whole: Canvas, { vocabulary, given }: Cells, fateOf: (row: number) => Fate): Shown {
  const cells = vocabulary.length;
  const free = cells - given;
  const codes = Int32Array.from(whole.codes);
  const weights = new Float32Array(codes.length);
  let total = 0;
  for (let row = 0; row < whole.labels.length; row++) {
    const { hidden, wrong, kept, each = false } = fateOf(row);
    const start = row * cells + given;
    weights.fill(kept, start, start + free);
    for (const [cell, code] of wrong) {
      codes[start + cell] = code;
      weights[start + cell] = 1;
    }
    for (const cell of hidden) {
      codes[start + cell] = unknown;
      weights[start + cell] = each ? free / hidden.length : 1;
    }
    for (let i = start; i < start + free; i++) total += weights[i]!;
  }
  const scale = (whole.labels.length * free) / total;
  return {
    canvas: { codes, labels: whole.labels },
    weights: scale === 1 ? weights : weights.map((w) => w * scale),
  };
}
