/** Ancestral sampling: one code after another, each from what the model says after those before it. */

/** Logits [B, K], row by row, for what follows `ids` [B], the tokens at place `position` (0 is the start token's). */
export type NextLogits = (ids: Int32Array, position: number) => Promise<Float32Array>;

/**
 * B sequences of T codes, of which some may be known (≥ 0): those are taken as they are.
 *
 * @param o.known [B, T]
 * @param o.start [B], the token before the first code of each sequence
 * @param o.pick the code for a row, given its logits [K]; called once for every unknown code, row by row at each place
 * @returns [B, T]
 */
export async function decodeLoop(o: {
  readonly known: Int32Array;
  readonly start: Int32Array;
  readonly nextLogits: NextLogits;
  readonly pick: (row: number, logits: Float32Array, position: number) => number;
  readonly onToken?: (position: number) => void;
  readonly signal?: AbortSignal;
}): Promise<Int32Array> {
  const codes = Int32Array.from(o.known);
  const ids = Int32Array.from(o.start);
  const batch = ids.length;
  const tokens = codes.length / batch;
  for (let position = 0; position < tokens; position++) {
    o.signal?.throwIfAborted();
    const logits = await o.nextLogits(ids, position);
    const width = logits.length / batch;
    for (let row = 0; row < batch; row++) {
      const at = row * tokens + position;
      if (codes[at]! < 0) codes[at] = o.pick(row, logits.subarray(row * width, (row + 1) * width), position);
      ids[row] = codes[at]!;
    }
    o.onToken?.(position);
  }
  return codes;
}
