/**
 * A word to who named a folder whose subfolders are hardly meant as classes: those of a split, or one around all the
 * others.
 */
import { statSync } from 'node:fs';
import path from 'node:path';

/** How a command is told other folders. */
export interface Otherwise {
  readonly one: (dir: string) => string;
  readonly two: (train: string, val: string) => string;
}

const after = '(?:[-_ ]?(?:set|data|images|split))?[-_ ]?\\d*$';
const isTrain = new RegExp(`^train(?:ing)?${after}`, 'i');
/** The first that fits is validated on. */
const heldOut = [/^val(?:id|idation)?/, /^dev/, /^test(?:ing)?/].map(
  (name) => new RegExp(name.source + after, 'i'),
);

/**
 * @param names relative paths of the images under `dir`
 * @param o.split whether folders of a split are worth a word: not where validation images are named already
 * @returns nothing where the folders can be classes, or where nothing is lost
 */
export function layoutHint(
  dir: string,
  names: readonly string[],
  { one, two, split = true }: Otherwise & { split?: boolean },
): string | undefined {
  let inside = '';
  let tops = topFolders(names, inside);
  while (tops.length === 1 && tops[0] !== undefined) {
    inside += `${tops[0]}/`;
    tops = topFolders(names, inside);
  }
  const at = (folder: string): string => quoted(path.join(dir, inside, folder));
  const folders = tops.filter((top) => top !== undefined).sort();
  const train = folders.find((folder) => isTrain.test(folder));
  const val = heldOut.map((name) => folders.find((folder) => name.test(folder))).find(Boolean);
  const here = path.join(dir, inside);
  if (train !== undefined && val !== undefined) {
    if (!split) return undefined;
    const nested = names.some((name) => name.slice(inside.length + train.length + 1).includes('/'));
    const isArchive = statSync(dir, { throwIfNoEntry: false })?.isFile() === true;
    const next = isArchive ? 'unpack it and name the two folders' : two(at(train), at(val));
    return (
      `${here} has the folders ${train} and ${val}: as subfolders they are two classes, ` +
      'and images of both are for training. ' +
      `If they are a split${nested ? ' and the folders in them the classes' : ''}: ${next}`
    );
  }
  if (inside === '' || folders.length < 2) return undefined;
  return (
    `All ${names.length} images lie in ${here}, which makes them one class. ` +
    `For the ${folders.length} folders in it as classes: ${one(at(''))}`
  );
}

/** The folders that lie in the folder `inside`; undefined stands among them for images that lie in it. */
function topFolders(names: readonly string[], inside: string): (string | undefined)[] {
  const tops = names.map((name) => {
    const end = name.indexOf('/', inside.length);
    return end < 0 ? undefined : name.slice(inside.length, end);
  });
  return [...new Set(tops)];
}

const quoted = (place: string): string => (/\s/.test(place) ? `'${place}'` : place);
