import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { silent } from '../../src/base/progress.js';
import { openDataset } from '../../src/data/dataset.js';
import { drawnClasses, drawnImages, drawnSvg, makeDataset } from '../../src/data/drawn.js';
import { listImages } from '../../src/data/source.js';
import { dataConfig, temporaryFolder } from './pictures-folder.js';

let dir: string;
beforeEach(async () => {
  dir = await temporaryFolder();
});
afterEach(() => fs.rm(dir, { recursive: true, force: true }));

test('a drawing depends on its seed and index alone', () => {
  const digest = createHash('sha256');
  for (let i = 0; i < 100; i++) digest.update(drawnSvg(3, i, 32));
  expect(digest.digest('hex').slice(0, 16)).toBe('75e5a01e64762844');
  expect(drawnSvg(3, 17, 32)).toBe(drawnSvg(3, 17, 32));
  expect(drawnSvg(4, 17, 32)).not.toBe(drawnSvg(3, 17, 32));
});

test('ten classes, by turns; hardly two drawings alike', () => {
  expect(drawnClasses).toHaveLength(10);
  expect(new Set(Array.from({ length: 500 }, (_, i) => drawnSvg(0, i, 32))).size).toBe(500);
  const { names, classes, labels } = drawnImages(25, 0);
  expect(classes).toEqual(drawnClasses);
  for (const [i, name] of names.entries()) {
    expect(classes[Number(path.basename(name, '.png')) % 10]).toBe(path.dirname(name));
    expect(classes[labels[i]!]).toBe(path.dirname(name));
  }
});

test('two renderings are equal and fill the canvas', async () => {
  const source = drawnImages(10, 0);
  for (let i = 0; i < 10; i++) {
    const picture = await source.read(i, 32);
    expect([picture.width, picture.height, picture.data.length]).toEqual([32, 32, 32 * 32 * 3]);
    expect(Buffer.compare((await source.read(i, 32)).data, picture.data)).toBe(0);
    expect(new Set(picture.data).size).toBeGreaterThan(40);
  }
});

test('with maps: images and maps in folders of their own, a colour for each class, black around it', async () => {
  const folder = path.join(dir, 'pairs');
  await makeDataset(folder, { n: 20, size: 32, seed: 0, maps: true });
  const [images, maps] = [
    await listImages(path.join(folder, 'images')),
    await listImages(path.join(folder, 'maps')),
  ];
  expect(maps.names).toEqual(images.names);
  const colours = new Set<string>();
  for (const i of maps.names.keys()) {
    const { data } = await maps.read(i, 32);
    const pixels = Array.from({ length: 32 * 32 }, (_, j) => data.subarray(3 * j, 3 * j + 3).join());
    const [black, ...others] = [...new Set(pixels)].sort();
    expect([black, others.length]).toEqual(['0,0,0', 1]);
    colours.add(others[0]!);
    const share = pixels.filter((pixel) => pixel !== '0,0,0').length / pixels.length;
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.7);
  }
  expect(colours.size).toBe(10);
});

test('the folder that is written lists and reads as the built-in set', async () => {
  const folder = path.join(dir, 'made');
  await makeDataset(folder, { n: 23, size: 16, seed: 0 });
  const written = await listImages(folder);
  const builtIn = drawnImages(23, 0);
  expect(written.names).toEqual(builtIn.names);
  expect(written.classes).toEqual(builtIn.classes);
  expect(written.labels).toEqual(builtIn.labels);
  for (let i = 0; i < 23; i++) {
    expect(Buffer.compare((await written.read(i, 16)).data, (await builtIn.read(i, 16)).data)).toBe(0);
  }
  await expect(makeDataset(folder, { n: 1, size: 8, seed: 0 })).rejects.toThrow(UserError);
  await expect(makeDataset(folder, { n: 1, size: 8, seed: 0 })).rejects.toThrow(
    `Expected a new folder for DIR but received ${folder}, which holds files. Name another folder or empty it.`,
  );
});

test('stopped while it writes, it leaves nothing', async () => {
  const stop = new AbortController();
  const progress = () => ({ update: () => stop.abort(), stop() {} });
  const reporter = { ...silent, progress };
  const making = makeDataset(
    path.join(dir, 'made'),
    { n: 40, size: 8, seed: 0 },
    { reporter, signal: stop.signal },
  );
  await expect(making).rejects.toThrow('aborted');
  expect(await fs.readdir(dir)).toEqual([]);
});

test('is what openDataset takes when no folder is named', async () => {
  const config = dataConfig({ drawn: 40, size: 16 });
  const data = await openDataset(config, { cacheDir: dir, reporter: silent });
  expect(data.train.count + data.val.count).toBe(40);
  expect(data.classes).toEqual(drawnClasses);
  expect(data.skipped).toEqual([]);
});
