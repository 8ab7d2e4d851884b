/**
 * Pictures on disk and in memory. Every file comes in through `decode` (orientation, sRGB, white under alpha, shorter
 * side resized) and every PNG goes out from here. Pixels are 8-bit RGB; tensors are float32 in [−1, 1], x / 127.5 − 1.
 */
import fs from 'node:fs/promises';
import sharp from 'sharp';
import { expected, notFinite } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { readRegular } from '../base/regular-file.js';
import { float32, type HostTensor } from '../base/tensor.js';
import { enlarge, type Side } from './enlarge.js';
import type { Place } from './file-names.js';
import { budget } from './memory.js';
import { checkPages, heldBytes, mostBytes, mostHeld } from './picture-limits.js';
import { withText } from './png-text.js';
import { open } from './samples.js';
import { drawSvg, isSvg, svgExtent } from './svg-file.js';
import { turns } from './turns.js';

/** One thread a picture: several are decoded at a time. Cached operations would hold on to memory and old files. */
sharp.concurrency(1);
sharp.cache(false);

/** Pixels. */
export interface Extent {
  readonly width: number;
  readonly height: number;
}

/** 8-bit RGB, row by row: `data` has height · width · 3 bytes. */
export interface Picture extends Extent {
  readonly data: Uint8Array;
}

/** A picture's file, or the picture. */
export type PictureSource = string | Picture;

/** What to call it in errors. */
export const placeOf = (from: PictureSource): string => (typeof from === 'string' ? from : 'the picture');

/** The longer side is kept up to this multiple of the shorter one: panoramas must not fill the memory. */
export const longestSide = 2;

/**
 * A picture whose shorter side is `size` and whose longer side, trimmed about the centre, at most twice that.
 * A picture that has this shape already keeps its pixels.
 *
 * @throws whatever `open` or sharp says about a file that is no picture, is cut off, or takes too much
 */
export async function decode(file: Buffer, size: number): Promise<Picture> {
  if (!isSvg(file)) return decodeAlone(file, () => decodeOnce(file, size));
  const { width, height } = await svgExtent(file);
  return drawn(file, fitted(width, height, size));
}

/** An SVG file as a photograph that covers so many pixels. */
export async function drawn(file: Buffer, extent: Extent): Promise<Picture> {
  const { data, channels } = await drawSvg(file, 'photographs', extent);
  return { ...extent, data: rgb(data, channels) };
}

/** Width and height of the upright picture in a file, and its pixels, with the limits of `decode`. */
export async function extentOf(file: Buffer): Promise<Extent> {
  if (isSvg(file)) return svgExtent(file);
  const { width, height } = await decodeAlone(file, () => open(file));
  return { width, height };
}

/**
 * Work of libvips with a file that is no SVG, once more by itself where it failed beside other; with others only as
 * far as there is memory.
 */
export async function decodeAlone<T>(file: Buffer, work: () => Promise<T>): Promise<T> {
  checkPages(file);
  const held = await apart(async () => heldBytes(file, await sharp(file).metadata()));
  return pixels.hold(held, () => apart(work));
}

const apart = <T>(work: () => Promise<T>): Promise<T> =>
  decoding.together(work).catch(() => decoding.alone(work));

/**
 * libvips has one list of errors for all threads: of files that fail at a time, one is told the other's reason, or
 * none.
 */
const decoding = turns();

const pixels = budget(mostHeld);

/** Of the files that are in memory at a time, bytes. */
export const heldFiles = budget(mostBytes);

/**
 * What `read` makes of a file's bytes, with others only as far as there is memory for them.
 *
 * @throws Error where it is no regular file, or too large; whatever the system or `read` says
 */
export async function withBytes<T>(place: Place, read: (bytes: Buffer) => Promise<T>): Promise<T> {
  const { size } = await fs.stat(place);
  return heldFiles.hold(size, async () => read(await readRegular(place, mostBytes)));
}

/** Width and height that `decode` gives a picture. */
export function fitted(w: number, h: number, size: number): Extent {
  const scale = size / Math.min(w, h);
  const side = (from: number) => Math.min(Math.round(from * scale), longestSide * size);
  return { width: side(w), height: side(h) };
}

async function decodeOnce(file: Buffer, size: number): Promise<Picture> {
  const { image, width: w, height: h } = await open(file);
  const scale = size / Math.min(w, h);
  const isEnlarged = scale > 1;
  const full = (side: number): number => Math.round(side * scale);
  const { width, height } = fitted(w, h, size);
  const opaque = image.flatten({ background: 'white' }).toColourspace('srgb');
  if (!isEnlarged) opaque.resize({ width, height, fit: 'cover', position: 'centre' });
  const { data, info } = await opaque.raw().toBuffer({ resolveWithObject: true });
  const picture = { width: info.width, height: info.height, data: rgb(data, info.channels) };
  if (!isEnlarged) return picture;
  const side = (from: number, kept: number): Side => ({ from, full: full(from), kept });
  return { width, height, data: enlarge(picture.data, side(w, width), side(h, height)) };
}

/** Three channels of one, two, three or four: grey thrice, alpha left out. */
export function rgb(data: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return data;
  const pixels = data.length / channels;
  const result = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < 3; c++) result[3 * i + c] = data[channels * i + (channels > 3 ? c : 0)]!;
  }
  return result;
}

