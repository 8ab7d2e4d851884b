import fs from 'node:fs/promises';
import path from 'node:path';
import { jest } from '@jest/globals';
import { UserError } from '../../src/base/errors.js';
import { silent } from '../../src/base/progress.js';
import type { CacheOptions } from '../../src/data/cache.js';
import { type Dataset, type ImageSet, imageSplits, openDataset } from '../../src/data/dataset.js';
import { describeSkipped, joinSources, listImages } from '../../src/data/source.js';
import { splitNames, splitOf } from '../../src/data/split.js';
import { dataConfig, temporaryFolder, writePicture } from './pictures-folder.js';

let dir: string;
let cacheDir: string;
beforeEach(async () => {
  dir = await temporaryFolder();
  cacheDir = await temporaryFolder();
});
afterEach(async () => {
  await fs.rm(dir, { recursive: true, force: true });
  await fs.rm(cacheDir, { recursive: true, force: true });
});

async function open(changes = {}, o: Partial<CacheOptions> = {}): Promise<Dataset> {
  return openDataset(dataConfig({ dir, ...changes }), { cacheDir, reporter: silent, ...o });
}

async function pixels(set: ImageSet): Promise<unknown[]> {
  const pictures = await Promise.all(set.names.map((_, i) => set.read(i)));
  return pictures.map(({ width, height, data }) => [width, height, ...data]);
}

function everyName({ train, val }: Dataset): string[] {
  return [...train.names, ...val.names].sort();
}

describe('several folders', () => {
  test('are one source, in which a class of the same name is one class', async () => {
    const other = await temporaryFolder();
    await writePicture(dir, 'cat/a.png', { level: 90, width: 6, height: 4 });
    await writePicture(dir, 'dog/b.png', { level: 90, width: 4, height: 4 });
    await writePicture(other, 'ant/a.png', { level: 90, width: 4, height: 4 });
    await writePicture(other, 'dog/a.png', { level: 90, width: 4, height: 8 });
    const joined = joinSources([await listImages(dir), await listImages(other)]);
    expect(joined.classes).toEqual(['ant', 'cat', 'dog']);
    expect(joined.names).toEqual(['cat/a.png', 'dog/b.png', 'ant/a.png', 'dog/a.png']);
    expect([...joined.labels]).toEqual([1, 2, 0, 2]);
    expect(joined.origin).toEqual({ where: '--data', value: `${dir}, ${other}` });
    expect(await joined.read(3, 4)).toMatchObject({ width: 4, height: 8 });
    expect(await joined.read(0, 4)).toMatchObject({ width: 6, height: 4 });
    const stamps: string[] = [];
    for await (const stamp of joined.stamps()) stamps.push(stamp);
    expect(stamps).toHaveLength(4);
    await fs.rm(other, { recursive: true });
  });
});

describe('listing', () => {
  test('pictures in subfolders, by name; neither hidden files nor others', async () => {
    for (const name of ['b/2.png', 'b/1.png', 'a/deep/1.PNG', 'loose.png', '.hidden.png', '.git/x.png']) {
      await writePicture(dir, name, { level: 9 });
    }
    await fs.writeFile(path.join(dir, 'notes.txt'), 'hello');
    const source = await listImages(dir);
    expect(source.names).toEqual(['a/deep/1.PNG', 'b/1.png', 'b/2.png', 'loose.png']);
    expect(source.classes).toEqual(['.', 'a', 'b']);
    expect([...source.labels]).toEqual([1, 2, 2, 0]);
  });

  test('links are followed, into a class once for each file, but not in circles', async () => {
    await writePicture(dir, 'a/1.png', { level: 9 });
    await fs.symlink(path.join(dir, 'a', '1.png'), path.join(dir, 'a', 'again.png'));
    await fs.symlink(path.join(dir, 'a'), path.join(dir, 'b'));
    await fs.symlink(dir, path.join(dir, 'a', 'circle'));
    expect((await listImages(dir)).names).toEqual(['a/1.png', 'b/1.png']);
  });

  test('says what is wrong with a folder', async () => {
    const missing = path.join(dir, 'none');
    await expect(listImages(missing)).rejects.toThrow(UserError);
    await expect(listImages(missing)).rejects.toThrow(
      `Expected a folder of images for --data but received ${missing}, which does not exist. Give a folder that holds JPEG,`,
    );
    await expect(listImages(path.join(dir, 'caf\uFFFD'))).rejects.toThrow(
      /which does not exist by a name in UTF-8: name the folder above it, which is read whole, or rename it\./,
    );
    await expect(listImages(dir, 'DATASET')).rejects.toThrow(
      `for DATASET but received ${dir}, which holds no image file.`,
    );
    const file = path.join(dir, 'file');
    await fs.writeFile(file, '');
    await expect(listImages(file)).rejects.toThrow(`${file}, which is a file of no known kind.`);
  });
});

