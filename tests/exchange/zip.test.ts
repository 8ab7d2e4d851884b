import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { readZip, writeZip } from '../../src/exchange/zip.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const directory = 0x02014b50;

async function archive(names: readonly string[], change: (bytes: Buffer) => unknown = () => {}) {
  const file = path.join(await freshFolder(), 'a.zip');
  const handle = await fs.promises.open(file, 'w');
  await writeZip(
    handle,
    (async function* () {
      for (const name of names) yield [name, Buffer.from(`of ${name}`)] as const;
    })(),
  );
  await handle.close();
  const bytes = fs.readFileSync(file);
  const changed = change(bytes);
  fs.writeFileSync(file, Buffer.isBuffer(changed) ? changed : bytes);
  return file;
}

/** Where the entry of a name begins in the directory. */
function entryOf(bytes: Buffer, name: string): number {
  const at = bytes.lastIndexOf(name) - 46;
  expect(bytes.readUInt32LE(at)).toBe(directory);
  return at;
}

async function read(file: string, wanted?: readonly string[]) {
  const handle = await fs.promises.open(file);
  try {
    const zip = await readZip(handle, (await handle.stat()).size, 'x.pt');
    const places = await zip.places(wanted ?? zip.names);
    const bytes = fs.readFileSync(file);
    return Array.from(places, ([name, { begin, size }]) => [
      name,
      bytes.toString('utf8', begin, begin + size),
    ]);
  } finally {
    await handle.close();
  }
}

test('what was written comes back, from multiples of 64', async () => {
  const names = ['archive/data.pkl', 'archive/data/0', 'archive/é/1'];
  expect(await read(await archive(names))).toEqual(names.map((name) => [name, `of ${name}`]));
  expect(await read(await archive(names), ['archive/data/0'])).toEqual([
    ['archive/data/0', 'of archive/data/0'],
  ]);
});

const wrongs: [what: string, names: readonly string[], change: (bytes: Buffer) => unknown, RegExp][] = [
  ['a name twice', ['a', 'a'], () => {}, /damaged one: a is in it twice\./],
  ['a way out', ['../../x'], () => {}, /damaged one: invalid relative path: \.\.\/\.\.\/x\./],
  ['an absolute name', ['/etc/x'], () => {}, /damaged one: absolute path/],
  ['a compressed entry', ['aa'], (b) => b.writeUInt16LE(8, entryOf(b, 'aa') + 10), /aa is compressed\./],
  ['an unknown method', ['aa'], (b) => b.writeUInt16LE(93, entryOf(b, 'aa') + 10), /aa is compressed\./],
  ['two sizes', ['aa'], (b) => b.writeUInt32LE(1 << 30, entryOf(b, 'aa') + 24), /size mismatch/],
  [
    'an entry beyond the end',
    ['aa'],
    (b) => {
      const at = entryOf(b, 'aa');
      b.writeUInt32LE(1 << 30, at + 20);
      b.writeUInt32LE(1 << 30, at + 24);
    },
    /overflows file bounds/,
  ],
  [
    'an entry beyond the end that begins there',
    ['aa'],
    (b) => b.writeUInt32LE(1 << 30, entryOf(b, 'aa') + 42),
    /it ends too early\./,
  ],
  [
    'entries in each other',
    ['aa', 'bb'],
    (b) => b.writeUInt32LE(0, entryOf(b, 'bb') + 42),
    /lies in another part\./,
  ],
  [
    'a size that is missing',
    ['aa'],
    (b) => b.writeUInt32LE(0xffffffff, entryOf(b, 'aa') + 24),
    /does not include uncompressed size|mismatch/,
  ],
  ['half a file', ['aa', 'bb'], (b) => b.subarray(0, b.length / 2), /record signature not found/],
  ['words behind it', ['aa'], (b) => Buffer.concat([b, Buffer.from('more')]), /Invalid comment length/],
  [
    'a directory of 64 bits that is nowhere',
    ['aa'],
    (b) => {
      const end = b.subarray(b.length - 22);
      const locator = Buffer.alloc(20);
      locator.writeUInt32LE(0x07064b50);
      locator.fill(0xff, 8, 16);
      return Buffer.concat([b.subarray(0, b.length - 22), locator, end]);
    },
    /it ends too early\./,
  ],
  [
    'a directory of 64 bits with more entries than atoms',
    ['aa'],
    (b) => {
      const begin = b.length - 22;
      const record = Buffer.alloc(56);
      record.writeUInt32LE(0x06064b50);
      record.fill(0x7f, 24, 40);
      const locator = Buffer.alloc(20);
      locator.writeUInt32LE(0x07064b50);
      locator.writeBigUInt64LE(BigInt(begin), 8);
      return Buffer.concat([b.subarray(0, begin), record, locator, b.subarray(begin)]);
    },
    /it has 9\d+ parts\./,
  ],
];

test.each(wrongs)('%s is refused in one sentence', async (_, names, change, sentence) => {
  const error = await read(await archive(names, change)).catch((error) => error);
  expect(error).toBeInstanceOf(UserError);
  expect(error.message).toMatch(sentence);
});

/** As many names of the one entry, each of `length` characters. */
const listed = (count: number, length: number) => (b: Buffer) => {
  const begin = entryOf(b, 'aa');
  const entries = Array.from({ length: count }, (_, i) => {
    const entry = Buffer.from(b.subarray(begin, begin + 46));
    entry.writeUInt16LE(length, 28);
    return Buffer.concat([entry, Buffer.from(`${i}`.padEnd(length, 'x'))]);
  });
  const end = Buffer.from(b.subarray(b.length - 22));
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(count * (46 + length), 12);
  return Buffer.concat([b.subarray(0, begin), ...entries, end]);
};

test('a directory of 16 MB ends within a second', async () => {
  const [most, more] = [
    await archive(['aa'], listed(20_000, 800)),
    await archive(['aa'], listed(60_000, 200)),
  ];
  const began = process.cpuUsage();
  await expect(read(more)).rejects.toThrow('it has 60000 parts');
  await expect(read(most, ['1'.padEnd(800, 'x')])).resolves.toEqual([[expect.anything(), 'of aa']]);
  expect(process.cpuUsage(began).user).toBeLessThan(10e6);
});
