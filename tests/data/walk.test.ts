/** What a folder's listing takes, what it leaves out, and what it says of that. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { type Reporter, silent } from '../../src/base/progress.js';
import { runPaths, writeRunConfig } from '../../src/checkpoint/run.js';
import { loadConfig } from '../../src/config/load.js';
import { imageSplits } from '../../src/data/dataset.js';
import { runFolders } from '../../src/data/own-folders.js';
import { type ImageSource, listImages } from '../../src/data/source.js';
import { dataConfig, temporaryFolder, writePicture } from './pictures-folder.js';

let dir: string;
beforeEach(async () => {
  dir = await temporaryFolder();
});
afterEach(() => fs.rm(dir, { recursive: true }));

async function picture(name: string, level = 9): Promise<void> {
  await writePicture(dir, name, { level });
}

async function write(name: string, content: string | Buffer): Promise<void> {
  await fs.mkdir(path.dirname(path.join(dir, name)), { recursive: true });
  await fs.writeFile(path.join(dir, name), content);
}

async function listed(at = dir): Promise<{ source: ImageSource; said: string[] }> {
  const { reporter, said } = listening();
  return { source: await listImages(at, '--data', { reporter }), said };
}

function listening(): { reporter: Reporter; said: string[] } {
  const said: string[] = [];
  const warn = (line: string) => void said.push(`Warning: ${line}`);
  return { said, reporter: { ...silent, note: (line) => void said.push(line), warn } };
}

/** A run as far as a listing sees it. */
async function makeRun(run: string): Promise<void> {
  await fs.mkdir(path.join(dir, run), { recursive: true });
  await writeRunConfig(path.join(dir, run), loadConfig({ config: 'tiny' }));
  for (const name of ['stage1/grids/step-00000500.png', 'prior/grids/x.png', 'tokens/train-check.png']) {
    await picture(path.join(run, name));
  }
  await picture(path.join(run, 'samples/n16-seed0/0001.png'));
}

const names = async (at = dir) => (await listed(at)).source.names;

describe("vqgen's own folders", () => {
  test('the folders of a run are those that vqgen writes', () => {
    const { config, pictures: _, ...folders } = runPaths('');
    expect(config).toBe('config.json');
    expect(Object.values(folders)).toEqual(runFolders);
  });

  test('a run is left out wherever it lies, also behind a link; it is said', async () => {
    await picture('cat/1.png');
    await makeRun('checkpoints/default');
    await makeRun('cat/mine');
    await fs.symlink(path.join(dir, 'cat/mine'), path.join(dir, 'linked'));
    const { source, said } = await listed();
    expect(source.names).toEqual(['cat/1.png']);
    expect(source.classes).toEqual(['cat']);
    expect(said).toEqual([
      `Left out of ${dir}: cat/mine/ (a run of vqgen), checkpoints/default/ (a run of vqgen), linked/ (a run of vqgen).`,
    ]);
  });

  test('where the data folder is a run itself, the folders of the run are left out, its pictures are not', async () => {
    await makeRun('.');
    await picture('cat/1.png');
    await picture('loose.png');
    const { source, said } = await listed();
    expect(source.names).toEqual(['cat/1.png', 'loose.png']);
    expect(said.join()).toContain('samples/ (part of a run of vqgen), stage1/ (part of a run of vqgen)');
  });

  test('an ONNX export is left out, whatever its name', async () => {
    await picture('cat/1.png');
    await picture('exported/samples.bmp');
    await write('exported/decoder.onnx', Buffer.from('\x08\x0a\x12\x05vqgen\x1a\x050.1.0', 'latin1'));
    const { source, said } = await listed();
    expect(source.names).toEqual(['cat/1.png']);
    expect(said).toEqual([`Left out of ${dir}: exported/ (an export of vqgen).`]);
  });

  test('so is what was drawn from a run that comes with vqgen, unless it is named itself', async () => {
    await picture('cat/1.png');
    await picture('samples/some-64/seed-0/1.png');
    await write('samples/some-64/vqgen.json', '{"vqgen":"0.1.0","run":"some-64"}');
    const { source, said } = await listed();
    expect(source.names).toEqual(['cat/1.png']);
    expect(said).toEqual([`Left out of ${dir}: samples/some-64/ (pictures of vqgen).`]);
    expect(await names(path.join(dir, 'samples/some-64'))).toEqual(['seed-0/1.png']);
  });

  test('folders that only look alike stay; so do the samples of a run that are named themselves', async () => {
    await picture('samples/1.png');
    await picture('stage1/grids/1.png');
    await picture('model/1.png');
    await write('model/config.json', '{"architectures": ["vqgen"]}');
    await picture('damaged/1.png');
    await write('damaged/config.json', '{');
    await picture('other/1.png');
    await write('other/decoder.onnx', Buffer.from('\x08\x0a\x12\x07pytorch', 'latin1'));
    const own = ['damaged/1.png', 'model/1.png', 'other/1.png', 'samples/1.png', 'stage1/grids/1.png'];
    expect(await names()).toEqual(own);
    await makeRun('run');
    expect(await names(path.join(dir, 'run/samples'))).toEqual(['n16-seed0/0001.png']);
    expect(await names()).toEqual(own);
  });

  test('a folder of runs alone holds no image file, and it is said why', async () => {
    await makeRun('mine');
    await expect(listImages(dir)).rejects.toThrow(
      `${dir}, which holds no image file (left out: mine/ (a run of vqgen)).`,
    );
  });
});

