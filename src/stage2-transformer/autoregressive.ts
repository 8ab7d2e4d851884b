/** Ancestral sampling: one code after another, each from what the model says after those before it. */

/** Logits [B, K], row by row, for what follows `ids` [B], the tokens at place `position` (0 is the start token's). */
export type NextLogits = (ids: Int32Array, position: number) => Promise<Float32Array>;

/**
 * Classifier-free guidance (Ho & Salimans, arXiv 2207.12598; for codes as in LlamaGen): u + s·(c − u) of the logits c with a class and u without.
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

/**
 * B sequences of T codes.
 *
 * @param o.start the token before the first code, or that of each sequence
 * @param o.pick the code for a row, given its logits [K]; called once for every row and place, in order
 * @returns [B, T]
 */
export async function decodeLoop(o: {
  readonly batch: number;
  readonly tokens: number;
  readonly start: number | Int32Array;
  readonly nextLogits: NextLogits;
  readonly pick: (row: number, logits: Float32Array) => number;
  readonly onToken?: (position: number) => void;
  readonly signal?: AbortSignal;
}): Promise<Int32Array> {
  const { batch, tokens } = o;
  const codes = new Int32Array(batch * tokens);
  const ids = typeof o.start === 'number' ? new Int32Array(batch).fill(o.start) : Int32Array.from(o.start);
  for (let position = 0; position < tokens; position++) {
    o.signal?.throwIfAborted();
    const logits = await o.nextLogits(ids, position);
    const width = logits.length / batch;
    for (let row = 0; row < batch; row++) {
      ids[row] = o.pick(row, logits.subarray(row * width, (row + 1) * width));
      codes[row * tokens + position] = ids[row]!;
    }
    o.onToken?.(position);
  }
  return codes;
}
