import {
  coarsestSide,
  keptLines,
  pixelsBeyond,
  shareKept,
  touchedCells,
} from '../../src/sample/canvas-of.js';

const grid = (name: string, side: number) => ({ name, height: side, width: side, vocab: 8 });
const [coarse, fine] = [grid('top', 4), grid('bottom', 8)];

/** A view of 16 pixels with one box. */
const box = (left: number, top: number, right: number, bottom: number): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, i) => {
    const [x, y] = [i % 16, Math.floor(i / 16)];
    return x >= left && x < right && y >= top && y < bottom ? 1 : 0;
  });

const picture = (cells: Uint8Array): string[] => {
  const side = Math.sqrt(cells.length);
  return Array.from({ length: side }, (_, y) => cells.subarray(y * side, (y + 1) * side).join(''));
};

test('every cell that a pixel touches, and with growth those around', () => {
  // Cells of 4 pixels: x 7 is in the second, x 8 in the third.
  expect(picture(touchedCells(box(7, 4, 9, 5), coarse, 0))).toEqual(['0000', '0110', '0000', '0000']);
  expect(picture(touchedCells(box(7, 4, 9, 5), coarse, 1))).toEqual(['1111', '1111', '1111', '0000']);
  expect(picture(touchedCells(box(7, 4, 8, 5), fine, 1)).slice(0, 5)).toEqual([
    '00000000',
    '00111000',
    '00111000',
    '00111000',
    '00000000',
  ]);
});

test('growth ends at the borders of the grid', () => {
  expect(picture(touchedCells(box(0, 0, 1, 1), coarse, 1))).toEqual(['1100', '1100', '0000', '0000']);
  expect(picture(touchedCells(box(15, 15, 16, 16), coarse, 1))).toEqual(['0000', '0000', '0011', '0011']);
  expect(touchedCells(box(15, 0, 16, 1), coarse, 0).indexOf(1)).toBe(3);
});

test('what is kept of a picture: whole cells of the coarsest grid', () => {
  const grids = [coarse, fine];
  expect(coarsestSide([fine, coarse])).toBe(4);
  expect([0.1, 0.2, 0.5, 0.7, 'left' as const].map((keep) => keptLines(keep, grids))).toEqual([
    0, 1, 2, 3, 2,
  ]);
  const drawn = (keep: Parameters<typeof pixelsBeyond>[0]) =>
    picture(touchedCells(pixelsBeyond(keep, grids, 16), coarse, 0));
  expect(drawn('top')).toEqual(['0000', '0000', '1111', '1111']);
  expect(drawn('bottom')).toEqual(['1111', '1111', '0000', '0000']);
  expect(drawn('left')).toEqual(['0011', '0011', '0011', '0011']);
  expect(drawn('right')).toEqual(['1100', '1100', '1100', '1100']);
  expect(drawn(0.7)).toEqual(['0000', '0000', '0000', '1111']);
  // Not a row of the fine grid more, though 0.7 of its 8 rows are 6 as well as 5.6.
  expect(picture(touchedCells(pixelsBeyond(0.7, grids, 16), fine, 0)).indexOf('11111111')).toBe(6);
});

test('the share of all cells that is kept', () => {
  const redrawn = [coarse, fine].map((grid) => touchedCells(box(0, 0, 4, 4), grid, 0));
  expect(shareKept(redrawn, [coarse, fine])).toBe(1 - 5 / 80);
});
