/** A picture's colours at a few places: the mean of each cell, as the nearest code. */
import { colourCode, colourCodes, colourOf } from './colours.js';
import { conditionGrid, type Plain, shownCells } from './condition.js';

/** @param side rows and columns; it divides `size` */
export function lowres(size: number, side: number): Plain {
  const record = { kind: 'lowres', size, grid: conditionGrid(side, side, colourCodes) } as const;
  return {
    record,
    codes: (image) => {
      const means = cellMeans(image, size, side);
      return Int32Array.from({ length: side * side }, (_, i) =>
        colourCode(means[3 * i]!, means[3 * i + 1]!, means[3 * i + 2]!),
      );
    },
    shown: (codes) => shownCells(record, (cell) => colourOf(codes[cell]!)),
  };
}

/** [S, S, 3] → [side, side, 3]. */
export function cellMeans(image: Float32Array, size: number, side: number): Float64Array {
  const cell = size / side;
  const means = new Float64Array(side * side * 3);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const to = 3 * (Math.floor(y / cell) * side + Math.floor(x / cell));
      for (let c = 0; c < 3; c++) means[to + c]! += image[3 * (y * size + x) + c]! / cell ** 2;
    }
  return means;
}
