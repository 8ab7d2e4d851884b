/** Many pictures in one: no wider than a screen shows, small ones enlarged, with captions where there are any. */
import path from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { writeFileAtomic } from '../base/files.js';
import { must } from '../base/lookup.js';
import { firstAxis, float32, type HostTensor } from '../base/tensor.js';
import { drawLetters, inLetters, letterHeight, lettersIn, widthOf } from './letters.js';
import { type Picture, toBytes } from './pictures.js';
import { withText } from './png-text.js';

/** Pixels of a small picture, between two of them. */
const gap = 2;
/** Smaller pictures are enlarged by a whole factor, each pixel a square. */
const readableSide = 96;

/** About what a screen shows at a time: the most columns, and pixels of a row and of a column. */
const most = { columns: 12, width: 2100, height: 6000, pictures: 256 };

const zoomOf = (size: number): number => Math.max(1, Math.ceil(readableSide / size));

function fitting(pixels: number, size: number): number {
  const cell = zoomOf(size) * (size + gap);
  return Math.max(1, Math.floor((pixels + zoomOf(size) * gap) / cell));
}

/** How many pictures of this side a row of a grid has at most. */
export const mostColumns = (size: number): number => Math.min(most.columns, fitting(most.width, size));

/** How many pictures of this side a grid shows at most. */
export const mostPictures = (size: number): number =>
  Math.min(most.pictures, mostColumns(size) * fitting(most.height, size));

const png = (image: Sharp): Sharp => image.png();

const encoders: Readonly<Record<string, (image: Sharp) => Sharp>> = {
  '.png': png,
  '.jpg': (image) => image.jpeg({ quality: 95, chromaSubsampling: '4:4:4' }),
  '.jpeg': (image) => image.jpeg({ quality: 95, chromaSubsampling: '4:4:4' }),
  '.webp': (image) => image.webp({ lossless: true }),
};

/** The endings of the files that a grid can be written to; without any it is a PNG. */
export const gridEndings: readonly string[] = Object.keys(encoders);

export const endingOf = (file: string): string => path.extname(file).toLowerCase();

/**
 * Pictures row by row in one file, white between them, in the format of the file's ending.
 *
 * @param cells [S, S, 3] in [−1, 1] each; undefined leaves a place white
 * @param o.tall rows of a picture, where they are not S. @param o.captions what stands above a cell, of `captionsOf`
 * @param o.text kept in the file where that is a PNG
 */
export async function writeGrid(
  file: string,
  cells: readonly (Float32Array | undefined)[],
  o: {
    size: number;
    tall?: number;
    columns: number;
    captions?: readonly (string | undefined)[];
    text?: string;
  },
): Promise<void> {
  const { size, tall = size, columns, captions = [], text: kept } = o;
  const zoom = zoomOf(size);
  const side = zoom * size;
  const step = side + zoom * gap;
  const scale = captions.every((text = '') => 2 * widthOf(text) <= side) ? 2 : 1;
  const rows = Array.from({ length: Math.ceil(cells.length / columns) }, (_, row) => row * columns);
  const band = (letterHeight + 4) * scale;
  let height = 0;
  const tops = rows.map((first) => {
    const above = captions.slice(first, first + columns).some(Boolean) ? band : 0;
    const top = height + above;
    height = top + zoom * (tall + gap);
    return top;
  });
  height -= zoom * gap;
  const width = columns * step - zoom * gap;
  const data = Buffer.alloc(width * height * 3, 255);
  for (const [i, cell] of cells.entries()) {
    const left = (i % columns) * step;
    const top = must(tops[Math.floor(i / columns)], 'row');
    if (cell) draw(data, width, { left, top, zoom, pixels: toBytes(float32([tall, size, 3], cell)), size });
    const text = captions[i];
    if (!text) continue;
    drawLetters(text, (x, y) => {
      for (let dy = 0; dy < scale; dy++) {
        const at = (top - band + scale * (2 + y) + dy) * width + left + scale * x;
        data.fill(0, 3 * at, 3 * (at + scale));
      }
    });
  }
  await writePicture(file, { width, height, data }, kept);
}

/** In the format of the file's ending. @param text kept in the file where that is a PNG */
export async function writePicture(
  file: string,
  { width, height, data }: Picture,
  text?: string,
): Promise<void> {
  const encode = encoders[endingOf(file)] ?? png;
  const bytes = await encode(sharp(data, { raw: { width, height, channels: 3 } })).toBuffer();
  await writeFileAtomic(file, text === undefined || encode !== png ? bytes : withText(bytes, text));
}

