/**
 * Decoded pictures, so that training never waits for decoding. A source is decoded once into one file of 8-bit pixels
 * under the cache folder, which later commands use again as long as no picture changed. What fits the memory budget
 * is loaded whole; a larger set is read picture by picture at known positions. All that is read of the folder is held
 * against checksums: a damaged cache is made anew. Where none can be written, training goes on without.
 */
import { createHash } from 'node:crypto';
import { openSync, read as readAt } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { writeFolderAtomic } from '../base/files.js';
import { must, pairs } from '../base/lookup.js';
import type { Progress, Reporter } from '../base/progress.js';
import { readRegular } from '../base/regular-file.js';
import { type CacheIndex, emptyIndex, formatIndex, parseIndex } from './cache-index.js';
import { mapInOrder } from './map-in-order.js';
import { mayPass, steadily } from './passing.js';
import { type Picture, reasonOf } from './pictures.js';
import { type ImageSource, noneReadable, type Skipped, type SourcePicture } from './source.js';
import { endDrawingsOn } from './svg-file.js';

export interface PixelCache {
  readonly folder: string;
  /** Indices into the source of the pictures that could be read. */
  readonly kept: readonly number[];
  /** What the file of each of these held, where it comes from one. */
  readonly contents: readonly (string | null)[];
  readonly skipped: readonly Skipped[];
  /**
   * @param i position in `kept`
   * @throws Error where neither the cache nor the picture's file can be read any more
   */
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

const layoutVersion = 3;
const defaultMemoryBytes = 2 ** 30;
const patience = 1000;
const mostIndexBytes = 2 ** 30;
/** Milliseconds between tries to read a picture that a training waits for. */
const inTraining = [200, 1000, 4000];
const [indexName, pixelsName] = ['index', 'pixels.bin'];

/** @throws UserError when not one picture can be read; nothing is kept then */
export async function openCache(source: ImageSource, o: CacheOptions): Promise<PixelCache> {
  const folder = path.join(o.cacheDir, `images-${await keyOf(source, o)}`);
  const stored = await openStored(source, folder, o);
  const { index, pixelsOf } =
    stored && !(await someCanBeRead(source, stored.index, o)) ? stored : await fill(source, folder, o);
  const { kept, contents, skipped, sums } = index;
  const extents = pairs(index.widths, index.heights).map(([width, height]) => ({ width, height }));
  const decoded = async (i: number): Promise<Picture> => {
    const at = must(kept[i], `picture ${i}`);
    const picture = await steadily(() => source.read(at, o.size), { pauses: inTraining }).catch((error) => {
      throw new Error(`${source.names[at]} cannot be read any more (${reasonOf(error)}).`, { cause: error });
    });
    if (crc32(picture.data) === sums[i]) return picture;
    throw new Error(`${source.names[at]} is no longer the picture that it was when the training began.`);
  };
  const read = (i: number): Picture | Promise<Picture> => {
    const data = pixelsOf?.(i);
    const extent = must(extents[i], `picture ${i}`);
    if (data instanceof Uint8Array) return { ...extent, data };
    const sound = data?.catch(() => undefined);
    return Promise.resolve(sound).then((data) =>
      data && crc32(data) === sums[i] ? { ...extent, data } : decoded(i),
    );
  };
  return { folder, kept, contents, skipped, read };
}

/** Pictures of which the pixels are at hand: bytes are checked, promised ones are not. */
interface Filled {
  readonly index: CacheIndex;
  readonly pixelsOf?: (i: number) => Uint8Array | Promise<Uint8Array>;
}

/** What a cache folder holds, where it is whole. */
async function openStored(
  source: ImageSource,
  folder: string,
  { size, reporter, memoryBytes = defaultMemoryBytes }: CacheOptions,
): Promise<Filled | undefined> {
  const list = await readRegular(path.join(folder, indexName), mostIndexBytes).catch(() => undefined);
  if (!list) return undefined;
  const damaged = (): undefined => {
    reporter.note('The cache of decoded images is damaged: it is made anew.');
    return undefined;
  };
  const index = parseIndex(list.toString('utf8'), { pictures: source.names.length, size });
  if (!index) return damaged();
  let bytes = 0;
  const places = pairs(index.widths, index.heights).map(([width, height]) => {
    const start = bytes;
    bytes += width * height * 3;
    return { start, end: bytes };
  });
  const placeOf = (i: number) => must(places[i], `picture ${i}`);
  const file = path.join(folder, pixelsName);
  try {
    if ((await fs.stat(file)).size !== bytes) return damaged();
    if (bytes <= memoryBytes) {
      const pixels = await readRegular(file, memoryBytes);
      const pixelsOf = (i: number) => pixels.subarray(placeOf(i).start, placeOf(i).end);
      return index.sums.every((sum, i) => crc32(pixelsOf(i)) === sum) ? { index, pixelsOf } : damaged();
    }
    const descriptor = openSync(file, 'r');
    const pixelsOf = (i: number) => {
      const { start, end } = placeOf(i);
      return steadily(() => readExactly(descriptor, end - start, start));
    };
    return { index, pixelsOf };
  } catch {
    return damaged();
  }
}

/** Whether one of the pictures that the system could not read then can be read now, or has other faults. */
async function someCanBeRead(
  source: ImageSource,
  { skipped }: CacheIndex,
  o: CacheOptions,
): Promise<boolean> {
  for (const { name, passing } of skipped) {
    if (!passing) continue;
    const result = await attempt(source, source.names.indexOf(name), o.size);
    if (!('reason' in result) || !result.passing) return true;
  }
  return false;
}

/** Removes what the cache folder holds of pictures, lists and sizes of before; what cannot be removed stays. */
export async function removeOtherCaches(cacheDir: string, used: readonly PixelCache[]): Promise<void> {
  const names = used.map(({ folder }) => path.basename(folder));
  for (const name of await fs.readdir(cacheDir).catch(() => [])) {
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

/** Decodes all, into the folder as far as that can be written. */
async function fill(source: ImageSource, folder: string, o: CacheOptions): Promise<Filled> {
  let decoded: Decoded | undefined;
  let begun = false;
  try {
    await writeFolderAtomic(folder, async (temporary) => {
      const file = await fs.open(path.join(temporary, pixelsName), 'w');
      let failed: unknown;
      try {
        begun = true;
        decoded = await decodeAll(source, o, async (data) => {
          if (failed === undefined) await file.writeFile(data).catch((error) => (failed = error));
        });
      } finally {
        await file.close();
      }
      if (failed !== undefined) throw failed;
      await fs.writeFile(path.join(temporary, indexName), formatIndex(decoded.index));
    });
  } catch (error) {
    if ((begun && !decoded) || !mayPass(error)) throw error;
    decoded ??= await decodeAll(source, o, async () => {});
    const { index, held } = decoded;
    // Another process may have written the same cache meanwhile: one is as good as the other.
    const isThere = ['ENOTEMPTY', 'EEXIST'].includes(`${(error as NodeJS.ErrnoException).code}`);
    const stored = isThere && !held ? await openStored(source, folder, o) : undefined;
    if (stored) return stored;
    if (!isThere) {
      const instead = held
        ? 'they are held in memory'
        : 'each is decoded anew at every step, which is slower';
      o.reporter.warn(`Decoded images cannot be kept in ${o.cacheDir} (${reasonOf(error)}): ${instead}.`);
    }
    return { index, ...(held && { pixelsOf: (i) => must(held[i], `picture ${i}`) }) };
  }
  const { index, held } = must(decoded, 'decoded pictures');
  if (held) return { index, pixelsOf: (i) => must(held[i], `picture ${i}`) };
  return (await openStored(source, folder, o)) ?? { index };
}

interface Decoded {
  readonly index: CacheIndex;
  /** The pixels of all, where they fit into memory. */
  readonly held?: readonly Uint8Array[];
}

async function decodeAll(
  source: ImageSource,
  { size, reporter, signal, memoryBytes = defaultMemoryBytes }: CacheOptions,
  write: (pixels: Uint8Array) => Promise<void>,
): Promise<Decoded> {
  const index = emptyIndex();
  let held: Uint8Array[] | undefined = [];
  let bytes = 0;
  const total = source.names.length;
  endDrawingsOn(signal);
  const attempts = mapInOrder(source.names.keys(), decodeWidth, (i) => attempt(source, i, size));
  const began = Date.now();
  let progress: Progress | undefined;
  let done = 0;
  try {
    for await (const result of attempts) {
      signal?.throwIfAborted();
      if ('reason' in result) {
        index.skipped.push(result);
      } else {
        const { width, height, data, content } = result;
        index.kept.push(done);
        index.widths.push(width);
        index.heights.push(height);
        index.sums.push(crc32(data));
        index.contents.push(content ?? null);
        bytes += data.length;
        if (bytes > memoryBytes) held = undefined;
        held?.push(data);
        await write(data);
      }
      done++;
      if (!progress && Date.now() - began > patience) {
        progress = reporter.progress({ label: 'Reading images', total, unit: 'images' });
      }
      progress?.update(done);
    }
  } finally {
    progress?.stop();
  }
  if (index.kept.length === 0) throw noneReadable(source, index.skipped);
  return { index, held };
}

/** Pictures decoded at a time: enough to keep every core busy while others wait for the disk. */
export const decodeWidth = 2 * os.availableParallelism();

/** The picture, or its name and why it could not be read. */
export async function attempt(
  source: ImageSource,
  i: number,
  size: number,
): Promise<SourcePicture | Skipped> {
  try {
    return await source.read(i, size);
  } catch (error) {
    const name = must(source.names[i], `image ${i}`);
    return { name, reason: reasonOf(error), ...(mayPass(error) && { passing: true }) };
  }
}

const readPromise = promisify(readAt);

async function readExactly(descriptor: number, length: number, position: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  for (let got = 0; got < length; ) {
    const { bytesRead } = await readPromise(descriptor, buffer, got, length - got, position + got);
    if (bytesRead === 0) throw new Error('it is shorter than its list says');
    got += bytesRead;
  }
  return buffer;
}
