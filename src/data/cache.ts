/**
 * Decoded pictures, so that training never waits for decoding. A source is decoded once into one file of 8-bit pixels
 * under the cache folder, which later commands use again as long as no picture changed. What fits the memory budget
 * is loaded whole; a larger set is read picture by picture at known positions.
 */
import { createHash } from 'node:crypto';
import { openSync, read as readAt } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { writeFolderAtomic } from '../base/files.js';
import { must, pairs } from '../base/lookup.js';
import type { Progress, Reporter } from '../base/progress.js';
import { mapInOrder } from './map-in-order.js';
import { type Picture, reasonOf } from './pictures.js';
import { type ImageSource, noneReadable, type Skipped } from './source.js';

export interface PixelCache {
  readonly folder: string;
  /** Indices into the source of the pictures that could be read. */
  readonly kept: readonly number[];
  readonly skipped: readonly Skipped[];
  /** @param i position in `kept` */
  read(i: number): Picture | Promise<Picture>;
}

export interface CacheOptions {
  size: number;
  cacheDir: string;
  reporter: Reporter;
  /** Ends the reading; nothing stays of what was read. */
  signal?: AbortSignal;
  /** Most bytes of pixels held in memory. */
  memoryBytes?: number;
}

interface Index {
  kept: number[];
  widths: number[];
  heights: number[];
  skipped: Skipped[];
}

const layoutVersion = 2;
const defaultMemoryBytes = 2 ** 30;
const patience = 1000;

/** @throws UserError when not one picture can be read; nothing is kept then */
export async function openCache(source: ImageSource, o: CacheOptions): Promise<PixelCache> {
  const folder = path.join(o.cacheDir, `images-${await keyOf(source, o)}`);
  const index = (await readIndex(folder)) ?? (await fill(source, folder, o));
  let bytes = 0;
  const places = pairs(index.widths, index.heights).map(([width, height]) => {
    const start = bytes;
    bytes += width * height * 3;
    return { width, height, start, end: bytes };
  });
  const placeOf = (i: number) => must(places[i], `picture ${i}`);
  const file = path.join(folder, 'pixels.bin');
  const cache = { folder, kept: index.kept, skipped: index.skipped };
  if (bytes <= (o.memoryBytes ?? defaultMemoryBytes)) {
    const pixels = await fs.readFile(file);
    const read = (i: number): Picture => {
      const { width, height, start, end } = placeOf(i);
      return { width, height, data: pixels.subarray(start, end) };
    };
    return { ...cache, read };
  }
  const descriptor = openSync(file, 'r');
  const read = async (i: number): Promise<Picture> => {
    const { width, height, start, end } = placeOf(i);
    return { width, height, data: await readExactly(descriptor, end - start, start) };
  };
  return { ...cache, read };
}

/** Removes what the cache folder holds of pictures, lists and sizes of before; what cannot be removed stays. */
export async function removeOtherCaches(cacheDir: string, used: readonly PixelCache[]): Promise<void> {
  const names = used.map(({ folder }) => path.basename(folder));
  for (const name of await fs.readdir(cacheDir)) {
    if (!name.startsWith('images-') || names.includes(name)) continue;
    await fs.rm(path.join(cacheDir, name), { recursive: true, force: true }).catch(() => {});
  }
}

async function keyOf(source: ImageSource, { size, signal }: CacheOptions): Promise<string> {
  const digest = createHash('sha256').update(`${layoutVersion} ${size}`);
  for await (const stamp of source.stamps()) {
    signal?.throwIfAborted();
    digest.update(`\n${stamp}`);
  }
  return digest.digest('hex').slice(0, 16);
}

async function readIndex(folder: string): Promise<Index | undefined> {
  const text = await fs.readFile(path.join(folder, 'index.json'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Index);
}

async function fill(
  source: ImageSource,
  folder: string,
  { size, reporter, signal }: CacheOptions,
): Promise<Index> {
  const index: Index = { kept: [], widths: [], heights: [], skipped: [] };
  const total = source.names.length;
  const attempts = mapInOrder(source.names.keys(), decodeWidth, (i) => attempt(source, i, size));
  const began = Date.now();
  let progress: Progress | undefined;
  let done = 0;
  await writeFolderAtomic(folder, async (temporary) => {
    const pixels = await fs.open(path.join(temporary, 'pixels.bin'), 'w');
    try {
      for await (const result of attempts) {
        signal?.throwIfAborted();
        if ('reason' in result) {
          index.skipped.push(result);
        } else {
          index.kept.push(done);
          index.widths.push(result.width);
          index.heights.push(result.height);
          await pixels.writeFile(result.data);
        }
        done++;
        if (!progress && Date.now() - began > patience) {
          progress = reporter.progress({ label: 'Reading images', total, unit: 'images' });
        }
        progress?.update(done);
      }
    } finally {
      await pixels.close();
      progress?.stop();
    }
    if (index.kept.length === 0) throw noneReadable(source, index.skipped);
    await fs.writeFile(path.join(temporary, 'index.json'), JSON.stringify(index));
  });
  return index;
}

/** Pictures decoded at a time: enough to keep every core busy while others wait for the disk. */
export const decodeWidth = 2 * os.availableParallelism();

/** The picture, or its name and why it could not be read. */
export async function attempt(source: ImageSource, i: number, size: number): Promise<Picture | Skipped> {
  try {
    return await source.read(i, size);
  } catch (error) {
    return { name: must(source.names[i], `image ${i}`), reason: reasonOf(error) };
  }
}

const readPromise = promisify(readAt);

async function readExactly(descriptor: number, length: number, position: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  for (let got = 0; got < length; ) {
    const { bytesRead } = await readPromise(descriptor, buffer, got, length - got, position + got);
    if (bytesRead === 0)
      throw new Error('internal: the cache of decoded images is shorter than its index says');
    got += bytesRead;
  }
  return buffer;
}
