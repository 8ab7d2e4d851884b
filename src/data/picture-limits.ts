/** What a picture file may ask of memory and time, and what it asks, from its head and before it is decoded. */
import type { Metadata } from 'sharp';

const MB = 2 ** 20;

/** Of a file. */
export const mostBytes = 256 * MB;

/** Of pixels that must all be in memory at once. */
export const mostHeld = 512 * MB;

/** Frames or pages, of which the first is taken: listing them alone can take minutes. */
const mostPages = 10_000;

/** Scans times pixels of a progressive JPEG: each scan goes over all of it. */
const mostScanned = 2 ** 32;

/** @throws Error for a file that has more parts than are looked through in reasonable time */
export function checkPages(file: Buffer): void {
  if (pagesOf(file) > mostPages) throw new Error(`more than ${mostPages} frames or pages`);
}

/**
 * Bytes of memory that decoding takes at once, about.
 *
 * @throws Error where that, or the time, is beyond reason
 */
export function heldBytes(file: Buffer, meta: Metadata): number {
  const { width, height, channels, format } = meta;
  const row = width * channels * bytesOf(meta.depth);
  const isWhole = meta.isProgressive || ['gif', 'webp', 'heif'].includes(format) || meta.depth !== 'uchar';
  const held = isWhole ? row * height : row * Math.min(height, rowsHeld);
  if (held > mostHeld)
    throw new Error(`${width}×${height} pixels, which take more than ${mostHeld / MB} MB at once`);
  if (format === 'jpeg' && meta.isProgressive && scansIn(file) * width * height > mostScanned) {
    throw new Error(`${scansIn(file)} scans over ${width}×${height} pixels, which take too long`);
  }
  return held;
}

/** Of what is decoded row by row. */
const rowsHeld = 256;

const bytesOf = (depth: string): number =>
  ({ uchar: 1, char: 1, ushort: 2, short: 2, double: 8, complex: 8, dpcomplex: 16 })[depth] ?? 4;

/** Starts of scans; those of a thumbnail count along. */
function scansIn(jpeg: Buffer): number {
  let scans = 0;
  for (
    let at = jpeg.indexOf('\xff\xda', 0, 'latin1');
    at >= 0;
    at = jpeg.indexOf('\xff\xda', at + 2, 'latin1')
  )
    scans++;
  return scans;
}

/** Counted up to a few more than are allowed; 1 of what has no list of them. */
function pagesOf(file: Buffer): number {
  const head = file.toString('latin1', 0, 12);
  try {
    if (head.startsWith('GIF8')) return framesOfGif(file);
    if (/^(II[*+]\0|MM\0[*+])/.test(head)) return directoriesOfTiff(file);
    if (head.startsWith('RIFF') && head.endsWith('WEBP')) return framesOfWebp(file);
  } catch {
    // It ends in the midst of the list, as the decoder will say.
  }
  return 1;
}

function framesOfGif(gif: Buffer): number {
  const colours = (flags: number): number => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  const afterBlocks = (from: number): number => {
    let at = from;
    for (let size = gif.readUInt8(at); size > 0; size = gif.readUInt8(at)) at += size + 1;
    return at + 1;
  };
  let frames = 0;
  let at = 13 + colours(gif.readUInt8(10));
  while (at < gif.length && frames <= mostPages) {
    const block = gif[at];
    if (block === 0x21) at = afterBlocks(at + 2);
    else if (block === 0x2c) {
      frames++;
      at = afterBlocks(at + 11 + colours(gif.readUInt8(at + 9)));
    } else break;
  }
  return frames;
}

function directoriesOfTiff(tiff: Buffer): number {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.length);
  const isLittle = tiff[0] === 0x49;
  const isBig = view.getUint16(2, isLittle) === 43;
  const long = (at: number): number =>
    isBig ? Number(view.getBigUint64(at, isLittle)) : view.getUint32(at, isLittle);
  let count = 0;
  for (let at = long(isBig ? 8 : 4); at !== 0 && count <= mostPages; count++) {
    const entries = isBig ? long(at) : view.getUint16(at, isLittle);
    at = long(at + (isBig ? 8 + 20 * entries : 2 + 12 * entries));
  }
  return count;
}

function framesOfWebp(webp: Buffer): number {
  let frames = 0;
  for (let at = 12; at + 8 <= webp.length && frames <= mostPages; ) {
    if (webp.toString('latin1', at, at + 4) === 'ANMF') frames++;
    const size = webp.readUInt32LE(at + 4);
    at += 8 + size + (size & 1);
  }
  return frames;
}
