/** What a damaged cache, a full disk, other processes and errors that pass do to decoded pictures. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { jest } from '@jest/globals';
import { type Reporter, silent } from '../../src/base/progress.js';
import { type CacheOptions, openCache, type PixelCache } from '../../src/data/cache.js';
import { openDataset } from '../../src/data/dataset.js';
import { listImages } from '../../src/data/source.js';
import { dataConfig, temporaryFolder, writePicture } from './pictures-folder.js';

let dir: string;
let cacheDir: string;
let said: string[];
beforeEach(async () => {
  dir = await temporaryFolder();
  cacheDir = path.join(await temporaryFolder(), '.cache');
  said = [];
  for (let i = 0; i < 8; i++) await writePicture(dir, `${i}.png`, { level: 20 * i, width: 8 + i });
});
afterEach(async () => {
  jest.restoreAllMocks();
  await fs.rm(dir, { recursive: true, force: true });
  await fs.rm(path.dirname(cacheDir), { recursive: true, force: true });
});

const reporter: Reporter = {
  ...silent,
  note: (line) => void said.push(line),
  warn: (line) => void said.push(`Warning: ${line}`),
};

async function open(o: Partial<CacheOptions> = {}): Promise<PixelCache> {
  return openCache(await listImages(dir), { size: 8, cacheDir, reporter, ...o });
}

async function levels(cache: PixelCache): Promise<number[]> {
  const pictures = await Promise.all(cache.kept.map((_, i) => cache.read(i)));
  return pictures.map(({ data }) => data[3]!);
}

const whole = Array.from({ length: 8 }, (_, i) => 20 * i);
const anew = 'The cache of decoded images is damaged: it is made anew.';
const failing = (code: string): Error =>
  Object.assign(new Error(`${code}: it fails, read`), { code, errno: -5 });

describe.each([
  ['in memory', undefined],
  ['on disk', 0],
])('a damaged cache, %s,', (where, memoryBytes) => {
  const damages: [string, (folder: string) => Promise<unknown>][] = [
    ['cut pixels', (folder) => fs.truncate(path.join(folder, 'pixels.bin'), 100)],
    ['no pixels', (folder) => fs.rm(path.join(folder, 'pixels.bin'))],
    [
      'a pipe of a list',
      async (folder) => fs.rm(path.join(folder, 'index')).then(() => fs.mkdir(path.join(folder, 'index'))),
    ],
    ['an empty list', (folder) => fs.writeFile(path.join(folder, 'index'), '')],
    [
      'a bit in the list',
      async (folder) => {
        const list = await fs.readFile(path.join(folder, 'index'));
        list[list.length - 40]! ^= 1;
        await fs.writeFile(path.join(folder, 'index'), list);
      },
    ],
  ];
  test.each(memoryBytes === 0 ? damages.slice(0, 2) : damages)('with %s, is made anew', async (_, damage) => {
    const { folder } = await open();
    await damage(folder);
    expect(await levels(await open({ memoryBytes }))).toEqual(whole);
    said.length = 0;
    expect(await levels(await open({ memoryBytes }))).toEqual(whole);
    expect(said).toEqual([]);
  });

  test('a flipped bit of a pixel is never trained on', async () => {
    const { folder } = await open();
    const file = path.join(folder, 'pixels.bin');
    const pixels = await fs.readFile(file);
    pixels[8 * 8 * 3 + 3]! ^= 64;
    await fs.writeFile(file, pixels);
    expect(await levels(await open({ memoryBytes }))).toEqual(whole);
    expect(said).toEqual(where === 'in memory' ? [anew] : []);
  });
});

test('a large cache that is damaged while it is read: pictures come from their files, or it is said which', async () => {
  const cache = await open({ memoryBytes: 0 });
  await fs.truncate(path.join(cache.folder, 'pixels.bin'), 0);
  expect(await levels(cache)).toEqual(whole);
  await writePicture(dir, '3.png', { level: 99, width: 11 });
  await expect(cache.read(3)).rejects.toThrow(
    '3.png is no longer the picture that it was when the training began.',
  );
});

test('two processes that fill one cache both have it', async () => {
  for (const memoryBytes of [undefined, 0]) {
    const caches = await Promise.all([open({ memoryBytes }), open({ memoryBytes }), open({ memoryBytes })]);
    for (const cache of caches) expect(await levels(cache)).toEqual(whole);
    await fs.rm(cacheDir, { recursive: true });
  }
  expect(said).toEqual([]);
});

test.each([
  ['in memory', undefined, 'they are held in memory'],
  ['not at all', 0, 'each is decoded anew at every step, which is slower'],
])('a full disk ends nothing: pictures are held %s', async (_, memoryBytes, instead) => {
  const openFile = fs.open;
  jest.spyOn(fs, 'open').mockImplementation(async (...given: Parameters<typeof openFile>) => {
    const handle = await openFile(...given);
    if (`${given[0]}`.endsWith('pixels.bin'))
      handle.writeFile = () =>
        Promise.reject(Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC', errno: -28 }));
    return handle;
  });
  expect(await levels(await open({ memoryBytes }))).toEqual(whole);
  expect(said).toEqual([
    `Warning: Decoded images cannot be kept in ${cacheDir} (ENOSPC: no space left): ${instead}.`,
  ]);
  expect(await fs.readdir(cacheDir).catch(() => [])).toEqual([]);
});

describe('errors of the system', () => {
  /** Reading `name` fails as long as `fails` says. */
  function failingAt(name: string, code: string, fails: () => boolean): void {
    const openFile = fs.open;
    jest.spyOn(fs, 'open').mockImplementation(async (...given: Parameters<typeof openFile>) => {
      if (`${given[0]}` === path.join(dir, name) && fails()) throw failing(code);
      return openFile(...given);
    });
  }

  test.each(['EIO', 'EMFILE', 'ESTALE', 'ENOENT'])(
    '%s that passes after a try is no more than a pause',
    async (code) => {
      let left = 2;
      failingAt('5.png', code, () => left-- > 0);
      const cache = await open();
      expect(cache.skipped).toEqual([]);
      expect(await levels(cache)).toEqual(whole);
    },
  );

  test('what cannot be read for longer is named, and read at the next start', async () => {
    let isAway = true;
    failingAt('5.png', 'EACCES', () => isAway);
    for (let round = 0; round < 2; round++) {
      const cache = await open();
      expect(cache.skipped).toEqual([{ name: '5.png', reason: 'no permission to read it', passing: true }]);
      expect(cache.kept).toHaveLength(7);
    }
    isAway = false;
    expect(await levels(await open())).toEqual(whole);
    expect(await levels(await open())).toEqual(whole);
  });

  test('what is wrong with the bytes is remembered: they are not read again', async () => {
    await fs.writeFile(path.join(dir, '5.png'), 'no picture');
    const { skipped } = await open();
    const reading = jest.spyOn(fs, 'open');
    expect((await open()).skipped).toEqual(skipped);
    expect(reading.mock.calls.filter(([file]) => `${file}`.startsWith(dir))).toEqual([]);
  });
});

describe('pictures that cannot be read', () => {
  const openAll = (changes = {}) => openDataset(dataConfig({ dir, ...changes }), { cacheDir, reporter });
  const damage = async (n: number) => {
    for (let i = 0; i < n; i++) await fs.writeFile(path.join(dir, `bad ${i}.jpg`), 'no picture');
  };

  test('a handful is left out', async () => {
    await damage(5);
    expect((await openAll()).skipped).toHaveLength(5);
  });

  test('a large share ends it before the training, unless that is allowed', async () => {
    await damage(6);
    await expect(openAll()).rejects.toThrow(
      `Expected images of which at most 10 % cannot be read for --data but received ${dir}, where 6 of 14 cannot, 43 % ` +
        '(bad 0.jpg: no picture that can be read, bad 1.jpg: no picture that can be read, ' +
        'bad 2.jpg: no picture that can be read, bad 3.jpg: no picture that can be read, ' +
        'bad 4.jpg: no picture that can be read, and 1 more). ' +
        'Mend them or take them out; to train without them: --set data.max_unreadable=0.43',
    );
    expect((await openAll({ max_unreadable: 0.43 })).skipped).toHaveLength(6);
  });
});
