/** Archives of a handful of pictures, and what a training would see of them. */
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { parquetWriteBuffer } from 'hyparquet-writer';
import type { Headers } from 'tar-stream';
// @ts-expect-error: a script
import * as made from '../../../scripts/archives/made.mjs';
import { silent } from '../../../src/base/progress.js';
import { evalImages, trainBatch } from '../../../src/data/batches.js';
import { type Dataset, openDataset } from '../../../src/data/dataset.js';
import { listImages } from '../../../src/data/source.js';
import { dataConfig, writePicture } from '../pictures-folder.js';

/** Relative names of twelve pictures in two classes, written under `dir`. */
export async function writePictures(dir: string): Promise<string[]> {
  const names = Array.from({ length: 12 }, (_, i) => `${i % 3 === 0 ? 'cat' : 'dog'}/picture-${two(i)}.png`);
  for (const [i, name] of names.entries())
    await writePicture(dir, name, { level: 20 * i, width: 8 + (i % 2) });
  return names;
}

/** Digits. */
export const two = (i: number): string => `${i}`.padStart(2, '0');

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

/**
 * Of the batch of all its pictures as a training sees them, with the names of their classes, in the order of their own
 * names, whatever folder or archive stands before those.
 *
 * @returns sha256
 */
export async function batchOf(dir: string, cacheDir: string): Promise<string> {
  const config = dataConfig({ dir, val_dir: dir });
  const { classes, train } = await openDataset(config, { cacheDir, reporter: silent });
  const own = train.names.map((name) => path.parse(name).name);
  const order = [...own.keys()].sort((a, b) => (own[a]! < own[b]! ? -1 : 1));
  const { data } = await evalImages(train, order, 8);
  const labels = Array.from(order, (i) => classes[train.labels[i]!]);
  return createHash('sha256')
    .update(new Uint8Array(data.buffer))
    .update(JSON.stringify(labels))
    .digest('hex');
}

/** Why a data set is refused. */
export async function refusal(dir: string): Promise<string> {
  return listImages(dir).then(
    () => 'taken',
    (error: Error) => `${error.name}: ${error.message.replaceAll(path.dirname(dir), '')}`,
  );
}

export interface Part {
  readonly name: string;
  readonly bytes: Buffer;
}

export interface ZipPart extends Part {
  readonly stored?: boolean;
  /** What the list says in place of its size. */
  readonly size?: number;
  readonly method?: number;
  readonly attributes?: number;
}

export const zipOf: (parts: readonly ZipPart[]) => Buffer = made.zipOf;

export const tarOf: (parts: readonly (Headers & { bytes: Buffer | string })[]) => Promise<Buffer> =
  made.tarOf;

export type ParquetOptions = Partial<Parameters<typeof parquetWriteBuffer>[0]>;

export const parquetOf: (
  rows: readonly { bytes: Buffer | null; label: string }[],
  classes: readonly string[],
  o?: ParquetOptions,
) => Buffer = made.parquetOf;

/** @param shape [N, H, W] of pictures, [N] of labels */
export const idxOf: (shape: readonly number[], bytes: Uint8Array) => Buffer = made.idxOf;

export const partsIn = (dir: string, names: readonly string[]): Promise<Part[]> =>
  Promise.all(names.map(async (name) => ({ name, bytes: await fs.readFile(path.join(dir, name)) })));
