/** Code sequences for training: which ones a step sees, what its inputs and targets are. */
import { permutation, stream } from '../base/rng.js';
import { type HostTensor, int32 } from '../base/tensor.js';
import type { Tokens } from '../tokenize/token-file.js';

export interface Sequences {
  /** int32 [B, T]: the start token, then all codes but the last. */
  readonly ids: HostTensor;
  /** int32 [B, T]: the codes. */
  readonly targets: HostTensor;
}

/**
 * The token that begins each sequence [N]: K + 1 + c where it is of class c of the prior's, K where the prior does not know its class.
 *
 * @param classes names of the classes that the prior knows
 */
export function startTokens(
  tokens: Pick<Tokens, 'labels' | 'classes' | 'vocab'>,
  classes: readonly string[],
): Int32Array {
  const starts = tokens.classes.map((name) => tokens.vocab + 1 + classes.indexOf(name));
  return Int32Array.from(tokens.labels, (label) => starts[label] ?? tokens.vocab);
}

/**
 * Row by row of the grid.
 *
 * @param starts the token that begins each of the N sequences; K, the start token without a class, unless given
 */
export function sequencesOf(
  tokens: Pick<Tokens, 'codes' | 'vocab' | 'height' | 'width'>,
  rows: ArrayLike<number>,
  starts?: Int32Array,
): Sequences {
  const length = tokens.height * tokens.width;
  const shape = [rows.length, length];
  const ids = int32(shape);
  const targets = int32(shape);
  for (let b = 0; b < rows.length; b++) {
    const codes = tokens.codes.subarray(rows[b]! * length, (rows[b]! + 1) * length);
    targets.data.set(codes, b * length);
    ids.data[b * length] = starts?.[rows[b]!] ?? tokens.vocab;
    ids.data.set(codes.subarray(0, length - 1), b * length + 1);
  }
  return { ids, targets };
}

export interface TrainingOptions {
  readonly batchSize: number;
  readonly pkeep: number;
  readonly seed: number;
  /** As `sequencesOf`. */
  readonly starts?: Int32Array;
  /** Share of the sequences that begin without their class (Ho & Salimans, arXiv 2207.12598); 0 unless given. */
  readonly classDropout?: number;
}

/**
 * The sequences of a step: an endless row of epochs, each a permutation of the images, of an image with several codings one at random. Of the
 * input codes (not the targets, not the start token) a share 1 − `pkeep` is replaced by random ones.
 *
 * @param step 1-based; the result depends on tokens, options and step only
 */
export function trainingSequences(tokens: Tokens, o: TrainingOptions): (step: number) => Sequences {
  const images = tokens.count / tokens.codings;
  let order: { epoch: number; rows: Int32Array } = { epoch: -1, rows: new Int32Array() };
  const rowAt = (position: number): number => {
    const epoch = Math.floor(position / images);
    if (order.epoch !== epoch) order = { epoch, rows: epochRows(tokens, o.seed, epoch) };
    return order.rows[position % images]!;
  };
  return (step) => {
    const first = (step - 1) * o.batchSize;
    const sequences = sequencesOf(
      tokens,
      Array.from({ length: o.batchSize }, (_, b) => rowAt(first + b)),
      o.starts,
    );
    if (o.pkeep < 1) corrupt(sequences.ids, tokens.vocab, o, step);
    if (o.starts && o.classDropout) dropClasses(sequences.ids, tokens.vocab, o, step);
    return sequences;
  };
}

/** Rows of the token file in the order of an epoch, one for each image. */
function epochRows({ count, codings }: Tokens, seed: number, epoch: number): Int32Array {
  const images = permutation(count / codings, stream(seed, 'prior order', epoch));
  if (codings === 1) return images;
  const rng = stream(seed, 'coding', epoch);
  return images.map((image) => image * codings + rng.below(codings));
}

function dropClasses(ids: HostTensor, vocab: number, o: TrainingOptions, step: number): void {
  const rng = stream(o.seed, 'class dropout', step);
  for (let i = 0; i < ids.data.length; i += ids.shape[1]!)
    if (rng.uniform() < o.classDropout!) ids.data[i] = vocab;
}

function corrupt(ids: HostTensor, vocab: number, o: { pkeep: number; seed: number }, step: number): void {
  const rng = stream(o.seed, 'pkeep', step);
  const length = ids.shape[1]!;
  for (let i = 0; i < ids.data.length; i++) {
    if (i % length > 0 && rng.uniform() >= o.pkeep) ids.data[i] = rng.below(vocab);
  }
}

/** A fixed choice of rows for validation: at most `most`, at random, for the rows are sorted by class. */
export function validationRows(count: number, most: number): Int32Array {
  return permutation(count, stream('validation')).slice(0, most);
}

/** Entropy of the codes' histogram in bits: the loss of a prior that knows how frequent codes are and nothing else. */
export function histogramEntropy({ codes, vocab }: Pick<Tokens, 'codes' | 'vocab'>): number {
  const counts = new Float64Array(vocab);
  for (const code of codes) counts[code]!++;
  return counts.reduce((sum, n) => (n > 0 ? sum - (n / codes.length) * Math.log2(n / codes.length) : sum), 0);
}
