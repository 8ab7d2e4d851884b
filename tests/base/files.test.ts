import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeFileAtomic, writeFolderAtomic, writeProtected } from '../../src/base/files.js';

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-files-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

test('a file is replaced, its parents are made, nothing else stays', async () => {
  const file = path.join(folder, 'a/b/c.txt');
  await writeFileAtomic(file, 'one');
  await writeFileAtomic(file, new Uint8Array([50]));
  expect(fs.readFileSync(file, 'utf8')).toBe('2');
  expect(fs.readdirSync(path.dirname(file))).toEqual(['c.txt']);
});

// Neither root nor Windows is kept from writing.
(process.getuid?.() ? test : test.skip)(
  'a folder that may not be written to is found above a missing one',
  () => {
    expect(writeProtected(path.join(folder, 'a/b'))).toBeUndefined();
    fs.chmodSync(folder, 0o555);
    expect(writeProtected(path.join(folder, 'a/b'))).toBe(folder);
  },
);

test('a folder is replaced as a whole', async () => {
  const target = path.join(folder, 'step');
  await writeFolderAtomic(target, async (temporary) => {
    expect(path.dirname(temporary)).toBe(folder);
    expect(path.basename(temporary)).toMatch(/^\./);
    fs.mkdirSync(path.join(temporary, 'inner'));
    fs.writeFileSync(path.join(temporary, 'inner/old'), '');
  });
  await writeFolderAtomic(target, async (temporary) => fs.writeFileSync(path.join(temporary, 'new'), ''));
  expect(fs.readdirSync(target)).toEqual(['new']);
  expect(fs.readdirSync(folder)).toEqual(['step']);
});

test('the working directory is not replaced, nor what holds it', async () => {
  const home = process.cwd();
  fs.mkdirSync(path.join(folder, 'a/b'), { recursive: true });
  fs.symlinkSync(path.join(folder, 'a'), path.join(folder, 'link'), 'junction');
  const write = async () => {};
  const refused = /^Expected a folder that can be replaced for .* but received the working directory\./;
  process.chdir(path.join(folder, 'a/b'));
  try {
    for (const place of ['.', '..', path.join(folder, 'a/b'), path.join(folder, 'link')])
      await expect(writeFolderAtomic(place, write)).rejects.toThrow(refused);
    await writeFolderAtomic('..c', write);
    await writeFolderAtomic('../d/.', write);
  } finally {
    process.chdir(home);
  }
  expect(fs.readdirSync(path.join(folder, 'a'))).toEqual(['b', 'd']);
});

test('a failed write leaves the old folder and no leftovers', async () => {
  const target = path.join(folder, 'step');
  await writeFolderAtomic(target, async (temporary) => fs.writeFileSync(path.join(temporary, 'old'), ''));
  const failing = writeFolderAtomic(target, async (temporary) => {
    fs.writeFileSync(path.join(temporary, 'new'), '');
    throw new Error('disk full');
  });
  await expect(failing).rejects.toThrow('disk full');
  expect(fs.readdirSync(target)).toEqual(['old']);
  expect(fs.readdirSync(folder)).toEqual(['step']);
});

test('a failed write leaves no folder that it made', async () => {
  const fail = async () => {
    throw new Error('disk full');
  };
  fs.mkdirSync(path.join(folder, 'there'));
  await expect(writeFolderAtomic(path.join(folder, 'there/a/b/step'), fail)).rejects.toThrow('disk full');
  expect(fs.readdirSync(folder)).toEqual(['there']);
  expect(fs.readdirSync(path.join(folder, 'there'))).toEqual([]);
});

test('the next write removes what a crash left behind, and nothing that is being written', async () => {
  const gone = spawnSync(process.execPath, ['-e', '']).pid;
  const leftover = path.join(folder, `.step.${gone}-0.partial`);
  const another = path.join(folder, `.step.${process.ppid}-0.partial`);
  fs.mkdirSync(leftover);
  fs.mkdirSync(another);
  await writeFolderAtomic(path.join(folder, 'slow'), async (temporary) => {
    await writeFileAtomic(path.join(folder, 'file'), '');
    fs.writeFileSync(path.join(temporary, 'kept'), '');
  });
  expect(fs.existsSync(leftover)).toBe(false);
  expect(fs.existsSync(another)).toBe(true);
  expect(fs.readdirSync(path.join(folder, 'slow'))).toEqual(['kept']);
});
