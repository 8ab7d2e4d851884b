import { haltonOrder, vanDerCorput } from '../../../src/stage2-transformer/maskgit/halton.js';

const first = (n: number, base: number): number[] => {
  const next = vanDerCorput(base);
  return Array.from({ length: n }, () => next());
};

test('van der Corput numbers by hand', () => {
  expect(first(8, 2)).toEqual([0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875, 0.0625]);
  expect(first(9, 3).map((x) => Math.round(27 * x))).toEqual([9, 18, 3, 12, 21, 6, 15, 24, 1]);
});

test('the first cells of 16 × 16, as the published code has them', () => {
  const order = haltonOrder(16, 16).subarray(0, 4);
  expect(Array.from(order, (cell) => [cell >> 4, cell % 16])).toEqual([
    [8, 5],
    [4, 10],
    [12, 1],
    [2, 7],
  ]);
});

test('every cell once, for all sizes up to 64 × 64', () => {
  for (let height = 1; height <= 64; height++)
    for (let width = 1; width <= 64; width++) {
      const order = haltonOrder(height, width);
      const seen = new Uint8Array(height * width);
      for (const cell of order) seen[cell] = 1;
      if (order.length !== seen.length || seen.includes(0)) throw new Error(`${height} × ${width}`);
    }
});

test('cells that follow each other are far apart: a quarter of the grid has a cell in nearly every 2 × 2', () => {
  const blocks = new Set(
    Array.from(haltonOrder(16, 16).subarray(0, 64), (cell) => (cell >> 5) * 8 + ((cell % 16) >> 1)),
  );
  expect(blocks.size).toBeGreaterThan(50); // of 64; of cells at random 41 would be hit
});
