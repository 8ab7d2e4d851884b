import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { decode } from '../../src/data/pictures.js';
import { readCovering, readEvalImage, readings } from '../../src/data/reading.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

/** Stripes of red, green and blue, three pixels each. */
const stripes = (width: number, height: number): Promise<Buffer> => {
  const data = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) data[3 * i + (Math.floor((i % width) / 3) % 3)] = 255;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
};

test.each([
  [30, 20, 10],
  [30, 20, 50],
  [100, 10, 10],
])(
  'a map of %d×%d fitted to %d has the shape of its picture, and no colour but its own',
  async (w, h, size) => {
    const file = await stripes(w, h);
    const [map, picture] = [await readings.labels.decode(file, size), await decode(file, size)];
    expect([map.width, map.height]).toEqual([picture.width, picture.height]);
    for (let i = 0; i < map.data.length; i += 3)
      expect([...map.data.subarray(i, i + 3)].sort((a, b) => a - b)).toEqual([0, 0, 255]);
  },
);

const labels = { pictures: 'labels' as const, labels: [] };

test('grey maps and those with a palette are read by their colours', async () => {
  const grey = await sharp(Buffer.from([0, 1, 2, 3]), { raw: { width: 2, height: 2, channels: 1 } })
    .png()
    .toBuffer();
  expect([...(await readings.labels.decode(grey, 2)).data]).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
  const file = path.join(await freshFolder(), 'map.png');
  await fs.writeFile(
    file,
    await sharp(await stripes(9, 9))
      .png({ palette: true })
      .toBuffer(),
  );
  const map = (await readEvalImage(file, 9, labels)).data;
  expect([...map.subarray(0, 9)]).toEqual([1, -1, -1, 1, -1, -1, 1, -1, -1]);
  expect(await readCovering(file, { width: 9, height: 9 }, 'labels')).toEqual(map);
  await expect(readEvalImage(`${file}.missing`, 9, labels)).rejects.toThrow(
    /Expected a picture for .* but received no such file/,
  );
});
