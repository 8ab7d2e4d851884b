import fs from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { listImages } from '../../../src/data/source.js';
import { temporaryFolder } from '../pictures-folder.js';
import { partsIn, refusal, writePictures } from './made.js';

let dir: string;
let parts: { name: string; bytes: Buffer }[];
const at = (name: string): string => path.join(dir, name);
const classes = ['dog', 'cat'];

beforeAll(async () => {
  dir = await temporaryFolder();
  parts = await partsIn(at('folder'), await writePictures(at('folder')));
});

afterAll(() => fs.rm(dir, { recursive: true }));

type Options = Partial<Parameters<typeof parquetWriteBuffer>[0]>;

/** As Hugging Face's `datasets` writes it: a struct of bytes and path, a number for the class, a note of the names. */
function hugging(from: number, to: number, o: Options = {}): Buffer {
  const rows = parts.slice(from, to);
  const features = { image: { _type: 'Image' }, label: { _type: 'ClassLabel', names: classes } };
  const whole = parquetWriteBuffer({
    columnData: [
      { name: 'image', data: rows.map(({ bytes }) => ({ bytes: new Uint8Array(bytes), path: 'a.png' })) },
      { name: 'label', data: rows.map(({ name }) => BigInt(classes.indexOf(name.split('/')[0]!))) },
    ],
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' },
    ],
    rowGroupSize: 4,
    kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }],
    ...o,
  });
  return Buffer.from(whole);
}

/** Class and pixels of each picture, in the order of the rows that they were written from. */
async function shown(place: string) {
  const { names, classes, labels, read } = await listImages(place);
  const order = [...names.keys()];
  const number = (i: number): number => Number(/(\d+)\.png$/.exec(names[i]!)?.[1] ?? i);
  return Promise.all(
    order
      .sort((a, b) => number(a) - number(b))
      .map(async (i) => ({ label: classes[labels[i]!], data: (await read(i, 8)).data })),
  );
}

test('shards of Hugging Face are the pictures of the folder, whatever their compression', async () => {
  await fs.mkdir(at('hub/data'), { recursive: true });
  const gzip = { codec: 'GZIP' as const, compressors: { GZIP: (data: Uint8Array) => gzipSync(data) } };
  await fs.writeFile(at('hub/data/train-00000-of-00002.parquet'), hugging(0, 7));
  await fs.writeFile(at('hub/data/train-00001-of-00002.parquet'), hugging(7, 12, gzip));
  await fs.writeFile(at('hub/data/test-00000-of-00001.parquet'), hugging(0, 2));
  expect(await shown(at('hub'))).toEqual(await shown(at('folder')));
  const { names } = await listImages(at('hub'));
  expect([names.length, names[9]]).toEqual([12, 'data-train-00001-of-00002-2']);
});

test('a column of bare bytes, with words for classes and no note of Hugging Face', async () => {
  const bytes = parquetWriteBuffer({
    columnData: [
      { name: 'class', data: parts.map(({ name }) => name.split('/')[0]), type: 'STRING' },
      { name: 'img', data: parts.map(({ bytes }) => new Uint8Array(bytes)), type: 'BYTE_ARRAY' },
    ],
  });
  await fs.writeFile(at('bare.parquet'), Buffer.from(bytes));
  expect(await shown(at('bare.parquet'))).toEqual(await shown(at('folder')));
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
  "cut.parquet": "UserError: Expected a whole parquet file for --data but received /cut.parquet, which is damaged: parquet file invalid (footer != PAR1). Copy or download it again.",
  "footer.parquet": "UserError: Expected a whole parquet file for --data but received /footer.parquet, which is damaged: a list of more than 64 MB. Copy or download it again.",
  "lz4.parquet": "UserError: Expected a folder of images for --data but received /lz4.parquet, which is compressed by LZ4. Write it again with compression="snappy"; zstd is read by Node.js 22.15 and later.",
  "short.parquet": "UserError: Expected a whole parquet file for --data but received /short.parquet, which is damaged: it is too short. Copy or download it again.",
  "words.parquet": "UserError: Expected a folder of images for --data but received /words.parquet, which has no column of pictures (text). It should be called image, and hold their bytes, or {bytes, path}.",
}
`);

  const first = Buffer.from(whole);
  first.fill(0xff, 4, 40);
  await fs.writeFile(at('first.parquet'), first);
  const { read } = await listImages(at('first.parquet'));
  await expect(read(0, 8)).rejects.toThrow();
  expect((await read(6, 8)).width).toBe(8);
});
