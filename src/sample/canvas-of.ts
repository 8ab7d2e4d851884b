/** Which cells of the grids are drawn anew, and which are kept. Pure. */
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';

/** What of a picture is kept: the half at a side, or a share of its rows, from the top. */
export type Keep = (typeof sides)[number] | number;

export const sides = ['top', 'left', 'right', 'bottom'] as const;

/** Rows, and columns, of the coarsest grid. */
export const coarsestSide = (grids: readonly Grid[]): number =>
  Math.min(...grids.map(({ height }) => height));

/**
 * The cells of a grid that pixels touch.
 *
 * @param pixels [S, S], 1 where one is marked
 * @param grow cells by which they are grown on every side
 * @returns [h, w], 1 for such a cell
 */
export function touchedCells(pixels: Uint8Array, { height, width }: Grid, grow: number): Uint8Array {
  const size = Math.sqrt(pixels.length);
  const cells = new Uint8Array(height * width);
  for (const [i, marked] of pixels.entries()) {
    if (!marked) continue;
    const row = Math.floor((Math.floor(i / size) * height) / size);
    const column = Math.floor(((i % size) * width) / size);
    for (let y = Math.max(0, row - grow); y <= Math.min(height - 1, row + grow); y++) {
      cells.fill(1, y * width + Math.max(0, column - grow), y * width + Math.min(width, column + grow + 1));
    }
  }
  return cells;
}

/** How many rows, or columns, of the coarsest grid are kept. */
export const keptLines = (keep: Keep, grids: readonly Grid[]): number =>
  Math.round((typeof keep === 'number' ? keep : 0.5) * coarsestSide(grids));

/** [S, S], 1 for the pixels that are not kept: whole rows or columns of the coarsest grid's cells. */
export function pixelsBeyond(keep: Keep, grids: readonly Grid[], size: number): Uint8Array {
  const kept = (keptLines(keep, grids) * size) / coarsestSide(grids);
  const isKept = (x: number, y: number): boolean => {
    if (keep === 'left') return x < kept;
    if (keep === 'right') return x >= size - kept;
    return keep === 'bottom' ? y >= size - kept : y < kept;
  };
  return Uint8Array.from({ length: size * size }, (_, i) => (isKept(i % size, Math.floor(i / size)) ? 0 : 1));
}

/** Share of the cells, of all grids, that are not redrawn. */
export const shareKept = (redrawn: readonly Uint8Array[], grids: readonly Grid[]): number =>
  1 - redrawn.reduce((sum, cells) => sum + cells.reduce((a, b) => a + b, 0), 0) / cellsIn(grids);
