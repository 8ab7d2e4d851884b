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

/** Row by row of the grid; K itself is the start token. */
export function sequencesOf(
  tokens: Pick<Tokens, 'codes' | 'vocab' | 'height' | 'width'>,
  rows: ArrayLike<number>,
): Sequences {
  const length = tokens.height * tokens.width;
  const shape = [rows.length, length];
  const ids = int32(shape);
  const targets = int32(shape);
  for (let b = 0; b < rows.length; b++) {
    const codes = tokens.codes.subarray(rows[b]! * length, (rows[b]! + 1) * length);
    targets.data.set(codes, b * length);
    ids.data[b * length] = tokens.vocab;
    ids.data.set(codes.subarray(0, length - 1), b * length + 1);
  }
  return { ids, targets };
}

/**
 * The sequences of a step: an endless row of epochs, each a permutation of the set. Of the input codes (not the
 * targets, not the start token) a share 1 − `pkeep` is replaced by random ones.
 *
 * @param step 1-based; the result depends on tokens, options and step only
 */
export function trainingSequences(
  tokens: Tokens,
  o: { batchSize: number; pkeep: number; seed: number },
): (step: number) => Sequences {
  let order: { epoch: number; rows: Int32Array } = { epoch: -1, rows: new Int32Array() };
  const rowAt = (position: number): number => {
    const epoch = Math.floor(position / tokens.count);
    if (order.epoch !== epoch) {
      order = { epoch, rows: permutation(tokens.count, stream(o.seed, 'prior order', epoch)) };
    }
    return order.rows[position % tokens.count]!;
  };
  return (step) => {
    const first = (step - 1) * o.batchSize;
    const sequences = sequencesOf(
      tokens,
      Array.from({ length: o.batchSize }, (_, b) => rowAt(first + b)),
    );
    if (o.pkeep < 1) corrupt(sequences.ids, tokens.vocab, o, step);
    return sequences;
  };
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
