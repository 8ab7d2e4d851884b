/** Rows of a token file as canvases: which ones a training step sees, and a validation. */
import { pairs, take } from '../base/lookup.js';
import { permutation, stream } from '../base/rng.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import type { Tokens } from '../tokenize/token-file.js';
import { type Canvas, unknown } from './canvas.js';
import { untoldCodes, withTold } from './told.js';

/** Codes, and of each row [N] its class, an index into those that the prior knows. */
export interface Labelled {
  readonly tokens: Tokens;
  readonly labels: Int32Array;
}

/** @param classes names of the classes that the prior knows */
export const labelled = (tokens: Tokens, classes: readonly string[]): Labelled => ({
  tokens,
  labels: labelsAmong(classes, tokens),
});

/** Labels into other names as labels into `classes`; `unknown` where those do not have the name. */
export function labelsAmong(
  classes: readonly string[],
  given: { readonly labels: Int32Array; readonly classes: readonly string[] },
): Int32Array {
  const known = given.classes.map((name) => classes.indexOf(name));
  return given.labels.map((label) => known[label] ?? unknown);
}

/** Nothing of it unknown. */
export function canvasOf({ tokens, labels }: Labelled, rows: ArrayLike<number>): Canvas {
  const chosen = Array.from(rows);
  const ofRows = (all: Tokens['codes']): Int32Array => {
    const cells = all.length / tokens.count;
    const codes = new Int32Array(chosen.length * cells);
    for (const [b, row] of chosen.entries())
      codes.set(all.subarray(row * cells, (row + 1) * cells), b * cells);
    return codes;
  };
  const canvas = { codes: ofRows(tokens.codes), labels: Int32Array.from(take(labels, chosen)) };
  return tokens.told ? withTold(ofRows(tokens.told), canvas) : canvas;
}

export interface TrainingOptions {
  readonly batchSize: number;
  readonly seed: number;
  /**
   * Share of the images that a step is not told the class of (Ho & Salimans, arXiv 2207.12598). Where it is told
   * something beside, as many are told neither, and as many the class alone.
   */
  readonly classDropout: number;
}

/**
 * The canvases of a step: an endless row of epochs, each a permutation of the images, of an image with several
 * codings one at random.
 *
 * @param step 1-based; the result depends on what is given and the step only
 */
export function trainingCanvases(set: Labelled, o: TrainingOptions): (step: number) => Canvas {
  const { tokens } = set;
  const images = tokens.count / tokens.codings;
  let order: { epoch: number; rows: Int32Array } = { epoch: -1, rows: new Int32Array() };
  const rowAt = (position: number): number => {
    const epoch = Math.floor(position / images);
    if (order.epoch !== epoch) order = { epoch, rows: epochRows(tokens, o.seed, epoch) };
    return order.rows[position % images]!;
  };
  return (step) => {
    const first = (step - 1) * o.batchSize;
    const canvas = canvasOf(
      set,
      Array.from({ length: o.batchSize }, (_, b) => rowAt(first + b)),
    );
    if (o.classDropout === 0) return canvas;
    const rng = stream(o.seed, 'class dropout', step);
    const { condition } = tokens;
    if (!condition) {
      const labels = canvas.labels.map((label) => (rng.uniform() < o.classDropout ? unknown : label));
      return { ...canvas, labels };
    }
    const nothing = untoldCodes([condition.grid]);
    const cells = canvas.codes.length / o.batchSize;
    for (const row of canvas.labels.keys()) {
      const [neither, noClass, classAlone] = [1, 2, 3].map((n) => n * o.classDropout) as [
        number,
        number,
        number,
      ];
      const chance = rng.uniform();
      if (chance < noClass) canvas.labels[row] = unknown;
      if (chance < neither || (chance >= noClass && chance < classAlone))
        canvas.codes.set(nothing, row * cells);
    }
    return canvas;
  };
}

/** Rows of the token file in the order of an epoch, one for each image. */
function epochRows({ count, codings }: Tokens, seed: number, epoch: number): Int32Array {
  const images = permutation(count / codings, stream(seed, 'prior order', epoch));
  if (codings === 1) return images;
  const rng = stream(seed, 'coding', epoch);
  return images.map((image) => image * codings + rng.below(codings));
}

/** A fixed choice of rows for validation: at most `most`, at random, for the rows are sorted by class. */
export function validationRows(count: number, most: number): Int32Array {
  return permutation(count, stream('validation')).slice(0, most);
}

/**
 * Entropy of the histogram of each grid's codes in bits: what a prior loses per token that knows how frequent codes
 * are and nothing else.
 */
export function histogramEntropies({ codes, grids }: Pick<Tokens, 'codes' | 'grids'>): number[] {
  const counts = grids.map(({ vocab }) => new Float64Array(vocab));
  const ofCells = pairs(grids, counts).flatMap(([grid, count]) =>
    new Array<Float64Array>(cellsIn([grid])).fill(count),
  );
  for (const [i, code] of codes.entries()) ofCells[i % ofCells.length]![code]!++;
  return counts.map(entropyOf);
}

/** Bits per token of a prior that knows nothing. */
export const uniformEntropy = (grids: readonly Grid[]): number =>
  meanOverCells(
    grids,
    grids.map(({ vocab }) => Math.log2(vocab)),
  );

/** Of a number for each grid, the mean over all cells. */
export function meanOverCells(grids: readonly Grid[], values: readonly number[]): number {
  const [only, another] = values;
  if (only !== undefined && another === undefined) return only;
  const cells = cellsIn(grids);
  return pairs(grids, values).reduce(
    (sum, [{ height, width }, value]) => sum + (value * height * width) / cells,
    0,
  );
}

function entropyOf(counts: Float64Array): number {
  const total = counts.reduce((sum, n) => sum + n, 0);
  return counts.reduce((sum, n) => (n > 0 ? sum - (n / total) * Math.log2(n / total) : sum), 0);
}
