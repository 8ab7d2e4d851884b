import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { boxPixels, type Frame, frameOf, maskPixels } from '../../src/data/frame.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

/** The marked pixels of a view as `x,y`, row by row. */
const marked = (pixels: Uint8Array): string[] => {
  const size = Math.sqrt(pixels.length);
  return [...pixels].flatMap((one, i) => (one ? [`${i % size},${Math.floor(i / size)}`] : []));
};

/** 40×20 pixels, of which the middle 20×20 become 10×10. */
const wide: Frame = { file: 'wide.png', width: 40, height: 20, size: 10 };

test('a box in pixels of the picture, through scaling and crop: every pixel that it touches', () => {
  // x 12 to 15 is 6 to 7.5 at half the size, less 5 that are cropped; y 4 to 6 is 2 to 3.
  expect(marked(boxPixels(wide, { x: 12, y: 4, width: 3, height: 2 }))).toEqual(['1,2', '2,2']);
  expect(marked(boxPixels(wide, { x: 10, y: 0, width: 20, height: 20 }))).toHaveLength(100);
  expect(marked(boxPixels(wide, { x: -5, y: -5, width: 16, height: 6 }))).toEqual(['0,0']);
  const tall = { ...wide, width: 20, height: 100 }; // trimmed to 20×40 before the crop: rows 40 to 60
  expect(marked(boxPixels(tall, { x: 0, y: 59, width: 2, height: 9 }))).toEqual(['0,9']);
  const small = { ...wide, width: 5, height: 5 };
  expect(marked(boxPixels(small, { x: 4, y: 4, width: 1, height: 1 }))).toEqual(['8,8', '9,8', '8,9', '9,9']);
});

test('a box that nothing is seen of is refused', () => {
  const box = (x: number, y: number) => () => boxPixels(wide, { x, y, width: 4, height: 5 });
  expect(box(40, 0)).toThrow(
    'Expected a box within the 40×20 pixels of wide.png for --box but received 40,0,4,5. It is X,Y,W,H in pixels of the picture, from its upper left.',
  );
  expect(box(0, -5)).toThrow(/40×20 pixels/);
  expect(box(6, 0)).toThrow(
    'Expected a box within the 20×20 pixels from 10,0 on, the middle of wide.png for --box but received 6,0,4,5. The run sees squares; crop the picture around what is to be edited.',
  );
  expect(box(7, 0)).not.toThrow();
});

describe('a mask', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await freshFolder();
  });

  /** White points on black. */
  async function mask(name: string, [width, height]: [number, number], white: [number, number][]) {
    const data = Buffer.alloc(width * height * 3);
    for (const [x, y] of white) data.fill(255, 3 * (y * width + x), 3 * (y * width + x) + 3);
    const file = path.join(folder, name);
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toFile(file);
    return file;
  }

  test('a single white pixel counts, what is cropped does not', async () => {
    const file = await mask(
      'one.png',
      [40, 20],
      [
        [12, 4],
        [9, 0],
        [29, 19],
      ],
    );
    expect(marked(await maskPixels(wide, file))).toEqual(['1,2', '9,9']);
    const frame = await frameOf(file, 10);
    expect(frame).toEqual({ ...wide, file });
    const long = await mask(
      'long.png',
      [20, 100],
      [
        [3, 40],
        [0, 59],
        [5, 39],
      ],
    );
    expect(marked(await maskPixels(await frameOf(long, 10), long))).toEqual(['1,0', '0,9']);
  });

  test('the same pixels as the box that it paints', async () => {
    const white = Array.from({ length: 6 }, (_, i): [number, number] => [
      12 + (i % 3),
      4 + Math.floor(i / 3),
    ]);
    const file = await mask('box.png', [40, 20], white);
    expect(await maskPixels(wide, file)).toEqual(boxPixels(wide, { x: 12, y: 4, width: 3, height: 2 }));
  });

  test('of another size, or no picture, is refused', async () => {
    const file = await mask('small.png', [20, 20], []);
    await expect(maskPixels(wide, file)).rejects.toThrow(
      `Expected a mask of 40×20 pixels, as wide.png has for --mask but received ${file} of 20×20. White marks what is to be redrawn.`,
    );
    const torn = path.join(folder, 'torn.png');
    await fs.writeFile(torn, 'x');
    await expect(maskPixels(wide, torn)).rejects.toThrow(/^Expected a picture for .*torn\.png/);
  });

  test('places are those of the upright picture', async () => {
    const file = path.join(folder, 'turned.jpg');
    const raw = { width: 40, height: 20, channels: 3 } as const;
    await sharp(Buffer.alloc(2400), { raw }).jpeg().withMetadata({ orientation: 6 }).toFile(file);
    expect(await frameOf(file, 10)).toMatchObject({ width: 20, height: 40 });
  });
});
