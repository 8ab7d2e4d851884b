/**
 * Codes of a picture of any size: of each grid one sheet, over which windows of the trained size go. Places are counted
 * in cells of the coarsest grid.
 */
import { must } from '../base/lookup.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { unknown } from '../stage2-transformer/canvas.js';
import { coarsestSide } from './canvas-of.js';
import type { Window } from './windows.js';

export interface Sheet {
  /** Of a window. */
  readonly grids: readonly Grid[];
  readonly rows: number;
  readonly columns: number;
  /** Side of a window. */
  readonly side: number;
  /** Of each grid its codes over all of the sheet, row by row; `unknown` where they are to be drawn. */
  readonly codes: readonly Int32Array[];
}

/** Nothing on it is known. */
export function blankSheet(grids: readonly Grid[], rows: number, columns: number): Sheet {
  const side = coarsestSide(grids);
  const codes = grids.map(({ height, width }) =>
    new Int32Array((rows * columns * height * width) / side ** 2).fill(unknown),
  );
  return { grids, rows, columns, side, codes };
}

/** The codes of a window, [T]. */
export function codesIn(sheet: Sheet, window: Window): Int32Array {
  const codes = new Int32Array(cellsIn(sheet.grids));
  for (const { codes: all, from, to, length } of codeRows(sheet, window))
    codes.set(all.subarray(to, to + length), from);
  return codes;
}

/** Puts those of a window, [T], where they belong. */
export function write(sheet: Sheet, window: Window, codes: Int32Array): void {
  for (const { codes: all, from, to, length } of codeRows(sheet, window))
    all.set(codes.subarray(from, from + length), to);
}

/** Every row of every grid: where it begins in a window's codes, and where on the grid's sheet. */
function* codeRows({ grids, codes, columns, side }: Sheet, { left, top }: Window) {
  let first = 0;
  for (const [i, { name, height, width }] of grids.entries()) {
    const finer = height / side;
    for (let row = 0; row < height; row++) {
      const to = ((top * finer + row) * columns + left) * finer;
      yield { codes: must(codes[i], name), from: first + row * width, to, length: width };
    }
    first += height * width;
  }
}

/** A part of a sheet, in cells of the coarsest grid. */
export interface Part extends Window {
  readonly rows: number;
  readonly columns: number;
}

/** Codes [1, h, w] of each grid by its name. */
export function partOf(sheet: Sheet, { left, top, rows, columns }: Part): Record<string, Int32Array> {
  return Object.fromEntries(
    sheet.grids.map(({ name, height }, i) => {
      const finer = height / sheet.side;
      const width = columns * finer;
      const all = must(sheet.codes[i], name);
      const codes = new Int32Array(rows * finer * width);
      for (let row = 0; row < rows * finer; row++) {
        const from = ((top * finer + row) * sheet.columns + left) * finer;
        codes.set(all.subarray(from, from + width), row * width);
      }
      return [name, codes];
    }),
  );
}

/** The upper left of a sheet, as a sheet. */
export function cropped(sheet: Sheet, rows: number, columns: number): Sheet {
  if (rows === sheet.rows && columns === sheet.columns) return sheet;
  return { ...sheet, rows, columns, codes: Object.values(partOf(sheet, { left: 0, top: 0, rows, columns })) };
}
