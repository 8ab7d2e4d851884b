/** Maps beside pictures: a folder with one for each, of the same name but for its ending. */
import path from 'node:path';
import { expected } from '../base/errors.js';
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { type Picture, reasonOf } from './pictures.js';
import type { PictureKind } from './reading.js';
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
 * @param o.all of all pictures of the folder. @param o.kind what the maps are. @param o.where the key that named `dir`
 * @throws UserError for a folder that is none, and for pictures without a map
 */
export async function mapsFor(
  names: readonly string[],
  dir: string,
  o: { all: readonly string[]; kind: PictureKind; where: string; reporter: Reporter },
): Promise<Maps> {
  const { kind, where, reporter } = o;
  // Pictures may share a map by links to it.
  const listed = await listImages(dir, where, { everyName: true, data: { pictures: kind, labels: [] } });
  const byStem = new Map(listed.names.map((name, i) => [stemOf(name), i]));
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
      const index = must(byStem.get(stemOf(name)), 'map');
      const file = path.join(dir, must(listed.names[index], 'map'));
      const map = await listed.read(index, Math.min(width, height)).catch((cause) => {
        throw expected('a map', file, reasonOf(cause), 'It is a map: mend it, or take it out.', cause);
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
