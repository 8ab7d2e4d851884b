/** Picture files as pixels and tensors, by what the pictures are: `data.pictures`. */
import sharp, { type Sharp } from 'sharp';
import { float32, type HostTensor } from '../base/tensor.js';
import type { DataConfig } from '../config/schema.js';
import { type Colours, checkColours, countColours } from './map-labels.js';
import {
  centreOf,
  decode,
  decodeAlone,
  drawn,
  type Extent,
  fitted,
  fromBytes,
  type Picture,
  type PictureSource,
  placeOf,
  readPicture,
  rgb,
  writeCrop,
} from './pictures.js';
import { open } from './samples.js';
import { drawSvg, isSvg, svgExtent } from './svg-file.js';

export type PictureKind = DataConfig['pictures'];

/** What pictures are, and of label maps the colours, as far as they are known. */
export type PictureData = Pick<DataConfig, 'pictures' | 'labels'>;

const photographs: PictureData = { pictures: 'photographs', labels: [] };

interface Reading {
  /** The shorter side `size`, as `decode` of photographs. */
  decode(file: Buffer, size: number): Promise<Picture>;
  /** So many pixels, what of it is longer trimmed about the centre. */
  covering(file: Buffer, extent: Extent): Promise<Picture>;
}

/** @throws Error in words about a file that is no picture, is cut off, or cannot be of the kind */
export const readings: Record<PictureKind, Reading> = {
  photographs: {
    decode,
    async covering(file, extent) {
      if (isSvg(file)) return drawn(file, extent);
      return decodeAlone(file, async () => {
        const { image } = await open(file);
        const { data, info } = await image
          .flatten({ background: 'white' })
          .toColourspace('srgb')
          .resize({ ...extent, fit: 'cover', position: 'centre' })
          .raw()
          .toBuffer({ resolveWithObject: true });
        return { ...extent, data: rgb(data, info.channels) };
      });
    },
  },

  /** No colour is mixed with another, or taken to another by a profile: each pixel is one of the file's. */
  labels: {
    async decode(file, size) {
      const { width, height } = await uprightOf(file);
      return readings.labels.covering(file, fitted(width, height, size));
    },
    async covering(file, extent) {
      const { data, channels } = isSvg(file)
        ? await drawSvg(file, 'labels', extent)
        : await decodeAlone(file, () => labelSamples(file, extent));
      return { ...extent, data: rgb(whereOpaque(data, channels), channels) };
    },
  },

  /** Grey, its least value black and its greatest white: depth is known up to scale and shift. */
  depth: {
    async decode(file, size) {
      const { width, height } = await uprightOf(file);
      return readings.depth.covering(file, fitted(width, height, size));
    },
    async covering(file, extent) {
      const values = isSvg(file)
        ? wordsOf((await drawSvg(file, 'depth', extent)).data)
        : await decodeAlone(file, () => depthSamples(file, extent));
      return { ...extent, data: rgb(stretched(values), values.length / (extent.width * extent.height)) };
    },
  },
};

async function uprightOf(file: Buffer): Promise<Extent> {
  if (isSvg(file)) return svgExtent(file);
  return (await decodeAlone(file, () => sharp(file).metadata())).autoOrient;
}

async function labelSamples(file: Buffer, { width, height }: Extent) {
  const { depth } = await labelImage(file).metadata();
  if (depth !== 'uchar')
    throw new Error('more than 256 values a channel: save labels with 8 bits, or colours');
  const { data, info } = await labelImage(file)
    .toColourspace('srgb')
    .resize({ width, height, fit: 'cover', position: 'centre', kernel: 'nearest' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { data, channels: info.channels };
}

async function depthSamples(file: Buffer, { width, height }: Extent): Promise<Uint16Array | Float32Array> {
  const { depth } = await sharp(file).metadata();
  const ofFloats = depth === 'float';
  const image = ofFloats
    ? sharp(file, strict).autoOrient().extractChannel(0)
    : (await open(file)).image.flatten({ background: 'white' }).toColourspace('grey16');
  const { data } = await image
    .resize({ width, height, fit: 'cover', position: 'centre' })
    .raw({ depth: ofFloats ? 'float' : 'ushort' })
    .toBuffer({ resolveWithObject: true });
  return ofFloats ? new Float32Array(new Uint8Array(data).buffer) : wordsOf(data);
}

const wordsOf = (data: Uint8Array): Uint16Array => new Uint16Array(new Uint8Array(data).buffer);

const strict = { failOn: 'error' } as const;

const labelImage = (file: Buffer): Sharp => sharp(file, { ...strict, ignoreIcc: true }).autoOrient();

/** Pixels that are transparent become white. @throws Error where some are so in part: their colour is no label */
function whereOpaque(data: Uint8Array, channels: number): Uint8Array {
  if (channels !== 2 && channels !== 4) return data;
  const result = new Uint8Array(data);
  for (let at = 0; at < result.length; at += channels) {
    const alpha = result[at + channels - 1];
    if (alpha === 0) result.fill(255, at, at + channels - 1);
    else if (alpha !== 255) throw new Error('pixels that are transparent in part, which mixes labels');
  }
  return result;
}

/** From 0 for the least value to 255 for the greatest; of equal ones 0. @throws Error for one that is not finite */
function stretched(values: Uint16Array | Float32Array): Uint8Array {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (!Number.isFinite(value)) throw new Error(`a depth of ${value}`);
    if (value < least) least = value;
    if (value > most) most = value;
  }
  const span = most > least ? most - least : 1;
  return Uint8Array.from(values, (value) => Math.round((255 * (value - least)) / span));
}

/** A picture for training or a program. @param name for errors. @throws UserError for colours that are no labels */
export function checkKnown(picture: Picture, { pictures, labels }: PictureData, name: string): void {
  if (pictures !== 'labels' || labels.length === 0) return;
  const found: Colours = new Map();
  countColours(found, picture.data, name);
  checkColours(
    found,
    labels.map((colour) => ({ colour })),
  );
}

/**
 * The evaluation view of a picture: shorter side resized, centre crop.
 *
 * @param data what it is: a photograph unless given
 * @returns float32 [size, size, 3] in [−1, 1]
 * @throws UserError naming the file when it is missing, no picture, or a label map of other colours
 */
export async function readEvalImage(
  from: PictureSource,
  size: number,
  data = photographs,
): Promise<HostTensor> {
  const picture = await readPicture(from, (bytes) => readings[data.pictures].decode(bytes, size));
  checkKnown(picture, data, placeOf(from));
  const image = new Float32Array(size * size * 3);
  writeCrop(picture, image, 0, { size, ...centreOf(picture, size), mirrored: false });
  return float32([size, size, 3], image);
}

/** A picture file that covers so many pixels: [height, width, 3] in [−1, 1]. @throws UserError as `readEvalImage` */
export async function readCovering(file: string, extent: Extent, kind: PictureKind): Promise<Float32Array> {
  return fromBytes((await readPicture(file, (bytes) => readings[kind].covering(bytes, extent))).data);
}
