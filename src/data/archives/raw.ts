/**
 * Pictures as bare bytes of one size, with their labels: CIFAR's binary files and MNIST's idx files. Each is handed on
 * as a PNG made in memory, so that it goes the way of every picture.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { readRegular } from '../../base/regular-file.js';
import { type ArchiveFile, archiveFile, type Reader } from './file.js';
import { checkCount, type Listing, Unfit } from './listing.js';

interface Raw {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  /** Whether all of one colour stand before the next one's. */
  readonly planes?: boolean;
  readonly count: number;
  /** Where the first begins, and from one to the next, bytes. */
  readonly from: number;
  readonly step: number;
}

/** @param classNames of each picture; nothing where they are not known */
function rawListing(file: ArchiveFile, raw: Raw, classNames?: readonly string[]): Listing {
  const { width, height, channels, count, from, step } = raw;
  const size = width * height * channels;
  const digits = `${count - 1}`.length;
  return {
    names: Array.from({ length: count }, (_, i) => `${i}`.padStart(digits, '0')),
    ...(classNames && { classNames }),
    size: () => 3 * size,
    read: (i) => file.reading(async ({ read }) => png(await read(from + i * step, size), raw)),
  };
}

/** Grey or RGB of 8 bits, not compressed. */
function png(data: Buffer, { width, height, channels, planes }: Raw): Buffer {
  const row = width * channels;
  const lines = Buffer.alloc(height * (row + 1)); // Each line begins with the filter it went through: none, 0.
  for (let y = 0; y < height; y++) {
    const to = y * (row + 1) + 1;
    if (!planes) data.copy(lines, to, y * row, (y + 1) * row);
    else
      for (let x = 0; x < width; x++)
        for (let c = 0; c < channels; c++) lines[to + x * channels + c] = data[(c * height + y) * width + x]!;
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  head[9] = channels === 3 ? 2 : 0;
  const parts = [
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(lines, { level: 0 })),
    chunk('IEND', Buffer.alloc(0)),
  ];
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), ...parts]);
}

function chunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, 'latin1');
  data.copy(bytes, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}

/** Bytes at steps, of a file that is read in large parts. */
function bytesAt(
  { readNow }: Reader,
  { from, step, count }: Pick<Raw, 'from' | 'step' | 'count'>,
): Uint8Array {
  const result = new Uint8Array(count);
  const atOnce = Math.max(1, Math.floor(2 ** 20 / step));
  for (let i = 0; i < count; i += atOnce) {
    const n = Math.min(atOnce, count - i);
    const part = readNow(from + i * step, (n - 1) * step + 1);
    for (let k = 0; k < n; k++) result[i + k] = part[k * step]!;
  }
  return result;
}

/** Lines of a text file of class names; undefined where there is none. */
async function classesIn(file: string): Promise<readonly string[] | undefined> {
  const text = await readRegular(file, 2 ** 20).catch(() => undefined);
  return text?.toString('utf8').trim().split(/\r?\n/);
}

const named = (labels: Uint8Array, classes: readonly string[] | undefined): string[] =>
  Array.from(labels, (label) => classes?.[label] ?? `${label}`);

const side = 32;
const pixels = 3 * side * side;

/** CIFAR-10: a byte of label before each picture. CIFAR-100: two, of which the second is the finer one. */
const cifar = {
  'cifar-10': { labels: 1, classes: 'batches.meta.txt' },
  'cifar-100': { labels: 2, classes: 'fine_label_names.txt' },
} as const;

/** @throws Error in words about a file that is not whole */
export async function listCifar(file: ArchiveFile, kind: keyof typeof cifar): Promise<Listing> {
  const { labels: before, classes } = cifar[kind];
  const step = before + pixels;
  const count = file.size / step;
  if (!Number.isInteger(count) || count === 0)
    throw new Error(`its ${file.size} bytes are not whole pictures of ${step} bytes`);
  checkCount(count);
  const names = await classesIn(path.join(path.dirname(file.place), classes));
  const labels = await file.reading(async (reader) => bytesAt(reader, { from: before - 1, step, count }));
  const most = names?.length ?? (kind === 'cifar-10' ? 10 : 100);
  const wrong = labels.findIndex((label) => label >= most);
  if (wrong >= 0) throw new Error(`picture ${wrong} has the label ${labels[wrong]} of ${most}`);
  const raw: Raw = { width: side, height: side, channels: 3, planes: true, count, from: before, step };
  return rawListing(file, raw, named(labels, names));
}

/** Whether these first bytes are of an idx file of bytes. @returns how many dimensions it has */
export function idxDimensions(head: Buffer): number | undefined {
  const n = head[3] ?? 0;
  return head.length >= 8 && head.readUInt16BE(0) === 0 && head[2] === 8 && n >= 1 && n <= 4 ? n : undefined;
}

/** The largest side of a picture, pixels: what is larger comes as a file of its own. */
const mostSide = 4096;

/**
 * Pictures [N, H, W] or [N, H, W, 3]; their labels [N] lie beside them, in the file that is called `labels` and `idx1`
 * where this one says `images` and `idx3`.
 *
 * @throws Error in words about a file that is not whole, or labels that do not fit
 */
export async function listIdx(file: ArchiveFile): Promise<Listing> {
  const shape = await shapeOf(file);
  const [count = 0, height = 0, width = 0, channels = 1] = shape;
  const fits = [height, width].every((n) => n >= 1 && n <= mostSide) && (channels === 1 || channels === 3);
  if (!fits)
    throw new Unfit('holds labels or other numbers, no pictures', 'Name the file of images beside it.');
  checkCount(count);
  const from = 4 + 4 * shape.length;
  const raw: Raw = {
    width,
    height,
    channels: channels === 3 ? 3 : 1,
    count,
    from,
    step: height * width * channels,
  };
  const place = await labelsBeside(file.place);
  if (!place) return rawListing(file, raw);
  const beside = await archiveFile(place);
  const [labelled, ...more] = await shapeOf(beside);
  if (more.length > 0 || labelled !== count)
    throw new Error(`${beside.name} has other labels than one for each of its ${count} pictures`);
  const labels = await beside.reading(async (reader) => bytesAt(reader, { from: 8, step: 1, count }));
  return rawListing(file, raw, named(labels, undefined));
}

async function shapeOf(file: ArchiveFile): Promise<number[]> {
  const { size } = file;
  return file.reading(async ({ readNow }) => {
    const head = readNow(0, Math.min(20, size));
    const n = idxDimensions(head);
    if (!n || head.length < 4 + 4 * n) throw new Error(`${file.name} is no idx file of bytes`);
    const shape = Array.from({ length: n }, (_, i) => head.readUInt32BE(4 + 4 * i));
    const bytes = 4 + 4 * n + shape.reduce((a, b) => a * b, 1);
    if (bytes !== size) throw new Error(`${file.name} has ${size} bytes, where its head says ${bytes}`);
    return shape;
  });
}

async function labelsBeside(images: string): Promise<string | undefined> {
  const name = path
    .basename(images)
    .replace('images', 'labels')
    .replace(/idx[34]/, 'idx1');
  const place = path.join(path.dirname(images), name);
  if (place === images) return undefined;
  return (await fs.stat(place).catch(() => undefined))?.isFile() ? place : undefined;
}
