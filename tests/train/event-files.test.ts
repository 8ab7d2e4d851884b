import fs from 'node:fs/promises';
import path from 'node:path';
import { jest } from '@jest/globals';
import { crc32c, type EventFile, openEventFile } from '../../src/train/event-files.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);
afterEach(() => jest.restoreAllMocks());

const clock = (seconds: number) => jest.spyOn(Date, 'now').mockReturnValue(1000 * seconds);
const began = 1764496690.5;
const name = (seconds: number) => `events.out.tfevents.${seconds}.vqgen`;

const opened = async (folder: string, work: (file: EventFile) => Promise<void> = async () => {}) => {
  const file = await openEventFile(folder);
  await work(file);
  await file.close();
};

test('the checksum is that of RFC 3720', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
});

test('bytes are those of TensorBoard’s own writer', async () => {
  const folder = path.join(await freshFolder(), 'tensorboard', 'val');
  clock(began);
  const png = Buffer.from('89504e470d0a1a0a0000000d4948445200000354000000cc', 'hex');
  await opened(folder, (file) =>
    file.append({ step: 300, scalars: { loss: 0.5, generator: 0 }, pictures: { grid: png }, time: began }),
  );
  // Each record: length, its sum; double field 1, then the fields; their sum.
  const time = '090000a04c054bda41';
  expect((await fs.readFile(path.join(folder, name(1764496690)))).toString('hex')).toBe(
    [
      ...['1800000000000000a37f4b22', time, '1a0d', hex('brain.Event:2'), 'eabe0505'],
      ...['0d000000000000003c37b834', time, '3a020801', '00fdbc8e'],
      ...['59000000000000008a1d65b6', time, '10ac02', '2a4b'],
      ...['0a0b', '0a04', hex('loss'), '150000003f'],
      ...['0a10', '0a09', hex('generator'), '1500000000'],
      ...['0a2a', '0a04', hex('grid'), '2222', '08cc01', '10d406', '1803', '2218', png.toString('hex')],
      '0037a730',
    ].join(''),
  );
});

const hex = (text: string): string => Buffer.from(text).toString('hex');

test('a later file has a later name, also within a second and where the clock went back', async () => {
  const folder = await freshFolder();
  for (const seconds of [began, began, began - 9000]) {
    clock(seconds);
    await opened(folder);
  }
  expect((await fs.readdir(folder)).sort()).toEqual([1764496690, 1764496691, 1764496692].map(name));
});

test('those before are emptied, empty ones removed; files of others stay, and no link is followed', async () => {
  const folder = await freshFolder();
  const others = ['events.out.tfevents.1764496690.host.1.0', 'notes.txt'];
  const outside = path.join(await freshFolder(), 'mine');
  for (const file of [outside, ...others.map((other) => path.join(folder, other))])
    await fs.writeFile(file, 'mine');
  await fs.writeFile(path.join(folder, name(1000000001)), '');
  await fs.writeFile(path.join(folder, name(1000000002)), 'half a rec');
  clock(began);
  await opened(folder, (file) => file.emptyOthers());
  expect((await fs.readdir(folder)).sort()).toEqual([name(1000000002), name(1764496690), ...others].sort());
  expect((await fs.stat(path.join(folder, name(1000000002)))).size).toBe(0);

  await fs.symlink(outside, path.join(folder, name(1764496691)));
  await expect(opened(folder, (file) => file.emptyOthers())).rejects.toThrow('ELOOP');
  for (const file of [outside, ...others.map((other) => path.join(folder, other))])
    expect(await fs.readFile(file, 'utf8')).toBe('mine');
});
