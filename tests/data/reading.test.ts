import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { readEvalImage, readings } from '../../src/data/reading.js';
import { listImages } from '../../src/data/source.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { tiffFile } from '../support/rasters.js';

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
    for await (const stamp of (
      await listImages(folder, '--data', { data: { pictures, labels: [] } })
    ).stamps())
      all.push(stamp);
    return all.join();
  };
  const found = await Promise.all((['photographs', 'depth', 'labels'] as const).map(stamps));
  expect(new Set(found).size).toBe(3);
  const { data } = await (
    await listImages(folder, '--data', { data: { pictures: 'depth', labels: [] } })
  ).read(0, 2);
  expect(data[3]).toBe(Math.round((255 * 30000) / 65535));
});

test('labels of 16 bits, and those that alpha mixes, are refused; where nothing is, is white', async () => {
  const { decode } = readings.labels;
  await expect(decode(await grey16([0, 1, 5, 300], 2), 2)).rejects.toThrow('more than 256 values a channel');
  const rgba = (alpha: number) =>
    sharp(Uint8Array.from([0, 255, 0, alpha, 1, 2, 3, 255]), { raw: { width: 2, height: 1, channels: 4 } })
      .png()
      .toBuffer();
  await expect(decode(await rgba(128), 1)).rejects.toThrow('transparent in part');
  expect([...(await readings.labels.covering(await rgba(0), { width: 2, height: 1 })).data]).toEqual([
    255, 255, 255, 1, 2, 3,
  ]);
});

test('labels are those of the file, whatever its profile says, and upright', async () => {
  const data = Uint8Array.from([0, 0, 245, 9, 9, 9, 0, 200, 0, 1, 1, 1]);
  const file = await sharp(data, { raw: { width: 2, height: 2, channels: 3 } })
    .withIccProfile('p3')
    .withMetadata({ orientation: 3 })
    .png()
    .toBuffer();
  const plain = await sharp(file, { ignoreIcc: true }).raw().toBuffer();
  const turned = [3, 2, 1, 0].flatMap((i) => [...plain.subarray(3 * i, 3 * i + 3)]);
  expect([...(await readings.labels.decode(file, 2)).data]).toEqual(turned);
});

test('colours that are none of the labels are told of, with the file', async () => {
  const folder = await freshFolder();
  const file = path.join(folder, 'a.png');
  const labels = ['#0000ff', ...Array.from({ length: 9 }, (_, i) => `#00000${i}`)];
  await sharp(Uint8Array.from([0, 0, 255, 7, 7, 7]), { raw: { width: 1, height: 2, channels: 3 } })
    .png()
    .toFile(file);
  await expect(readEvalImage(file, 1, { pictures: 'labels', labels })).rejects.toThrow(
    /Expected a map of the colours #0000ff, .*#000006 and 2 more for .*a\.png but received #070707\./,
  );
});

test('depth of floats, beyond 0 to 1 too; what is no number is told of', async () => {
  const tiff = (values: number[]) =>
    tiffFile({ width: 2, height: 2, channels: 1, samples: Float32Array.from(values) });
  const { data } = await readings.depth.decode(tiff([-2, 0, 6, 14]), 2);
  expect([...data].filter((_, i) => i % 3 === 0)).toEqual([0, 32, 128, 255]);
  await expect(readings.depth.decode(tiff([1, Number.NaN, 2, 3]), 2)).rejects.toThrow('a depth of NaN');
});
