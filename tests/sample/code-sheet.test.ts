import { blankSheet, codesIn, cropped, partOf, write } from '../../src/sample/code-sheet.js';

const grids = [
  { name: 'top', height: 1, width: 1, vocab: 50 },
  { name: 'bottom', height: 2, width: 2, vocab: 50 },
];

test('windows, parts and crops of codes on two grids', () => {
  const sheet = blankSheet(grids, 2, 3);
  expect(sheet.codes.map(({ length }) => length)).toEqual([6, 24]);
  for (let top = 0; top < 2; top++)
    for (let left = 0; left < 3; left++)
      write(
        sheet,
        { left, top },
        Int32Array.from([0, 1, 2, 3, 4], (i) => 10 * (3 * top + left) + i),
      );
  expect([...codesIn(sheet, { left: 2, top: 1 })]).toEqual([50, 51, 52, 53, 54]);
  expect([...sheet.codes[0]!]).toEqual([0, 10, 20, 30, 40, 50]);
  expect([...sheet.codes[1]!.subarray(0, 12)]).toEqual([1, 2, 11, 12, 21, 22, 3, 4, 13, 14, 23, 24]);
  const part = partOf(sheet, { left: 1, top: 1, rows: 1, columns: 2 });
  expect([...part.top!]).toEqual([40, 50]);
  expect([...part.bottom!]).toEqual([41, 42, 51, 52, 43, 44, 53, 54]);
  const small = cropped(sheet, 2, 1);
  expect([small.rows, small.columns]).toEqual([2, 1]);
  expect(small.codes.map((codes) => [...codes])).toEqual([
    [0, 30],
    [1, 2, 3, 4, 31, 32, 33, 34],
  ]);
  expect(cropped(sheet, 2, 3)).toBe(sheet);
});