test('images for validation are no images for training, though they lie among them', async () => {
  for (const name of ['train/cat/1.png', 'val/cat/2.png', 'val/dog/3.png']) await picture(name);
  const { reporter, said } = listening();
  const val_dir = path.join(dir, 'val');
  const { train, val } = await imageSplits(dataConfig({ dir, val_dir }), undefined, reporter);
  expect(train.source.names).toEqual(['train/cat/1.png']);
  expect(val.source.names).toEqual(['cat/2.png', 'dog/3.png']);
  expect(said).toEqual([`Left out of ${dir}: val/ (for validation, data.val_dir).`]);
  const same = await imageSplits(dataConfig({ dir: val_dir, val_dir }));
  expect(same.train.source.names).toEqual(same.val.source.names);
});

describe('what is no regular file', () => {
  const onUnix = process.platform === 'win32' ? test.skip : test;

  onUnix('pipes, sockets and devices are left out and named, whatever they are called', async () => {
    await picture('a/1.png');
    execFileSync('mkfifo', [path.join(dir, 'a', 'pipe.png'), path.join(dir, 'pipe')]);
    execFileSync('mkfifo', [path.join(dir, 'a', 'config.json')]);
    await fs.symlink('/dev/zero', path.join(dir, 'zero.jpg'));
    await fs.symlink('pipe', path.join(dir, 'linked.png'));
    await fs.symlink('nowhere', path.join(dir, 'lost'));
    const server = net.createServer();
    await new Promise<void>((done) => server.listen(path.join(dir, 's.png'), done));
    try {
      const { source, said } = await listed();
      expect(source.names).toEqual(['a/1.png']);
      expect(said).toEqual([
        `Left out of ${dir}: a/config.json (a pipe), a/pipe.png (a pipe), linked.png (a pipe), ` +
          'lost (a link that leads nowhere), pipe (a pipe), s.png (a socket), zero.jpg (a device).',
      ]);
      await expect(listImages(path.join(dir, 'pipe'))).rejects.toThrow('which is no folder.');
    } finally {
      await new Promise((done) => server.close(done));
    }
  });

  onUnix('links in circles end, also those that no folder is above of', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) await picture(`real/${name}/1.png`);
    for (const from of 'abcdefgh') {
      for (const to of 'abcdefgh') await fs.symlink(`../${to}`, path.join(dir, `real/${from}/to-${to}`));
    }
    const { source } = await listed();
    expect(source.names).toEqual([...'abcdefgh'].map((name) => `real/${name}/1.png`));
  });

  onUnix('of a web of classes each real file counts once, and that of folders elsewhere ends', async () => {
    const folders = Array.from({ length: 24 }, (_, i) => `c${i + 10}`);
    for (const name of folders) await picture(`data/${name}/1.png`);
    for (const name of folders) await picture(`ext/${name}/1.png`);
    for (const from of folders) {
      for (const to of folders) {
        await fs.symlink(`../${to}`, path.join(dir, 'data', from, `to-${to}`));
        await fs.symlink(`../${to}`, path.join(dir, 'ext', from, `to-${to}`));
      }
    }
    await fs.symlink('../ext/c10', path.join(dir, 'data', 'web'));
    await fs.symlink('1.png', path.join(dir, 'data', 'c10', '0.png'));
    const began = performance.now();
    const { source, said } = await listed(path.join(dir, 'data'));
    expect(performance.now() - began).toBeLessThan(20_000);
    const own = source.names.filter((name) => !name.startsWith('web/'));
    expect(own).toEqual(folders.map((name) => `${name}/1.png`));
    expect(source.names.length - own.length).toBe(24);
    expect(said[0]).toContain('c10/to-c11/ (a link to c11/, which is here already)');
  });
});

test('a folder that is linked into two classes is in both', async () => {
  await picture('a/deep/1.png');
  await fs.mkdir(path.join(dir, 'b'));
  await fs.symlink('../a/deep', path.join(dir, 'b', 'x'));
  await fs.symlink('../a/deep', path.join(dir, 'b', 'y'));
  expect(await names()).toEqual(['a/deep/1.png', 'b/x/1.png']);
});

