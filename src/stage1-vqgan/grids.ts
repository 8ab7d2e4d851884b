/** Codes of several grids as one sequence for each image, all grids end to end, and back. */
import { entry, last } from '../base/lookup.js';
import { type HostTensor, type HostTensors, int32 } from '../base/tensor.js';
import type { Grid } from './latent.js';

/** T: cells of all grids. */
export const cellsIn = (grids: readonly Grid[]): number =>
  grids.reduce((sum, { height, width }) => sum + height * width, 0);

/** [T]: how many codes each cell may have. */
export const vocabulary = (grids: readonly Grid[]): Int32Array =>
  Int32Array.from(grids.flatMap(({ height, width, vocab }) => new Array<number>(height * width).fill(vocab)));

/**
 * [T]: where in the finest grid each cell's centre is; cells of all grids that cover the same pixels are at the same
 * place.
 */
export function centres(grids: readonly Grid[]): { readonly row: number; readonly column: number }[] {
  const finest = (side: 'height' | 'width') => Math.max(...grids.map((grid) => grid[side]));
  const at = (i: number, cells: number, of: number) => ((i + 0.5) * of) / cells - 0.5;
  return grids.flatMap(({ height, width }) =>
    Array.from({ length: height * width }, (_, cell) => ({
      row: at(Math.floor(cell / width), height, finest('height')),
      column: at(cell % width, width, finest('width')),
    })),
  );
}

/** Each grid's codes [B, h, w] by its name → [B, T]. */
export function endToEnd(grids: readonly Grid[], tensors: HostTensors): Int32Array {
  const parts = grids.map(({ name }) => entry(tensors, name));
  const [batch] = last(parts).shape as [number];
  const all = new Int32Array(parts.reduce((sum, { data }) => sum + data.length, 0));
  let at = 0;
  for (let row = 0; row < batch; row++) {
    for (const { data } of parts) {
      const cells = data.length / batch;
      all.set(data.subarray(row * cells, (row + 1) * cells), at);
      at += cells;
    }
  }
  return all;
}

/** The reverse. */
export function byGrid(grids: readonly Grid[], codes: Int32Array): Record<string, HostTensor> {
  const all = cellsIn(grids);
  const batch = codes.length / all;
  let first = 0;
  return Object.fromEntries(
    grids.map(({ name, height, width }) => {
      const cells = height * width;
      const grid = int32([batch, height, width]);
      for (let row = 0; row < batch; row++)
        grid.data.set(codes.subarray(row * all + first, row * all + first + cells), row * cells);
      first += cells;
      return [name, grid];
    }),
  );
}
