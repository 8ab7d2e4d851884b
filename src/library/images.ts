/** Pictures as the library takes and gives them. */
import { expected } from '../base/errors.js';
import { float32 } from '../base/tensor.js';
import { wholePicture } from '../data/apart.js';
import { endingOf, gridEndings, writePicture } from '../data/grid.js';
import { type PictureSource, readPicture, toBytes } from '../data/pictures.js';
import type { DrawnImage, Image } from './api.js';

export async function readImage(file: string): Promise<Image> {
  if (typeof file !== 'string') throw expected("a file's path", 'readImage', file);
  const { width, height, data } = await readPicture(file, wholePicture);
  return { width, height, data: new Uint8Array(data) };
}

export async function writeImage(file: string, image: Image): Promise<void> {
  if (typeof file !== 'string' || !gridEndings.includes(endingOf(file)))
    throw expected(`a file that ends in ${gridEndings.join(', ')}`, 'writeImage', file);
  const { recipe } = image as Partial<DrawnImage>;
  await writePicture(file, checkedImage(image, 'writeImage'), recipe);
}

/** @param where it was given. @throws UserError for what is no image */
export function checkedImage(image: Image, where: string): Image {
  const { width, height, data } = Object(image) as { width?: unknown; height?: unknown; data?: unknown };
  const side = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) > 0;
  const bytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray;
  if (side(width) && side(height) && bytes && data.length === width * height * 3)
    return { width, height, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
  const kind = ArrayBuffer.isView(data) ? `${data.constructor.name}(${data.byteLength} bytes)` : typeof data;
  throw expected(
    'an image { width, height, data } with width · height · 3 bytes, RGB,',
    where,
    image === Object(image) ? `${width}×${height} with ${kind}` : `${image}`,
    'Pixels with alpha have four bytes: leave the fourth out.',
  );
}

/** @throws UserError for what is neither a path nor an image */
export const sourceOf = (image: string | Image, where: string): PictureSource =>
  typeof image === 'string' ? image : checkedImage(image, where);

/** @param values [height, width, 3] in about [−1, 1] */
export const imageOf = (values: Float32Array, width: number, height = width): Image => ({
  width,
  height,
  data: toBytes(float32([height, width, 3], values)),
});
