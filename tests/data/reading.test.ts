import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { readings } from '../../src/data/reading.js';
import { listImages } from '../../src/data/source.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const grey16 = (values: number[], width: number) =>
  sharp(Uint16Array.from(values), { raw: { width, height: values.length / width, channels: 1 } })
    .toColourspace('grey16')
    .png()
    .toBuffer();

test('depth: from the least value to the greatest, in steps of 16 bits', async () => {
  const file = await grey16([1000, 1100, 1200, 1400], 2);
  const { data, ...extent } = await readings.depth.decode(file, 2);
  expect(extent).toEqual({ width: 2, height: 2 });
  expect([...data]).toEqual([0, 64, 128, 255].flatMap((value) => [value, value, value]));
  const flat = await readings.depth.decode(await grey16([7, 7, 7, 7], 2), 2);
  expect(new Set(flat.data)).toEqual(new Set([0]));
});

test('depth of eight bits and of colours', async () => {
  const data = Uint8Array.from([10, 10, 10, 20, 20, 20, 30, 30, 30, 60, 60, 60]);
  const file = await sharp(data, { raw: { width: 2, height: 2, channels: 3 } })
    .png()
    .toBuffer();
  expect([...(await readings.depth.decode(file, 2)).data].filter((_, i) => i % 3 === 0)).toEqual([
    0, 51, 102, 255,
  ]);
});

test('a folder is read as what it is said to hold; its pictures are kept apart', async () => {
  const folder = await freshFolder();
  await fs.writeFile(path.join(folder, 'a.png'), await grey16([0, 30000, 60000, 65535], 2));
  const stamps = async (pictures: 'photographs' | 'depth' | 'labels') => {
    const all: string[] = [];
    for await (const stamp of (await listImages(folder, '--data', { pictures })).stamps()) all.push(stamp);
    return all.join();
  };
  const found = await Promise.all((['photographs', 'depth', 'labels'] as const).map(stamps));
  expect(new Set(found).size).toBe(3);
  const { data } = await (await listImages(folder, '--data', { pictures: 'depth' })).read(0, 2);
  expect(data[3]).toBe(Math.round((255 * 30000) / 65535));
});
