import { int32 } from '../../src/base/tensor.js';
import { byGrid, cellsIn, centres, endToEnd, vocabulary } from '../../src/stage1-vqgan/grids.js';

const grids = [
  { name: 'top', height: 1, width: 2, vocab: 3 },
  { name: 'bottom', height: 2, width: 2, vocab: 5 },
];
const tensors = {
  top: int32([2, 1, 2], [0, 1, 2, 0]),
  bottom: int32([2, 2, 2], [1, 2, 3, 4, 4, 3, 2, 1]),
};
const whole = Int32Array.of(0, 1, 1, 2, 3, 4, 2, 0, 4, 3, 2, 1);

test('grids end to end, row by row, and back', () => {
  expect(cellsIn(grids)).toBe(6);
  expect([...vocabulary(grids)]).toEqual([3, 3, 5, 5, 5, 5]);
  expect(endToEnd(grids, tensors)).toEqual(whole);
  expect(byGrid(grids, whole)).toEqual(tensors);
});

test('cells of two grids that cover the same pixels have the same centre', () => {
  const of = (height: number, width: number) => ({ name: 'a', height, width, vocab: 3 });
  expect(centres([of(2, 3)])).toEqual([0, 1].flatMap((row) => [0, 1, 2].map((column) => ({ row, column }))));
  const [whole, ...rest] = centres([of(1, 1), of(2, 2), of(4, 4)]);
  expect(whole).toEqual({ row: 1.5, column: 1.5 });
  const [first, second] = rest;
  expect([first, second]).toEqual([
    { row: 0.5, column: 0.5 },
    { row: 0.5, column: 2.5 },
  ]);
  expect(rest[4]).toEqual({ row: 0, column: 0 });
});
