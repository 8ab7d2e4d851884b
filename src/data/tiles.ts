/** Pictures side by side in one PNG at their own size, nothing between them: for pages, which enlarge them. */
import sharp from 'sharp';
import { float32 } from '../base/tensor.js';
import { toBytes } from './pictures.js';

/** Transparent pixels between two pictures. */
export const tileGap = 2;

export interface Tiles {
  readonly png: Buffer;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/** @param pictures [S, S, 3] in [−1, 1] each, row by row, at least one. @param o.size S */
export async function tilesOf(
  pictures: readonly Float32Array[],
  { size, columns: most }: { size: number; columns: number },
): Promise<Tiles> {
  const columns = Math.min(most, pictures.length);
  const step = size + tileGap;
  const width = columns * step - tileGap;
  const height = Math.ceil(pictures.length / columns) * step - tileGap;
  const data = Buffer.alloc(width * height * 4);
  for (const [i, picture] of pictures.entries()) {
    const bytes = toBytes(float32([size, size, 3], picture));
    const corner = Math.floor(i / columns) * step * width + (i % columns) * step;
    for (let at = 0; at < size * size; at++) {
      const to = 4 * (corner + Math.floor(at / size) * width + (at % size));
      data.set(bytes.subarray(3 * at, 3 * at + 3), to);
      data[to + 3] = 255;
    }
  }
  const png = await sharp(data, { raw: { width, height, channels: 4 } })
    .png({ compressionLevel: 9 })
    .toBuffer();
  return { png, width, height };
}