function draw(
  data: Buffer,
  width: number,
  o: { left: number; top: number; zoom: number; pixels: Uint8Array; size: number },
): void {
  const { left, top, zoom, pixels, size } = o;
  for (let y = 0; y < pixels.length / size / 3; y++) {
    const row = ((top + y * zoom) * width + left) * 3;
    for (let x = 0; x < size; x++) {
      const pixel = pixels.subarray((y * size + x) * 3, (y * size + x) * 3 + 3);
      for (let k = 0; k < zoom; k++) data.set(pixel, row + (x * zoom + k) * 3);
    }
    for (let k = 1; k < zoom; k++) data.copyWithin(row + k * width * 3, row, row + size * zoom * 3);
  }
}

/** `a-very..name`: what tells names apart often stands at their end. */
function shortened(text: string, letters: number): string {
  if (text.length <= letters) return text;
  const tail = Math.floor((letters - 2) / 2);
  return `${text.slice(0, letters - 2 - tail)}..${text.slice(text.length - tail)}`;
}

/**
 * Names as they can be drawn above pictures of this side; `#2` for the second where it cannot, or not differently from
 * another.
 */
export function captionsOf(names: readonly string[], size: number): string[] {
  const room = lettersIn(zoomOf(size) * size);
  const drawn = names.map((name) => {
    const text = inLetters(name);
    return text && shortened(text, room);
  });
  return drawn.map((text, i) =>
    text === undefined || drawn.indexOf(text) !== drawn.lastIndexOf(text) ? `#${i + 1}` : text,
  );
}

export interface Arrangement {
  readonly columns: number;
  /** The number of the picture in each cell, row by row; undefined where none stands. */
  readonly cells: readonly (number | undefined)[];
}

/**
 * About as many columns as rows. Every kind has columns of its own, one below another; where there are more kinds than
 * columns, they stand in several blocks, one below another.
 *
 * @param kinds the kind of each picture
 * @param limit the most columns
 */
export function arranged(kinds: readonly number[], limit: number): Arrangement {
  const groups = [...new Set(kinds)].map((kind) => kinds.flatMap((other, i) => (other === kind ? [i] : [])));
  const largest = Math.max(...groups.map(({ length }) => length));
  const perBlock = Math.ceil(groups.length / Math.ceil(groups.length / limit));
  const wished = Math.round(Math.ceil(Math.sqrt(kinds.length)) / groups.length);
  const perKind = Math.max(1, Math.min(wished, Math.floor(limit / groups.length), largest));
  const cells: (number | undefined)[] = [];
  for (let first = 0; first < groups.length; first += perBlock) {
    const block = Array.from({ length: perBlock }, (_, i) => groups[first + i] ?? []);
    const rows = Math.ceil(Math.max(...block.map(({ length }) => length)) / perKind);
    for (let row = 0; row < rows; row++) {
      for (const group of block) {
        for (let i = 0; i < perKind; i++) cells.push(group[row * perKind + i]);
      }
    }
  }
  return { columns: perBlock * perKind, cells };
}

const versionColumns = 8;

/**
 * Versions of the same pictures below each other: up to 8 of the first, then as many of the second, …; further
 * pictures below these.
 *
 * @param versions as many pictures each, [S, S, 3] in [−1, 1]. @param o.tall rows of each, where they are not S. @param o.text as of `writeGrid`
 */
export async function writeVersions(
  file: string,
  versions: readonly (readonly Float32Array[])[],
  o: { size: number; tall?: number; text?: string },
): Promise<void> {
  const { size } = o;
  const count = must(versions[0], 'version').length;
  const columns = Math.min(versionColumns, mostColumns(size), count);
  const cells: (Float32Array | undefined)[] = [];
  for (let first = 0; first < count; first += columns) {
    for (const images of versions) for (let i = 0; i < columns; i++) cells.push(images[first + i]);
  }
  await writeGrid(file, cells, { ...o, columns });
}

/** Image `i` of [n, S, S, 3], a copy. */
export function imageAt(images: HostTensor, i: number): Float32Array {
  const area = images.data.length / firstAxis(images);
  return Float32Array.from(images.data.subarray(i * area, (i + 1) * area));
}
