/** Archives of a handful of pictures, and what a training would see of them. */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { silent } from '../../../src/base/progress.js';
import { evalImages, trainBatch } from '../../../src/data/batches.js';
import { type Dataset, openDataset } from '../../../src/data/dataset.js';
import { listImages } from '../../../src/data/source.js';
import { dataConfig, writePicture } from '../pictures-folder.js';

/** Relative names of twelve pictures in two classes, written under `dir`. */
export async function writePictures(dir: string): Promise<string[]> {
  const names = Array.from({ length: 12 }, (_, i) => `${i % 3 === 0 ? 'cat' : 'dog'}/picture-${i}.png`);
  for (const [i, name] of names.entries())
    await writePicture(dir, name, { level: 20 * i, width: 8 + (i % 2) });
  return names;
}

export async function opened(dir: string, cacheDir: string): Promise<Dataset> {
  return openDataset(dataConfig({ dir }), { cacheDir, reporter: silent });
}

/** Of all that a training sees: names, classes, and the pixels and labels of batches. */
export async function seen(dir: string, cacheDir: string): Promise<string> {
  const { classes, train, val, contents } = await opened(dir, cacheDir);
  const digest = createHash('sha256');
  digest.update(JSON.stringify([classes, train.names, val.names, [...contents[0]!].sort()]));
  const { images, labels } = await trainBatch(train, {
    size: 8,
    flip: true,
    batchSize: 16,
    seed: 1,
    step: 3,
  });
  const unseen = await evalImages(val, [...val.names.keys()], 8);
  for (const { data } of [images, unseen]) digest.update(new Uint8Array(data.buffer));
  return digest.update(labels).update(val.labels).digest('hex');
}

/** Why a data set is refused. */
export async function refusal(dir: string): Promise<string> {
  return listImages(dir).then(
    () => 'taken',
    (error: Error) => `${error.name}: ${error.message.replaceAll(path.dirname(dir), '')}`,
  );
}

export interface ZipPart {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly stored?: boolean;
  /** What the list says in place of its size. */
  readonly size?: number;
  readonly method?: number;
  readonly attributes?: number;
}

export function zipOf(parts: readonly ZipPart[]): Buffer {
  const bodies: Buffer[] = [];
  const list: Buffer[] = [];
  let at = 0;
  for (const { name, bytes, stored, size = bytes.length, method = stored ? 0 : 8, attributes = 0 } of parts) {
    const data = stored ? Buffer.from(bytes) : deflateRawSync(bytes);
    const title = Buffer.from(name);
    const head = Buffer.alloc(46);
    head.writeUInt32LE(0x02014b50, 0);
    head.writeUInt16LE(3 << 8, 4);
    head.writeUInt16LE(method, 10);
    head.writeUInt32LE(crc32(bytes), 16);
    head.writeUInt32LE(data.length, 20);
    head.writeUInt32LE(size, 24);
    head.writeUInt16LE(title.length, 28);
    head.writeUInt32LE(attributes, 38);
    head.writeUInt32LE(at, 42);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), head.subarray(6, 32)]);
    bodies.push(local, title, data);
    list.push(head, title);
    at += local.length + title.length + data.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(Buffer.concat(list).length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...bodies, ...list, end]);
}

export const partsIn = (dir: string, names: readonly string[]): Promise<{ name: string; bytes: Buffer }[]> =>
  Promise.all(names.map(async (name) => ({ name, bytes: await fs.readFile(path.join(dir, name)) })));
