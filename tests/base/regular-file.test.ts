import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { expected } from '../../src/base/errors.js';
import {
  asThing,
  expectRegular,
  firstBytes,
  openRegular,
  readRegular,
  readRegularText,
  readWhole,
} from '../../src/base/regular-file.js';

let dir: string;
beforeAll(async () => {
  dir = await fs.mkdtemp(path.join(os.tmpdir(), 'regular-'));
});
afterAll(() => fs.rm(dir, { recursive: true }));

test('a regular file is read up to the bytes that it may have', async () => {
  const file = path.join(dir, 'a');
  await fs.writeFile(file, 'twelve bytes');
  expect((await readRegular(file, 12)).toString()).toBe('twelve bytes');
  expect(readRegularText(file, 12)).toBe('twelve bytes');
  expect(firstBytes(file, 6).toString()).toBe('twelve');
  await expect(readRegular(file, 11)).rejects.toThrow('a file of more than 11 bytes');
  expect(() => readRegularText(file, 11)).toThrow('a file of more than 11 bytes');
  await fs.truncate(file, 2 ** 40);
  await expect(readRegular(file, 2 ** 28)).rejects.toThrow('a file of more than 256 MB');
});

const onUnix = process.platform === 'win32' ? test.skip : test;

onUnix('nothing else is read, nor waited for, by its name or by a link', async () => {
  execFileSync('mkfifo', [path.join(dir, 'pipe')]);
  await fs.symlink('pipe', path.join(dir, 'to-pipe'));
  await fs.symlink('/dev/zero', path.join(dir, 'zero'));
  const server = net.createServer();
  await new Promise<void>((done) => server.listen(path.join(dir, 'socket'), done));
  try {
    for (const [name, kind] of Object.entries({
      ...{ pipe: 'a pipe', 'to-pipe': 'a pipe', zero: 'a device', socket: 'a socket', '.': 'a folder' },
    })) {
      const file = path.join(dir, name);
      await expect(readRegular(file, 100)).rejects.toThrow(kind);
      expect(() => firstBytes(file, 10)).toThrow(kind);
      expect(() => readRegularText(file, 10)).toThrow(kind);
    }
  } finally {
    await new Promise((done) => server.close(done));
  }
});

onUnix('a sentence says why a file is not read', async () => {
  const refuse = (received: string) => expected('a file', 'it', received);
  await fs.symlink('loop', path.join(dir, 'loop'));
  for (const [name, received] of Object.entries({
    pipe: 'which is a pipe',
    '.': 'which is a folder',
    zero: 'which is a device',
    none: 'which does not exist',
    'a/none': 'which cannot be read (ENOTDIR)',
    loop: 'which cannot be read (ELOOP)',
    'x\0y': 'which cannot be read (ERR_INVALID_ARG_VALUE)',
  })) {
    const file = path.resolve(dir, name);
    const sentence = `Expected a file for it but received ${received}.`;
    await expect(openRegular(file, refuse)).rejects.toThrow(sentence);
    expect(() => expectRegular(file, refuse)).toThrow(sentence);
    expect(() => readWhole(file, 100, refuse)).toThrow(sentence);
  }
  const file = path.join(dir, 'b');
  await fs.writeFile(file, 'words');
  expect(readWhole(file, 5, refuse).toString()).toBe('words');
  expect(() => readWhole(file, 4, refuse)).toThrow('received which is a file of more than 4 bytes.');
  expectRegular(file, refuse);
  const handle = await openRegular(file, refuse);
  expect(await handle.readFile('utf8')).toBe('words');
  await handle.close();
  expect(asThing('which is a pipe')).toBe('a pipe');
  expect(asThing('which does not exist')).toBe('one which does not exist');
});