describe('the split', () => {
  const names = Array.from({ length: 2000 }, (_, i) => `class/${i}.jpg`);

  test('takes the share asked for and loses no name', () => {
    const { train, val } = splitNames(names, 0.1);
    expect(val.length / 2000).toBeCloseTo(0.1, 1);
    expect([...train, ...val].sort((a, b) => a - b)).toEqual(names.map((_, i) => i));
    expect(val.every((i) => splitOf(names[i]!, 0.1) === 'val')).toBe(true);
  });

  test('added files move no other', () => {
    const few = names.filter((_, i) => i % 3 === 0);
    const chosen = (all: string[]) => splitNames(all, 0.2).val.map((i) => all[i]!);
    const now = new Set(chosen(names));
    expect(chosen(few)).toEqual(few.filter((name) => now.has(name)));
  });

  test('is the same on every machine', () => {
    expect(splitNames(names.slice(0, 40), 0.1).val).toEqual(splitNames(names, 0.1).val.filter((i) => i < 40));
    expect(splitNames(names.slice(0, 40), 0.1).val).toEqual([13, 19, 21, 26, 28]);
  });

  test('leaves neither side empty', () => {
    for (let i = 0; i < 20; i++) {
      for (const fraction of [0.001, 0.999]) {
        const { train, val } = splitNames([`${i}.png`, `other ${i}.png`], fraction);
        expect([train.length, val.length]).toEqual([1, 1]);
      }
    }
    expect(splitNames(['only.png'], 0.1)).toEqual({ train: [0], val: [0] });
  });
});

