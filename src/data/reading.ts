/** Picture files as pixels and tensors, by what the pictures are: `data.pictures`. */
import sharp from 'sharp';
import { float32, type HostTensor } from '../base/tensor.js';
import type { DataConfig } from '../config/schema.js';
import {
  centreOf,
  decode,
  type Extent,
  fitted,
  fromBytes,
  type Picture,
  readPicture,
  rgb,
  writeCrop,
} from './pictures.js';
import { open } from './samples.js';

export type PictureKind = DataConfig['pictures'];

interface Reading {
  /** The shorter side `size`, as `decode` of photographs. */
  decode(file: Buffer, size: number): Promise<Picture>;
  /** So many pixels, what of it is longer trimmed about the centre. */
  covering(file: Buffer, extent: Extent): Promise<Picture>;
}

/** @throws whatever sharp says about a file that is no picture, or is cut off */
export const readings: Record<PictureKind, Reading> = {
  photographs: {
    decode,
    async covering(file, { width, height }) {
      const { image } = await open(file);
      const { data, info } = await image
        .flatten({ background: 'white' })
        .toColourspace('srgb')
        .resize({ width, height, fit: 'cover', position: 'centre' })
        .raw()
        .toBuffer({ resolveWithObject: true });
      return { width, height, data: rgb(data, info.channels) };
    },
  },

  /** No colour is mixed with another: each pixel is one of the file's. */
  labels: {
    async decode(file, size) {
      const { width, height } = await sharp(file, { failOn: 'error' }).metadata();
      return readings.labels.covering(file, fitted(width, height, size));
    },
    async covering(file, { width, height }) {
      const { data, info } = await sharp(file, { failOn: 'error' })
        .flatten({ background: 'white' })
        .toColourspace('srgb')
        .resize({ width, height, fit: 'cover', position: 'centre', kernel: 'nearest' })
        .raw()
        .toBuffer({ resolveWithObject: true });
      return { width, height, data: rgb(data, info.channels) };
    },
  },

  /** Grey, its least value black and its greatest white: depth is known up to scale and shift. */
  depth: {
    async decode(file, size) {
      const { width, height } = await open(file);
      return readings.depth.covering(file, fitted(width, height, size));
    },
    async covering(file, { width, height }) {
      const { image } = await open(file);
      const { data } = await image
        .flatten({ background: 'white' })
        .toColourspace('grey16')
        .resize({ width, height, fit: 'cover', position: 'centre' })
        .raw({ depth: 'ushort' })
        .toBuffer({ resolveWithObject: true });
      const values = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
      return { width, height, data: rgb(stretched(values), values.length / (width * height)) };
    },
  },
};

/** From 0 for the least value to 255 for the greatest; of equal ones 0. */
function stretched(values: Uint16Array): Uint8Array {
  let [least, most] = [65535, 0];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const span = Math.max(1, most - least);
  return Uint8Array.from(values, (value) => Math.round((255 * (value - least)) / span));
}

/**
 * The evaluation view of a picture file: shorter side resized, centre crop.
 *
 * @returns float32 [size, size, 3] in [−1, 1]
 * @throws UserError naming the file when it is missing or no picture
 */
export async function readEvalImage(
  file: string,
  size: number,
  kind: PictureKind = 'photographs',
): Promise<HostTensor> {
  const picture = await readPicture(file, (bytes) => readings[kind].decode(bytes, size));
  const image = new Float32Array(size * size * 3);
  writeCrop(picture, image, 0, { size, ...centreOf(picture, size), mirrored: false });
  return float32([size, size, 3], image);
}

/** A picture file that covers so many pixels: [height, width, 3] in [−1, 1]. @throws UserError as `readEvalImage` */
export async function readCovering(file: string, extent: Extent, kind: PictureKind): Promise<Float32Array> {
  return fromBytes((await readPicture(file, (bytes) => readings[kind].covering(bytes, extent))).data);
}
