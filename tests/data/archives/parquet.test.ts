import fs from 'node:fs/promises';
import path from 'node:path';
import zlib, { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { listImages } from '../../../src/data/source.js';
import { temporaryFolder } from '../pictures-folder.js';
import {
  batchOf,
  type ParquetOptions,
  type Part,
  parquetOf,
  partsIn,
  refusal,
  writePictures,
} from './made.js';

let dir: string;
let parts: Part[];
const at = (name: string): string => path.join(dir, name);
const classes = ['dog', 'cat'];

beforeAll(async () => {
  dir = await temporaryFolder();
  parts = await partsIn(at('folder'), await writePictures(at('folder')));
});

afterAll(() => fs.rm(dir, { recursive: true }));

const label = ({ name }: Part): string => name.split('/')[0]!;

const hugging = (from: number, to: number, o?: ParquetOptions): Buffer =>
  parquetOf(
    parts.slice(from, to).map((part) => ({ ...part, label: label(part) })),
    classes,
    o,
  );

test('shards of Hugging Face are the pictures of the folder, whatever their compression', async () => {
  await fs.mkdir(at('hub/data'), { recursive: true });
  const gzip = { codec: 'GZIP' as const, compressors: { GZIP: (data: Uint8Array) => gzipSync(data) } };
  await fs.writeFile(at('hub/data/train-00000-of-00002.parquet'), hugging(0, 7));
  await fs.writeFile(at('hub/data/train-00001-of-00002.parquet'), hugging(7, 12, gzip));
  await fs.writeFile(at('hub/data/test-00000-of-00001.parquet'), hugging(0, 2));
  expect(await batchOf(at('hub'), at('cache'))).toBe(await batchOf(at('folder'), at('cache')));
  const { names } = await listImages(at('hub'));
  expect([names.length, names[9]]).toEqual([12, 'data-train-00001-of-00002-2']);
});

test('a column of bare bytes, with words for classes and no note of Hugging Face', async () => {
  const bytes = parquetWriteBuffer({
    columnData: [
      { name: 'class', data: parts.map(label), type: 'STRING' },
      { name: 'img', data: parts.map(({ bytes }) => new Uint8Array(bytes)), type: 'BYTE_ARRAY' },
    ],
  });
  await fs.writeFile(at('bare.parquet'), Buffer.from(bytes));
  expect(await batchOf(at('bare.parquet'), at('cache'))).toBe(await batchOf(at('folder'), at('cache')));
});

test('damaged and other files are refused by name, damaged row groups picture by picture', async () => {
  const whole = hugging(0, 12, { codec: 'UNCOMPRESSED' });
  const footer = Buffer.from(whole);
  footer.writeUInt32LE(2 ** 31, whole.length - 8);
  const words = parquetWriteBuffer({ columnData: [{ name: 'text', data: ['a', 'b'] }] });
  const lz4 = hugging(0, 2, { codec: 'LZ4', compressors: { LZ4: (data: Uint8Array) => data } });
  const cases: Record<string, Buffer> = {
    'cut.parquet': whole.subarray(0, whole.length - 9),
    'footer.parquet': footer,
    'words.parquet': Buffer.from(words),
    'lz4.parquet': lz4,
    'short.parquet': Buffer.from('PAR1'),
  };
  const said: Record<string, string> = {};
  for (const [name, bytes] of Object.entries(cases)) {
    await fs.writeFile(at(name), bytes);
    said[name] = await refusal(at(name));
  }
  expect(said).toMatchInlineSnapshot(`
{
  "cut.parquet": "UserError: Expected a whole parquet file for --data but received /cut.parquet, which is damaged: it does not end as one. Copy or download it again.",
  "footer.parquet": "UserError: Expected a whole parquet file for --data but received /footer.parquet, which is damaged: a list of more than 16 MB. Copy or download it again.",
  "lz4.parquet": "UserError: Expected a folder of images for --data but received /lz4.parquet, which is compressed by LZ4. Write it again with compression="snappy"; zstd is read by Node.js 22.15 and later.",
  "short.parquet": "UserError: Expected a whole parquet file for --data but received /short.parquet, which is damaged: it is too short. Copy or download it again.",
  "words.parquet": "UserError: Expected a folder of images for --data but received /words.parquet, which has no column of pictures (text). It should be called image, and hold their bytes, or {bytes, path}.",
}
`);
});

test('zstd is read where Node.js has it, and else refused', async () => {
  const { zstdCompressSync: pack } = zlib as { zstdCompressSync?: (data: Uint8Array) => Buffer };
  const compressors = { ZSTD: (data: Uint8Array) => pack?.(data) ?? data };
  await fs.writeFile(at('zstd.parquet'), hugging(0, 12, { codec: 'ZSTD', compressors }));
  if (pack)
    expect(await batchOf(at('zstd.parquet'), at('cache'))).toBe(await batchOf(at('folder'), at('cache')));
  else expect(await refusal(at('zstd.parquet'))).toContain('which is compressed by ZSTD. Write it again');
});

test('row groups that are damaged are told picture by picture, and read once', async () => {
  const whole = hugging(0, 12, { codec: 'UNCOMPRESSED' });
  const first = Buffer.from(whole);
  first.fill(0xff, 4, 40);
  await fs.writeFile(at('first.parquet'), first);
  const { read } = await listImages(at('first.parquet'));
  const one = await read(0, 8).catch((error) => error);
  expect(one.message).toBe('row group 1 is damaged: its list of parts is damaged');
  expect(await read(1, 8).catch((error) => error)).toBe(one);
  expect((await read(6, 8)).width).toBe(8);
});

test('rows without a picture or a class', async () => {
  const rows = parts.map((part, i) => ({
    bytes: i === 4 ? null : part.bytes,
    label: i === 2 ? 'none' : label(part),
  }));
  const holed = parquetOf(rows, classes);
  await fs.writeFile(at('holed.parquet'), holed);
  const { labels, classes: found, read } = await listImages(at('holed.parquet'));
  expect([...labels].map((label) => found[label])[2]).toBe('.');
  await expect(read(4, 8)).rejects.toThrow('no bytes of a picture in its row');
  expect((await read(5, 8)).width).toBe(9);
});
