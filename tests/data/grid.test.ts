import path from 'node:path';
import sharp from 'sharp';
import {
  arranged,
  captionsOf,
  mostColumns,
  mostPictures,
  writeGrid,
  writeVersions,
} from '../../src/data/grid.js';
import { drawLetters, inLetters } from '../../src/data/letters.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const plain = (size: number, level: number) => new Float32Array(size * size * 3).fill(level);

async function pixels(file: string) {
  const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
  return { ...info, at: (x: number, y: number): number => data[(y * info.width + x) * info.channels]! };
}

test('a grid goes row by row, enlarged by a whole factor, white where nothing stands', async () => {
  const file = path.join(await freshFolder(), 'new', 'grid.png');
  const cells = [plain(48, -1), plain(48, 0.2), plain(48, 0.6), undefined];
  await writeGrid(file, cells, { size: 48, columns: 2 });
  const { width, height, at } = await pixels(file);
  expect([width, height]).toEqual([2 * (48 + 2 + 48), 2 * (48 + 2 + 48)]);
  const half = (x: number, y: number) => at(2 * x, 2 * y);
  expect([half(0, 0), half(50, 0), half(0, 50), half(50, 50), half(48, 0)]).toEqual([0, 153, 204, 255, 255]);
  expect([half(47, 47), half(97, 47), half(47, 97)]).toEqual([0, 153, 204]);
});

test('wide pictures take no more rows than they have', async () => {
  const file = path.join(await freshFolder(), 'grid.png');
  const wide = (level: number) => new Float32Array(48 * 24 * 3).fill(level);
  await writeGrid(file, [wide(-1), wide(0.2)], { size: 48, tall: 24, columns: 1 });
  const { width, height, at } = await pixels(file);
  expect([width, height]).toEqual([2 * 48, 2 * (24 + 2 + 24)]);
  expect([at(95, 0), at(0, 47), at(0, 48), at(0, 52), at(95, 99)]).toEqual([0, 0, 255, 153, 153]);
});

test('no grid is wider than twelve columns or about 2000 pixels, nor without end', () => {
  for (const size of [16, 32, 64, 128, 256, 512, 1024]) {
    const columns = mostColumns(size);
    const side = size * Math.max(1, Math.ceil(96 / size));
    expect(columns).toBeLessThanOrEqual(12);
    expect(columns * (side + 2)).toBeLessThan(2110);
    expect((mostPictures(size) / columns) * side).toBeLessThan(6010);
  }
  expect([32, 128, 256, 512, 1024].map(mostColumns)).toEqual([12, 12, 8, 4, 2]);
  expect(mostColumns(4000)).toBe(1);
});

test('kinds have columns of their own, in blocks where there are many', () => {
  expect(arranged([-1, -1, -1, -1, -1], 12)).toEqual({ columns: 3, cells: [0, 1, 2, 3, 4, undefined] });
  expect(arranged([0, 1, 2, 0, 1], 12)).toEqual({ columns: 3, cells: [0, 1, 2, 3, 4, undefined] });
  const two = [0, 1, 0, 1, 0, 1, 0, 1];
  expect(arranged([...two, ...two], 12)).toMatchObject({ columns: 4, cells: { length: 16 } });
  expect(arranged([...two, ...two], 12).cells.slice(0, 4)).toEqual([0, 2, 1, 3]);
  expect(arranged([...two, ...two], 2).columns).toBe(2);
  const sixty = Array.from({ length: 120 }, (_, i) => i % 60);
  const { columns, cells } = arranged(sixty, 12);
  expect(columns).toBe(12);
  expect(cells.slice(0, 24)).toEqual(
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].concat(Array.from({ length: 12 }, (_, i) => 60 + i)),
  );
  expect([...cells].sort((a, b) => a! - b!)).toEqual(sixty.map((_, i) => i));
  expect(
    arranged(
      Array.from({ length: 13 }, (_, i) => i),
      12,
    ),
  ).toMatchObject({ columns: 7, cells: { 13: undefined } });
});

test('captions: what cannot be drawn, or not apart, has its number', () => {
  expect(captionsOf(['boat', 'café', '猫', '犬'], 96)).toEqual(['boat', 'cafe', '#3', '#4']);
  expect(captionsOf(['n02085620-Chihuahua', 'n02085782-Japanese_spaniel'], 96)).toEqual([
    'n020856..ihuahua',
    'n020857..spaniel',
  ]);
  const long = (middle: string) => `${'a'.repeat(20)}${middle}${'b'.repeat(20)}`;
  expect(captionsOf([long('x'), long('y'), 'z'], 96)).toEqual(['#1', '#2', 'z']);
  expect(inLetters('straße')).toBe('strasse');
});

test('letters', () => {
  const rows = Array.from({ length: 8 }, () => Array.from({ length: 11 }, () => '.'));
  drawLetters('Ap', (x, y) => {
    rows[y]![x] = '#';
  });
  expect(rows.map((row) => row.join(''))).toEqual([
    '.###.......',
    '#...#......',
    '#...#.#.##.',
    '#...#.##..#',
    '#####.##..#',
    '#...#.#.##.',
    '#...#.#....',
    '......#....',
  ]);
});

test('a caption stands above its cell, and makes room in its row alone', async () => {
  const file = path.join(await freshFolder(), 'grid.png');
  const cells = Array.from({ length: 4 }, () => plain(96, 0));
  await writeGrid(file, cells, { size: 96, columns: 2, captions: ['l', undefined] });
  const { width, height, at } = await pixels(file);
  expect([width, height]).toEqual([194, 24 + 96 + 2 + 96]);
  expect([at(0, 23), at(0, 24), at(0, 119), at(0, 120), at(0, 122)]).toEqual([255, 128, 128, 255, 128]);
  const black = (left: number) =>
    Array.from({ length: 24 * 96 }, (_, i) => at(left + (i % 96), Math.floor(i / 96))).filter((v) => v === 0);
  expect(black(0)).toHaveLength(10 * 4);
  expect(black(98)).toHaveLength(0);
});

test.each([
  ['png', 'png'],
  ['JPG', 'jpeg'],
  ['jpeg', 'jpeg'],
  ['webp', 'webp'],
  ['', 'png'],
])('the ending %j decides the format', async (ending, format) => {
  const file = path.join(await freshFolder(), ending ? `grid.${ending}` : 'grid');
  await writeGrid(file, [plain(8, -1)], { size: 8, columns: 1 });
  expect((await sharp(file).metadata()).format).toBe(format);
});

test('pairs: rows of originals, each with its second version below, narrower where pictures are large', async () => {
  const file = path.join(await freshFolder(), 'pairs.png');
  const level = (n: number, sign: number) => Array.from({ length: n }, () => plain(96, sign));
  await writeVersions(file, [level(9, -1), level(9, 1)], { size: 96 });
  const { width, height, at } = await pixels(file);
  expect([width, height]).toEqual([8 * 98 - 2, 4 * 98 - 2]);
  expect([at(0, 0), at(0, 98), at(0, 196), at(98, 196)]).toEqual([0, 255, 0, 255]);
  const large = [-1, 1].map((sign) => level(5, sign).map(() => plain(600, sign)));
  await writeVersions(file, large, { size: 600 });
  expect(await pixels(file)).toMatchObject({ width: 3 * 602 - 2, height: 4 * 602 - 2 });
});
