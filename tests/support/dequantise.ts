import type { Quantised } from '../../src/engine/quantise.js';

/** The weights [rows, columns] that 8-bit ones stand for. */
export function dequantise(
  { values, scales }: Quantised,
  [rows, columns]: readonly [number, number],
  block: number,
): Float32Array {
  const blocks = Math.ceil(rows / block);
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const at = column * blocks + Math.floor(row / block);
    return (values[at * block + (row % block)]! - 128) * scales[at]!;
  });
}
