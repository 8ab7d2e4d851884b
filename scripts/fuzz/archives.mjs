// The readers of archives as entries of `parsers.mjs`: what is listed is read, too, picture by picture.
import fs from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { idxOf, parquetOf, tarOf, zipOf } from '../archives/made.mjs';

/** A picture of one pixel. */
const gif = (level) =>
  Buffer.from(
    `474946383961010001008000${level.toString(16).padStart(2, '0')}0000ffffff2c00000000010001000002024401003b`,
    'hex',
  );
const parts = [0, 1, 2, 3, 4, 5].map((i) => ({ name: `${i % 2 ? 'cat' : 'dog'}/${i}.gif`, bytes: gif(i) }));

/** @throws Error where a picture's error is none in words */
async function readAll({ openArchives }, place) {
  const store = await openArchives([{ place }], { dir: place, where: '--data' });
  for (let i = 0; i < Math.min(store.names.length, 50); i++) {
    try {
      await store.read(i, async (bytes) => bytes.length);
    } catch (error) {
      if (error instanceof TypeError || /^internal|call stack/.test(error.message)) throw error;
    }
  }
}

/** @param o.file what the bytes are called, among those `beside` it. @param o.read what is read of them, that file unless given */
const kind = (name, { file = 'current', read = file, seeds, words, forgotten, beside = {} }) => ({
  name,
  forgotten,
  async prepare(load, folder) {
    const reader = await load('data/archives/archives');
    for (const [other, bytes] of Object.entries(beside)) fs.writeFileSync(path.join(folder, other), bytes);
    const parse = async (current, bytes) => {
      const place = path.join(folder, file);
      if (place !== current) fs.writeFileSync(place, bytes);
      await readAll(reader, path.join(folder, read));
    };
    return { seeds: await Promise.all(seeds()), words, parse };
  },
});

const labelled = parts.map(({ bytes }, i) => ({ bytes, label: i % 2 ? 'cat' : 'dog' }));
const packed = (codec, pack) => ({ codec, compressors: { [codec]: pack } });
const picture = (before) => Buffer.concat([Buffer.from(before), Buffer.alloc(3072, 100)]);

export const archives = [
  kind('zip of pictures', {
    seeds: () => [
      zipOf(parts),
      zipOf(parts.map((part, i) => ({ ...part, name: `${part.name.slice(0, -4)}`, stored: i % 2 === 0 }))),
      zipOf([{ ...parts[0], attributes: 0o120777 * 2 ** 16 }, ...parts.slice(1)]),
    ],
    words: ['PK\x01\x02', 'PK\x03\x04', 'PK\x05\x06', 'PK\x06\x06', 'PK\x06\x07', '../', '.gif', '\x08\x00'],
    forgotten: /its entries lie in each other|it ends too early/,
  }),
  kind('tar of pictures', {
    file: 'current.tar',
    seeds: () => [
      tarOf(parts),
      tarOf(
        parts.flatMap(({ bytes }, i) => [
          { name: `${i}.gif`, bytes },
          i % 2
            ? { name: `${i}.cls`, bytes: 'cat' }
            : { name: `${i}.json`, bytes: '{"label":3,"class_name":"dog"}' },
        ]),
      ),
      tarOf(parts.map((part) => ({ ...part, name: 'long/'.repeat(40) + part.name, pax: { comment: 'x' } }))),
    ],
    words: ['ustar', '\x0000', '0000000', '77777777777', '.cls', '.json', '../', 'size=', 'path=', '\x00'],
    forgotten: /does not have its sum|without the blocks/,
  }),
  kind('parquet of pictures', {
    file: 'current.parquet',
    seeds: () => [
      parquetOf(labelled, ['dog', 'cat']),
      parquetOf(labelled, ['dog', 'cat'], { codec: 'UNCOMPRESSED', rowGroupSize: 100 }),
      parquetOf([...labelled, { ...labelled[0], bytes: null }], ['dog', 'cat'], packed('GZIP', gzipSync)),
    ],
    words: [
      'PAR1',
      '\x15\x00',
      '\x15\x04',
      '\x15\x06',
      '\x2c',
      '\x5c',
      '\x19\x1c',
      '\xff\xff\xff\xff\x0f',
      'image',
    ],
    forgotten: /its list of columns is damaged/,
  }),
  kind('idx of pictures', {
    file: 'images-idx3-ubyte',
    seeds: () => [idxOf([3, 2, 2], Buffer.alloc(12, 7)), idxOf([2, 1, 2, 3], Buffer.alloc(12, 7))],
    beside: { 'labels-idx1-ubyte': idxOf([3], Buffer.from([0, 1, 2])) },
    words: [
      '\x00\x00\x08\x03',
      '\x00\x00\x08\x04',
      '\x00\x00\x00\x03',
      '\x00\x00\x10\x00',
      '\xff\xff\xff\xff',
    ],
    forgotten: /where its head says/,
  }),
  kind('idx of labels', {
    file: 'labels-idx1-ubyte',
    read: 'images-idx3-ubyte',
    seeds: () => [idxOf([3], Buffer.from([0, 1, 2]))],
    beside: { 'images-idx3-ubyte': idxOf([3, 2, 2], Buffer.alloc(12, 7)) },
    words: ['\x00\x00\x08\x01', '\x00\x00\x00\x03'],
    forgotten: /other labels than one for each/,
  }),
  kind('CIFAR-10', {
    file: 'data_batch_1.bin',
    seeds: () => [Buffer.concat([picture([3]), picture([9])])],
    beside: { 'batches.meta.txt': 'a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n' },
    words: ['\x00', '\x0a', '\xff'],
    forgotten: /are not whole pictures/,
  }),
  kind('CIFAR-100', {
    file: 'train.bin',
    seeds: () => [Buffer.concat([picture([3, 1]), picture([9, 0])])],
    beside: { 'fine_label_names.txt': 'a\nb\n' },
    words: ['\x00', '\x0a', '\xff'],
    forgotten: /are not whole pictures/,
  }),
];
