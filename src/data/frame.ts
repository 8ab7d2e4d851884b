/**
 * Where the pixels of a picture file lie in its evaluation view, the square of S × S pixels that the models see: boxes
 * and masks are given in the picture's own pixels and taken there.
 */
import { expected } from '../base/errors.js';
import { decode, extentOf, longestSide, type PictureSource, placeOf, readPicture } from './pictures.js';

export interface Frame {
  /** What errors call the picture. */
  readonly file: string;
  /** Of the upright picture, in its own pixels. */
  readonly width: number;
  readonly height: number;
  /** S. */
  readonly size: number;
}

/** In pixels of the picture, from its upper left; sides above 0. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** @throws UserError naming the file when it is missing or no picture */
export async function frameOf(from: PictureSource, size: number): Promise<Frame> {
  const { width, height } = await readPicture(from, extentOf);
  return { file: placeOf(from), width, height, size };
}

/** One side of the picture: `at` takes a place on it to the view. */
function axis(side: number, { width, height, size }: Frame) {
  const full = Math.round((side * size) / Math.min(width, height));
  const kept = Math.min(full, longestSide * size);
  const before = (full - kept) / 2 + ((kept - size) >> 1);
  return { at: (place: number) => (place * full) / side - before, seen: (before * side) / full };
}

/** From and up to which pixel of the view those from `from` up to `to` of the picture reach; they may be none. */
function reach(at: (place: number) => number, from: number, to: number, size: number): [number, number] {
  return [Math.max(0, Math.floor(at(from))), Math.min(size, Math.ceil(at(to)))];
}

/**
 * [S, S], 1 for every pixel of the view that the box touches.
 *
 * @throws UserError for a box outside of the picture, and of what of it is seen
 */
export function boxPixels(frame: Frame, box: Box): Uint8Array {
  const { width, height, size, file } = frame;
  const given = [box.x, box.y, box.width, box.height].join();
  if (box.x >= width || box.y >= height || box.x + box.width <= 0 || box.y + box.height <= 0) {
    throw expected(
      `a box within the ${width}×${height} pixels of ${file}`,
      '--box',
      given,
      'It is X,Y,W,H in pixels of the picture, from its upper left.',
    );
  }
  const [across, down] = [axis(width, frame), axis(height, frame)];
  const [left, right] = reach(across.at, box.x, box.x + box.width, size);
  const [top, bottom] = reach(down.at, box.y, box.y + box.height, size);
  if (left >= right || top >= bottom) {
    const side = Math.min(width, height);
    const from = `${Math.round(across.seen)},${Math.round(down.seen)}`;
    throw expected(
      `a box within the ${side}×${side} pixels from ${from} on, the middle of ${file}`,
      '--box',
      given,
      'The run sees squares; crop the picture around what is to be edited.',
    );
  }
  const pixels = new Uint8Array(size * size);
  for (let y = top; y < bottom; y++) pixels.fill(1, y * size + left, y * size + right);
  return pixels;
}

/**
 * [S, S], 1 for every pixel of the view that white of a mask touches, however thin: the mask's pixels are looked at as
 * they are, before any resizing. White is what is nearer to white than to black.
 *
 * @param from of the same width and height as the picture
 * @throws UserError when it is missing, no picture, or of another size
 */
export async function maskPixels(frame: Frame, from: PictureSource): Promise<Uint8Array> {
  const { width, height, size } = frame;
  const own = await frameOf(from, size);
  if (own.width !== width || own.height !== height) {
    throw expected(
      `a mask of ${width}×${height} pixels, as ${frame.file} has`,
      '--mask',
      `${own.file} of ${own.width}×${own.height}`,
      'White marks what is to be redrawn.',
    );
  }
  const mask = await readPicture(from, (bytes) => decode(bytes, Math.min(width, height)));
  const reaches = (side: number, kept: number): [number, number][] => {
    const { at } = axis(side, frame);
    const before = (side - kept) >> 1;
    return Array.from({ length: kept }, (_, i) => reach(at, before + i, before + i + 1, size));
  };
  const [across, down] = [reaches(width, mask.width), reaches(height, mask.height)];
  const pixels = new Uint8Array(size * size);
  for (const [row, [top, bottom]] of down.entries()) {
    for (const [column, [left, right]] of across.entries()) {
      const [red = 0, green = 0, blue = 0] = mask.data.subarray(3 * (row * mask.width + column));
      if (red + green + blue < 383) continue;
      for (let y = top; y < bottom; y++) if (left < right) pixels.fill(1, y * size + left, y * size + right);
    }
  }
  return pixels;
}
