/** Ancestral sampling: one code after another, each from what the model says after those before it. */

/** Logits [B, K], row by row, for what follows `ids` [B], the tokens at place `position` (0 is the start token's). */
export type NextLogits = (ids: Int32Array, position: number) => Promise<Float32Array>;

/**
 * B sequences of T codes.
 *
 * @param o.start the token before the first code
 * @param o.pick the code for a row, given its logits [K]; called once for every row and place, in order
 * @returns [B, T]
 */
export async function decodeLoop(o: {
  readonly batch: number;
  readonly tokens: number;
  readonly start: number;
  readonly nextLogits: NextLogits;
  readonly pick: (row: number, logits: Float32Array) => number;
  readonly onToken?: (position: number) => void;
  readonly signal?: AbortSignal;
}): Promise<Int32Array> {
  const { batch, tokens } = o;
  const codes = new Int32Array(batch * tokens);
  const ids = new Int32Array(batch).fill(o.start);
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