/** What `read` makes of a picture's bytes. @throws UserError naming the file when it is missing or no picture */
export async function readPicture<T>(from: PictureSource, read: (bytes: Buffer) => Promise<T>): Promise<T> {
  try {
    return await (typeof from === 'string' ? withBytes(from, read) : read(await encodePng(from)));
  } catch (error) {
    throw expected(
      'a picture',
      placeOf(from),
      reasonOf(error),
      'Name a JPEG, PNG, WebP, AVIF, GIF, TIFF or SVG file.',
      error,
    );
  }
}

const systemWords: Record<string, string> = {
  EIO: 'the disk or the network fails',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files',
  ESTALE: 'its disk was taken away',
  ENOTDIR: 'its folder is gone',
  ELOOP: 'links in a circle',
};

/** What went wrong with a file, in a few words without its path. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'no permission to read it';
  if (code === 'EISDIR') return 'a folder';
  if (code !== undefined && code in systemWords) return `${systemWords[code]} (${code})`;
  if (/unsupported image format|Input Buffer is empty/i.test(message)) return 'no picture that can be read';
  const coding = /not been built in: (\w+)/.exec(message)?.[1];
  if (coding === 'HEVC') return 'HEIC, for which no decoder is built in: save it as JPEG or PNG';
  if (coding) return `coded as ${coding}, for which no decoder is built in: save it as JPEG or PNG`;
  if (/samples out of range/.test(message)) return 'more than 32 bits a channel: save it with 8 or 16';
  const lines = message.replace(/^Input buffer has corrupt header: /, '').split('\n');
  return lines.findLast((line) => line.trim())?.trim() ?? 'no picture';
}

export interface Crop {
  size: number;
  top: number;
  left: number;
  mirrored: boolean;
}

export function centreOf(picture: Picture, size: number): { top: number; left: number } {
  return { top: (picture.height - size) >> 1, left: (picture.width - size) >> 1 };
}

/** Writes [size, size, 3] values in [−1, 1] into `target` from `offset` on. */
export function writeCrop(picture: Picture, target: Float32Array, offset: number, crop: Crop): void {
  const { size, top, left, mirrored } = crop;
  const { data, width } = picture;
  let to = offset;
  for (let y = 0; y < size; y++) {
    const row = ((top + y) * width + left) * 3;
    if (mirrored) {
      for (let from = row + (size - 1) * 3; from >= row; from -= 3) {
        target[to++] = unit[data[from]!]!;
        target[to++] = unit[data[from + 1]!]!;
        target[to++] = unit[data[from + 2]!]!;
      }
    } else {
      for (let from = row; from < row + size * 3; from++) target[to++] = unit[data[from]!]!;
    }
  }
}

/** Bytes as values in [−1, 1], in their order. */
export const fromBytes = (data: Uint8Array): Float32Array => Float32Array.from(data, (byte) => unit[byte]!);

const unit = Float32Array.from({ length: 256 }, (_, byte) => byte / 127.5 - 1);

/**
 * [−1, 1] to the nearest of 0 … 255, values outside clamped; same order and count.
 *
 * @throws UserError for a value that is not finite, which would look like any dark pixel
 */
export function toBytes(images: HostTensor): Uint8Array {
  const bytes = new Uint8ClampedArray(images.data.length);
  let zero = 0; // NaN once a value is not finite.
  for (let i = 0; i < bytes.length; i++) {
    const value = images.data[i]!;
    bytes[i] = (value + 1) * 127.5;
    zero += value * 0;
  }
  if (zero !== 0) throw notFinite('a picture');
  return new Uint8Array(bytes.buffer);
}

/**
 * Images [n, S, S, 3] in [−1, 1] at another size, by the filter of `decode`; those that have the size are given back.
 */
export async function resizeImages(images: HostTensor, size: number): Promise<HostTensor> {
  const [n, side] = images.shape as [number, number];
  if (side === size) return images;
  const bytes = toBytes(images);
  const area = side * side * 3;
  const axis = { from: side, full: size, kept: size };
  const result = new Float32Array(n * size * size * 3);
  for (let i = 0; i < n; i++) {
    const from = bytes.subarray(i * area, (i + 1) * area);
    const data = size > side ? enlarge(from, axis, axis) : await shrink(from, side, size);
    const whole = { size, top: 0, left: 0, mirrored: false };
    writeCrop({ width: size, height: size, data }, result, i * size * size * 3, whole);
  }
  return float32([n, size, size, 3], result);
}

async function shrink(data: Uint8Array, side: number, size: number): Promise<Uint8Array> {
  const raw = { width: side, height: side, channels: 3 } as const;
  return await sharp(data, { raw }).resize(size, size).raw().toBuffer();
}

/** @param image [H, W, 3] in [−1, 1]. @param text kept in the file, as `withText` does */
export async function writePng(file: string, image: HostTensor, text?: string): Promise<void> {
  const [height, width] = image.shape as [number, number, number];
  const png = await encodePng({ width, height, data: toBytes(image) });
  await writeFileAtomic(file, text === undefined ? png : withText(png, text));
}

export async function encodePng({ width, height, data }: Picture): Promise<Buffer> {
  return await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** The pixels of an SVG drawing at its own size. */
export async function render(svg: string): Promise<Picture> {
  const { data, info } = await sharp(Buffer.from(svg))
    .flatten({ background: 'white' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data: rgb(data, info.channels) };
}
