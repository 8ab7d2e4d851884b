import { blend, gaussian, softMask } from '../../src/sample/composite.js';

const row = (full: number[], rim: number): number[] => [
  ...softMask(Uint8Array.from(full), { width: full.length, height: 1 }, rim),
];

test('the weights of a Gaussian with a standard deviation of half the radius', () => {
  expect([...gaussian(0)]).toEqual([1]);
  // exp(−2·(k/2)²) for k = −2 … 2: .1353, .6065, 1, …, of 2.4836
  const [a, b, c] = [0.0545, 0.2442, 0.4026];
  for (const [i, weight] of [a, b, c, b, a].entries()) expect(gaussian(2)[i]).toBeCloseTo(weight, 4);
});

test('1 where the new picture alone is wanted, 0 beyond the rim, a Gaussian step between', () => {
  // Grown by 2 pixels, then the mean of 5: the weights that are still inside, one less at each pixel.
  const [one, two, three, four, five, ...beyond] = row([1, 0, 0, 0, 0, 0, 0, 0], 4);
  expect(one).toBe(1);
  expect(two).toBeCloseTo(0.9455, 4);
  expect(three).toBeCloseTo(0.7013, 4);
  expect(four).toBeCloseTo(0.2987, 4);
  expect(five).toBeCloseTo(0.0545, 4);
  expect(beyond).toEqual([0, 0, 0]);
  expect(row([0, 1, 1, 0], 1)).toEqual([0, 1, 1, 0]); // no pixel to mix over
});

test('at the edge of the picture it goes on as there, and rows are treated as columns are', () => {
  expect(row([0, 0, 0, 0, 0, 0, 1, 1], 4).slice(6)).toEqual([1, 1]);
  const column = softMask(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), { width: 1, height: 8 }, 4);
  for (const [i, share] of row([1, 0, 0, 0, 0, 0, 0, 0], 4).entries())
    expect(column[i]).toBeCloseTo(share, 12);
  const point = softMask(
    Uint8Array.from({ length: 81 }, (_, i) => (i === 40 ? 1 : 0)),
    { width: 9, height: 9 },
    2,
  );
  expect(point[40]).toBe(1);
  // Two pixels to the right and below: the last weight of 3, twice.
  expect(point[60]).toBeCloseTo(gaussian(1)[0]! ** 2, 9);
  expect(point[43]).toBe(0);
});

test('what is kept is kept to the bit', () => {
  const below = Float32Array.from({ length: 9 }, (_, i) => Math.fround(0.1 * i));
  const above = new Float32Array(9).fill(-1);
  const mixed = blend(below, above, Float64Array.of(0, 0.25, 1));
  expect(mixed.subarray(0, 3)).toEqual(below.subarray(0, 3));
  expect(mixed[3]).toBeCloseTo(0.75 * 0.3 - 0.25, 6);
  expect([...mixed.subarray(6)]).toEqual([-1, -1, -1]);
});