describe('openDataset', () => {
  async function tenPictures(): Promise<void> {
    for (let i = 0; i < 10; i++) {
      await writePicture(dir, `${i % 2 ? 'odd' : 'even'}/${i}.png`, { level: 20 * i, width: 8 + i });
    }
  }

  test('holds each readable picture once, with its class', async () => {
    await tenPictures();
    const data = await open();
    expect(data.classes).toEqual(['even', 'odd']);
    expect(everyName(data)).toEqual((await listImages(dir)).names);
    for (const set of [data.train, data.val]) {
      expect(set.count).toBeGreaterThan(0);
      for (const [i, name] of set.names.entries()) {
        const number = Number(name.slice(-5, -4));
        const { width, height, data: bytes } = await set.read(i);
        expect([width, height, bytes.length]).toEqual([Math.min(8 + number, 16), 8, width * height * 3]);
        expect(bytes[3]).toBe(20 * number);
        expect(data.classes[set.labels[i]!]).toBe(name.split('/')[0]);
      }
    }
  });

  test('from disk the same as from memory', async () => {
    await tenPictures();
    const memory = await open();
    const disk = await open({}, { memoryBytes: 0 });
    expect(disk.train.names).toEqual(memory.train.names);
    expect(await pixels(disk.train)).toEqual(await pixels(memory.train));
    expect(await pixels(disk.val)).toEqual(await pixels(memory.val));
    expect(disk.train.read(0)).toBeInstanceOf(Promise);
    expect(memory.train.read(0)).not.toBeInstanceOf(Promise);
  });

  test('decodes once, and anew when a picture, the list or the size has changed; what was before goes', async () => {
    await tenPictures();
    await open();
    const folders = () => fs.readdir(cacheDir);
    await open();
    const [before] = await folders();
    await fs.mkdir(path.join(cacheDir, 'else'));
    await open();
    expect(await folders()).toEqual(['else', before]);
    await writePicture(dir, 'odd/1.png', { level: 77 });
    const changed = await open();
    expect(await folders()).toEqual(['else', expect.not.stringContaining(before!)]);
    const all = [...(await pixels(changed.train)), ...(await pixels(changed.val))] as number[][];
    expect(all.filter((picture) => picture[5] === 77)).toHaveLength(1);
    await writePicture(dir, 'odd/new.png', { level: 78 });
    expect(everyName(await open())).toContain('odd/new.png');
    await open({ size: 4 });
    expect(await folders()).toHaveLength(2);
  });

  test('skips and names what cannot be read', async () => {
    await tenPictures();
    await fs.writeFile(path.join(dir, 'even/text.jpg'), 'no picture');
    await fs.writeFile(path.join(dir, 'even/empty.png'), '');
    const whole = await fs.readFile(path.join(dir, 'odd/9.png'));
    await fs.writeFile(path.join(dir, 'odd/cut.png'), whole.subarray(0, whole.length - 30));
    await fs.symlink(path.join(dir, 'nowhere'), path.join(dir, 'odd/link.png'));
    for (let round = 0; round < 2; round++) {
      const data = await open();
      expect(data.train.count + data.val.count).toBe(10);
      expect(data.skipped.map(({ name }) => name)).toEqual([
        'even/empty.png',
        'even/text.jpg',
        'odd/cut.png',
        'odd/link.png',
      ]);
      expect(data.skipped[1]!.reason).toBe('no picture that can be read');
      expect(data.skipped[3]!.reason).toBe('no such file');
      expect(everyName(data)).not.toContain('odd/cut.png');
    }
    expect(describeSkipped([{ name: 'a.jpg', reason: 'no such file' }], 3)).toBe(
      '1 of 3 images was skipped: a.jpg (no such file)',
    );
  });

  test('names folders that cannot be read, which count as no image; the whole one is refused', async () => {
    await tenPictures();
    await fs.mkdir(path.join(dir, 'private'));
    const denied = (folder: string) => {
      const { readdir } = fs;
      const error = Object.assign(new Error('EACCES'), { code: 'EACCES' });
      jest
        .spyOn(fs, 'readdir')
        .mockImplementation(((at: string, o: object) =>
          at === folder ? Promise.reject(error) : readdir(at, o)) as typeof fs.readdir);
    };
    denied(path.join(dir, 'private'));
    const warnings: string[] = [];
    const data = await open({}, { reporter: { ...silent, warn: (line) => void warnings.push(line) } });
    expect(data.train.count + data.val.count).toBe(10);
    expect(data.classes).toEqual(['even', 'odd']);
    expect(data.skipped).toEqual([]);
    expect(warnings).toEqual([`What lies in ${dir}/private/ is left out: no permission to read it.`]);
    jest.restoreAllMocks();
    denied(dir);
    await expect(open()).rejects.toThrow(
      `Expected a folder of images for --data but received ${dir}, which cannot be read (no permission to read it).`,
    );
    jest.restoreAllMocks();
  });

  test('refuses a folder of which nothing can be read', async () => {
    await fs.writeFile(path.join(dir, 'text.jpg'), 'no picture');
    await expect(open()).rejects.toThrow(UserError);
    await expect(open()).rejects.toThrow(
      `Expected a folder with readable images for --data but received ${dir}, where none of 1 can be read (text.jpg: no picture that can be read).`,
    );
  });

  test('refused or stopped, it leaves nothing behind', async () => {
    const run = path.join(cacheDir, 'run');
    const inRun = { cacheDir: path.join(run, '.cache') };
    await fs.writeFile(path.join(dir, 'text.jpg'), 'no picture');
    await expect(open({}, inRun)).rejects.toThrow(UserError);
    await tenPictures();
    for (const stopAt of [3, 14]) {
      // Among the 11 stamps, and in the midst of decoding.
      let looks = 0;
      const throwIfAborted = (): void => {
        if (++looks === stopAt) throw new Error('stopped');
      };
      await expect(open({}, { ...inRun, signal: { throwIfAborted } as AbortSignal })).rejects.toThrow(
        'stopped',
      );
      await expect(fs.stat(run)).rejects.toThrow('ENOENT');
    }
  });

  test('validates on val_dir, whose classes are counted in', async () => {
    await tenPictures();
    const other = await temporaryFolder();
    await writePicture(other, 'odd/a.png', { level: 1 });
    await writePicture(other, 'middle/b.png', { level: 2 });
    const data = await open({ val_dir: other });
    expect(data.classes).toEqual(['even', 'middle', 'odd']);
    expect(data.train.count).toBe(10);
    expect(await fs.readdir(cacheDir)).toHaveLength(2);
    expect(data.val.names).toEqual(['middle/b.png', 'odd/a.png']);
    expect([...data.val.labels]).toEqual([1, 2]);
    expect(
      data.train.labels.every((label, i) => data.classes[label] === data.train.names[i]!.split('/')[0]),
    ).toBe(true);
    const listed = await imageSplits(dataConfig({ dir, val_dir: other }));
    expect(listed.classes).toEqual(data.classes);
    expect([...listed.val.source.labels]).toEqual([1, 2]);
    await expect(open({ val_dir: path.join(other, 'none') })).rejects.toThrow(
      'for data.val_dir but received',
    );
    await fs.rm(other, { recursive: true });
  });

  test('lists the splits that it opens', async () => {
    await tenPictures();
    const data = await open();
    const listed = await imageSplits(dataConfig({ dir }));
    for (const split of ['train', 'val'] as const) {
      const { source, indices } = listed[split];
      expect(indices.map((i) => source.names[i])).toEqual(data[split].names);
    }
  });
});
