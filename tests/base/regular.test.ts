import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { expected } from '../../src/base/errors.js';
import { openRegular, readWhole } from '../../src/base/regular.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

let folder: string;
const place = (name: string) => path.join(folder, name);
const refuse = (received: string) => expected('a file', 'it', received);

beforeAll(async () => {
  folder = await freshFolder();
  execFileSync('mkfifo', [place('pipe')]);
  fs.mkdirSync(place('folder'));
  fs.symlinkSync(place('loop'), place('loop'));
  fs.symlinkSync('/dev/zero', place('link-to-zeros'));
  fs.writeFileSync(place('file'), 'words');
});

test.each([
  ['pipe', 'which is a pipe'],
  ['folder', 'which is a folder'],
  ['link-to-zeros', 'which is a device'],
  ['/dev/zero', 'which is a device'],
  ['none', 'which does not exist'],
  ['file/none', 'which cannot be read (ENOTDIR)'],
  ['loop', 'which cannot be read (ELOOP)'],
  ['x\0y', 'which cannot be read (ERR_INVALID_ARG_VALUE)'],
])('%j is not opened', async (name, received) => {
  const file = path.resolve(folder, name);
  const sentence = `Expected a file for it but received ${received}.`;
  await expect(openRegular(file, refuse)).rejects.toThrow(sentence);
  expect(() => readWhole(file, 100, refuse)).toThrow(sentence);
});

test('a socket is not opened', async () => {
  const server = net.createServer().listen(place('socket'));
  await new Promise((resolve) => server.once('listening', resolve));
  await expect(openRegular(place('socket'), refuse)).rejects.toThrow('received which is a socket');
  await new Promise((resolve) => server.close(resolve));
});

test('a file is read whole, or not at all where it is too long', async () => {
  expect(readWhole(place('file'), 5, refuse).toString()).toBe('words');
  expect(() => readWhole(place('file'), 4, refuse)).toThrow('received which has 5 bytes, more than 4.');
  const handle = await openRegular(place('file'), refuse);
  expect(await handle.readFile('utf8')).toBe('words');
  await handle.close();
});
