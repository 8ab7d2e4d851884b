/** Maps beside pictures: a folder with one for each, of the same name but for its ending. */
import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { expected } from '../base/errors.js';
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import {
  centreOf,
  type Extent,
  fitted,
  fromBytes,
  type Picture,
  readPicture,
  rgb,
  writeCrop,
} from './pictures.js';
import { listImages } from './source.js';

export interface Maps {
  readonly dir: string;
  /** That of a picture, fitted as the picture was. @throws UserError for one of another shape */
  of(name: string, picture: Picture): Promise<Picture>;
}

/** A name without its ending. */
export const stemOf = (name: string): string => name.slice(0, name.length - path.extname(name).length);

const mostNamed = 5;

/** `a.jpg, b.jpg and 3 more` */
function someOf(names: readonly string[]): string {
  const more = names.length - mostNamed;
  return `${names.slice(0, mostNamed).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/**
 * @param names of the pictures that need one
 * @param o.all of all pictures of the folder. @param o.where the key that named `dir`
 * @throws UserError for a folder that is none, and for pictures without a map
 */
export async function mapsFor(
  names: readonly string[],
  dir: string,
  o: { all: readonly string[]; where: string; reporter: Reporter },
): Promise<Maps> {
  const { where, reporter } = o;
  const listed = await listImages(dir, where);
  const byStem = new Map(listed.names.map((name) => [stemOf(name), name]));
  const missing = names.filter((name) => !byStem.has(stemOf(name)));
  if (missing.length > 0) {
    throw expected(
      'a map for every picture',
      where,
      `${dir}, which has none for ${someOf(missing)}`,
      'A map has the name of its picture, whatever its ending.',
    );
  }
  const wanted = new Set(o.all.map(stemOf));
  const idle = listed.names.filter((name) => !wanted.has(stemOf(name)));
  if (idle.length > 0) reporter.warn(`Maps without a picture are left out: ${someOf(idle)}.`);
  return {
    dir,
    async of(name, { width, height }) {
      const file = path.join(dir, must(byStem.get(stemOf(name)), 'map'));
      const map = await decodeMap(await fs.readFile(file), Math.min(width, height)).catch((cause) => {
        throw expected(
          'a picture',
          file,
          'what cannot be read',
          'It is a map: mend it, or take it out.',
          cause,
        );
      });
      if (map.width === width && map.height === height) return map;
      throw expected(
        `a map as wide and high as its picture ${name}, once fitted ${width}×${height}`,
        file,
        `${map.width}×${map.height}`,
      );
    },
  };
}

/** As `decode`, but that no colour is mixed with another: each pixel is one of the map's. */
export async function decodeMap(file: Buffer, size: number): Promise<Picture> {
  const { width, height } = await sharp(file, { failOn: 'error' }).metadata();
  return covering(file, fitted(width, height, size));
}

async function covering(file: Buffer, { width, height }: Extent): Promise<Picture> {
  const { data, info } = await sharp(file, { failOn: 'error' })
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .resize({ width, height, fit: 'cover', position: 'centre', kernel: 'nearest' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data: rgb(data, info.channels) };
}

/** The evaluation view of a map: [size, size, 3] in [−1, 1]. @throws UserError naming the file */
export async function readMap(file: string, size: number): Promise<Float32Array> {
  const map = await readPicture(file, (bytes) => decodeMap(bytes, size));
  const image = new Float32Array(size * size * 3);
  writeCrop(map, image, 0, { size, ...centreOf(map, size), mirrored: false });
  return image;
}

/** As `readCovering`, of a map. @throws UserError naming the file */
export async function readMapCovering(file: string, extent: Extent): Promise<Float32Array> {
  return fromBytes((await readPicture(file, (bytes) => covering(bytes, extent))).data);
}
