import { enlarge } from '../../src/data/enlarge.js';

/** Grey values row by row as RGB. */
const rgb = (values: readonly number[]): Uint8Array => Uint8Array.from(values.flatMap((v) => [v, v, v]));
const firstOf = (data: Uint8Array): number[] => [...data].filter((_, i) => i % 3 === 0);
const line = { from: 1, full: 1, kept: 1 };

function mirrored(data: Uint8Array, width: number): Uint8Array {
  return data.map((_, i) => {
    const pixel = Math.floor(i / 3);
    const x = pixel % width;
    return data[(pixel - x + width - 1 - x) * 3 + (i % 3)]!;
  });
}

test("is Pillow's BICUBIC", () => {
  const row = enlarge(rgb([0, 110, 246, 152]), { from: 4, full: 8, kept: 8 }, line);
  expect(firstOf(row)).toEqual([0, 18, 76, 148, 228, 235, 173, 144]);
  const column = enlarge(rgb([0, 110, 246, 152]), line, { from: 4, full: 8, kept: 8 });
  expect(firstOf(column)).toEqual(firstOf(row));
});

test('one colour stays, and so does a picture of the same size', () => {
  const side = { from: 3, full: 17, kept: 17 };
  expect(new Set(enlarge(rgb(Array<number>(9).fill(91)), side, side))).toEqual(new Set([91]));
  const data = Uint8Array.from({ length: 5 * 4 * 3 }, (_, i) => (i * 37) % 256);
  expect(enlarge(data, { from: 5, full: 5, kept: 5 }, { from: 4, full: 4, kept: 4 })).toEqual(data);
});

test.each([
  [4, 8, 8],
  [5, 8, 8],
  [20, 33, 33],
  [63, 64, 64],
  [1, 7, 7],
  [9, 20, 16],
  [9, 21, 16],
])('a mirrored picture becomes the mirror image: %i to %i, %i kept', (from, full, kept) => {
  const down = { from: 3, full: 5, kept: 5 };
  const data = Uint8Array.from({ length: from * 3 * 3 }, (_, i) => (i * i * 31) % 251);
  const across = { from, full, kept };
  const there = mirrored(enlarge(mirrored(data, from), across, down), kept);
  expect(there).toEqual(enlarge(data, across, down));
});
