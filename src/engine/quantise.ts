/** Weights as 8-bit integers, in blocks with a scale each (symmetric, round to nearest). */

export interface Quantised {
  /** [out, blocks, block]: weight / scale + 128, from 1 to 255; 128 behind the last row. */
  readonly values: Uint8Array;
  /** [out, blocks]: the largest magnitude of the block / 127; 0 where all weights are 0. */
  readonly scales: Float32Array;
}

/**
 * Each column is cut into blocks of `block` rows. No weight moves by more than half its block's scale, but for the
 * rounding of float32.
 *
 * @param weights [rows, columns]
 */
export function quantise(
  weights: Float32Array,
  [rows, columns]: readonly [rows: number, columns: number],
  block: number,
): Quantised {
  const blocks = Math.ceil(rows / block);
  const values = new Uint8Array(columns * blocks * block).fill(128);
  const scales = new Float32Array(columns * blocks);
  const largest = new Float32Array(columns);
  for (let b = 0; b < blocks; b++) {
    const [first, end] = [b * block, Math.min(rows, (b + 1) * block)];
    largest.fill(0);
    for (let row = first; row < end; row++) {
      for (let column = 0; column < columns; column++) {
        largest[column] = Math.max(largest[column]!, Math.abs(weights[row * columns + column]!));
      }
    }
    for (let column = 0; column < columns; column++) {
      const scale = largest[column]! / 127;
      scales[column * blocks + b] = scale;
      if (scale === 0) continue;
      const at = (column * blocks + b) * block - first;
      for (let row = first; row < end; row++) {
        values[at + row] = 128 + Math.round(weights[row * columns + column]! / scale);
      }
    }
  }
  return { values, scales };
}