describe('names that are not UTF-8', () => {
  const onLinux = process.platform === 'linux' ? test : test.skip;
  const bytes = (...parts: (string | number)[]): Buffer =>
    Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))));

  onLinux('are read by their bytes, counted and shown with the bytes escaped', async () => {
    await picture('a.png', 1);
    await picture('b/é.png', 4);
    const png = await fs.readFile(path.join(dir, 'a.png'));
    await fs.rename(path.join(dir, 'a.png'), bytes(dir, '/caf', 0xe9, '.png'));
    await fs.mkdir(bytes(dir, '/na', 0xef, 've\\'));
    await fs.writeFile(bytes(dir, '/na', 0xef, 've\\/1.png'), png);
    await fs.writeFile(bytes(dir, '/na', 0xef, 've\\/é.png'), png);
    await fs.writeFile(bytes(dir, '/', 0xff), 'text');
    const { source, said } = await listed();
    expect(source.names).toEqual(['b/é.png', 'caf\\xE9.png', 'na\\xEFve\\x5C/1.png', 'na\\xEFve\\x5C/é.png']);
    expect(source.classes).toEqual(['.', 'b', 'na\\xEFve\\x5C']);
    for (const [i, level] of [4, 1, 1, 1].entries()) expect((await source.read(i, 8)).data[3]).toBe(level);
    const stamps: string[] = [];
    for await (const stamp of source.stamps()) stamps.push(stamp);
    expect(stamps.every((stamp) => stamp.split('\0').length === 3)).toBe(true);
    expect(said).toEqual([`Left out of ${dir}: 1 file that is no picture (\\xFF).`]);
  });
});

describe('files whose names do not say what they are', () => {
  test('are taken by their first bytes; what is no picture is counted in one note', async () => {
    await picture('a/1.png');
    const png = await fs.readFile(path.join(dir, 'a/1.png'));
    for (const name of ['a/2.jpeg_large', 'a/hash', 'a/3.png~', 'a/3.bak', 'a/MVI.THM'])
      await write(name, png);
    await write('a/x.dat', Buffer.from('RIFF\0\0\0\0WEBPVP8 ', 'latin1'));
    await write('a/y.image', Buffer.from('\0\0\0\x1cftypavif', 'latin1'));
    await write('a/sound.dat', Buffer.from('RIFF\0\0\0\0WAVEfmt ', 'latin1'));
    await write('a/scan', Buffer.from('II*\0'));
    await write('a/raw.nef', Buffer.from('II*\0'));
    await write('a/empty', '');
    for (let i = 0; i < 3; i++) await write(`a/${i}.txt`, 'a cat');
    const { source, said } = await listed();
    expect(source.names.map((name) => name.slice(2))).toEqual([
      ...['1.png', '2.jpeg_large', 'hash', 'scan', 'x.dat', 'y.image'],
    ]);
    expect(said).toEqual([
      `Left out of ${dir}: 9 files that are no pictures (3 .txt, a/3.bak, a/3.png~, a/MVI.THM, a/empty, a/raw.nef, a/sound.dat).`,
      'Pictures by their first bytes: 2 without ending, a/2.jpeg_large, a/x.dat, a/y.image.',
    ]);
  });

  test('formats that cannot be read are tried, so that it is said', async () => {
    for (const name of ['a.ppm', 'b.heic', 'c.BMP']) await write(name, 'x');
    expect(await names()).toEqual(['a.ppm', 'b.heic', 'c.BMP']);
  });

  test('of many endings the most frequent are named', async () => {
    await picture('1.png');
    for (let i = 0; i < 12; i++) await write(`x.e${i}`, 'x');
    for (const name of ['a', 'b', 'c']) await write(`${name}.TXT`, 'x');
    const { said } = await listed();
    expect(said[0]).toMatch(/: 15 files that are no pictures \(3 \.txt, x\.e0, x\.e1, .*, 5 more\)\.$/);
  });

  test('hidden files and the litter of systems are passed over in silence', async () => {
    await picture('a/1.png');
    const litter = ['.DS_Store', 'Thumbs.db', 'desktop.ini', '__MACOSX/a/._1.png', 'a/@eaDir/1.png/SYNO.jpg'];
    for (const name of [...litter, '.cache/x.png', 'a/._1.png', '$RECYCLE.BIN/x.png', 'lost+found/x.png']) {
      await picture(name);
    }
    const { source, said } = await listed();
    expect(source.names).toEqual(['a/1.png']);
    expect(said).toEqual([]);
  });

  test('a folder without pictures says what it holds', async () => {
    await write('notes.txt', 'x');
    await expect(listImages(dir)).rejects.toThrow(
      `${dir}, which holds no image file (left out: 1 file that is no picture (notes.txt)).`,
    );
  });
});
