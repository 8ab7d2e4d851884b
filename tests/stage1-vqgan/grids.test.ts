import { int32 } from '../../src/base/tensor.js';
import { byGrid, cellsIn, endToEnd, vocabulary } from '../../src/stage1-vqgan/grids.js';

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
