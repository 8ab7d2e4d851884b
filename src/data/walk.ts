/** The files under a folder that are pictures, and all that is left out, so that it can be told. */
import type { Dirent } from 'node:fs';
import fs from 'node:fs/promises';
import { type Place, placeIn, textOf } from './file-names.js';
import { ownFolder, runFolders } from './own-folders.js';
import { endingOf, hasPictureEnding, isLitter, isPictureInside } from './picture-files.js';
import { reasonOf } from './pictures.js';

export interface PictureFile {
  /** Relative path with forward slashes. */
  readonly name: string;
  readonly place: Place;
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

export interface Walked {
  /** Sorted by name. */
  readonly files: readonly PictureFile[];
  /** Folders of vqgen's own, and what is neither file nor folder. */
  readonly leftOut: readonly Skipped[];
  /** Folders that cannot be listed, their names with a slash behind them. */
  readonly unreadable: readonly Skipped[];
  /** Regular files that are no pictures: their names. */
  readonly others: readonly string[];
  /** Names of pictures whose ending does not say so. */
  readonly byBytes: readonly string[];
}

/**
 * Only regular files are pictures, and links that lead to one. Names count, not files: a picture that is linked twice
 * stands there twice, as a copy would. A link to a folder is followed unless it leads to a folder above it, or to one
 * that another link in the same folder of the root (the same class) led to already: so every circle ends.
 *
 * @param without folders below that are left out, with the reason
 * @throws whatever the system says of a root that cannot be listed
 */
export async function walkPictures(root: string, without: readonly Skipped[] = []): Promise<Walked> {
  const excluded = new Map<string, string>();
  for (const { name, reason } of without) {
    const real = await realOf(name).catch(() => undefined);
    if (real !== undefined) excluded.set(real, reason);
  }
  const walk: Walk = {
    ...{ files: [], leftOut: [], unreadable: [], others: [], byBytes: [] },
    excluded,
  };
  await visit({ place: root, prefix: '', above: [], linked: new Set(), byLink: false }, walk);
  const order = (a: PictureFile, b: PictureFile): number => (a.name < b.name ? -1 : 1);
  return { ...walk, files: walk.files.sort(order) };
}

interface Walk {
  readonly files: PictureFile[];
  readonly leftOut: Skipped[];
  readonly unreadable: Skipped[];
  readonly others: string[];
  readonly byBytes: string[];
  /** Why a folder is left out, by its real path. */
  readonly excluded: ReadonlyMap<string, string>;
}

interface Folder {
  readonly place: Place;
  /** Its name with a slash behind it; of the root nothing. */
  readonly prefix: string;
  /** Real paths of the folders on the way here. */
  readonly above: readonly string[];
  /** Real paths of folders reached by a link, within one folder of the root. */
  readonly linked: Set<string>;
  readonly byLink: boolean;
}

interface Entry extends PictureFile {
  readonly own: string;
  readonly kind: Kind;
  readonly isLink: boolean;
}

async function visit(folder: Folder, walk: Walk): Promise<void> {
  const { place, prefix, above, linked, byLink } = folder;
  const real = await realOf(place);
  if (above.includes(real) || (byLink && linked.has(real))) return;
  const isRoot = above.length === 0;
  const excluded = isRoot ? undefined : walk.excluded.get(real);
  if (excluded) {
    walk.leftOut.push({ name: prefix, reason: excluded });
    return;
  }
  const entries = await entriesOf(folder);
  if (byLink) linked.add(real);
  const regular = entries.filter(({ kind }) => kind === 'file');
  const own = await ownFolder(new Map(regular.map((entry) => [entry.own, entry.place])));
  if (own && !isRoot) {
    walk.leftOut.push({ name: prefix, reason: own });
    return;
  }
  for (const entry of entries) {
    if (entry.kind !== 'folder') sort(entry, walk);
    else if (own === 'a run of vqgen' && runFolders.includes(entry.own))
      walk.leftOut.push({ name: `${entry.name}/`, reason: 'part of a run of vqgen' });
    else {
      const next = {
        place: entry.place,
        prefix: `${entry.name}/`,
        above: [...above, real],
        linked: isRoot ? new Set<string>() : linked,
        byLink: byLink || entry.isLink,
      };
      await visit(next, walk).catch((error) =>
        walk.unreadable.push({ name: next.prefix, reason: reasonOf(error) }),
      );
    }
  }
}

/** Without litter, sorted, so that which of two links is followed depends on nothing but names. */
async function entriesOf({ place, prefix }: Folder): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (const entry of await fs.readdir(place, { withFileTypes: true, encoding: 'buffer' })) {
    const own = textOf(entry.name);
    if (isLitter(own)) continue;
    const at = placeIn(place, entry.name);
    const isLink = entry.isSymbolicLink();
    const target = isLink ? await fs.stat(at).catch(() => undefined) : entry;
    entries.push({ own, name: prefix + own, place: at, kind: kindOf(target), isLink });
  }
  return entries.sort((a, b) => (a.own < b.own ? -1 : 1));
}

type Kind = 'file' | 'folder' | 'a pipe' | 'a socket' | 'a device' | 'a link that leads nowhere';

function kindOf(
  entry: Pick<Dirent<Buffer>, 'isFile' | 'isDirectory' | 'isFIFO' | 'isSocket'> | undefined,
): Kind {
  if (!entry) return 'a link that leads nowhere';
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'folder';
  if (entry.isFIFO()) return 'a pipe';
  return entry.isSocket() ? 'a socket' : 'a device';
}

/** A link that leads nowhere is a picture by its ending: whoever reads it hears that there is no such file. */
function sort({ own, name, place, kind }: Entry, walk: Walk): void {
  const isFile = kind === 'file';
  if ((isFile || kind === 'a link that leads nowhere') && hasPictureEnding(own)) {
    walk.files.push({ name, place });
  } else if (!isFile) walk.leftOut.push({ name, reason: kind });
  else {
    try {
      if (isPictureInside(own, place)) {
        walk.files.push({ name, place });
        walk.byBytes.push(name);
      } else walk.others.push(name);
    } catch (error) {
      walk.leftOut.push({ name, reason: reasonOf(error) });
    }
  }
}

async function realOf(place: Place): Promise<string> {
  return (await fs.realpath(place, 'buffer')).toString('latin1');
}

/**
 * `checkpoints/default/ (a run of vqgen), 120 files that are no pictures (100 .txt, 20 .json)`; nothing where nothing
 * was left out.
 */
export function describeLeftOut({ leftOut, others }: Walked): string | undefined {
  const parts = leftOut.slice(0, shownNames).map(({ name, reason }) => `${name} (${reason})`);
  if (leftOut.length > shownNames) parts.push(`${leftOut.length - shownNames} more like these`);
  if (others.length > 0) {
    const what = others.length === 1 ? 'file that is no picture' : 'files that are no pictures';
    parts.push(`${others.length} ${what} (${describeEndings(others)})`);
  }
  return parts.length > 0 ? parts.join(', ') : undefined;
}

const shownNames = 20;
const shownEndings = 8;

/** `100 .txt, 2 without ending, notes.md`, the most frequent first. */
export function describeEndings(names: readonly string[]): string {
  const byEnding = new Map<string, { first: string; count: number }>();
  for (const name of names) {
    const ending = endingOf(name) || 'without ending';
    const found = byEnding.get(ending);
    if (found) found.count++;
    else byEnding.set(ending, { first: name, count: 1 });
  }
  const sorted = [...byEnding].sort(([, a], [, b]) => b.count - a.count || (a.first < b.first ? -1 : 1));
  const shown = sorted
    .slice(0, shownEndings)
    .map(([ending, { first, count }]) => (count === 1 ? first : `${count} ${ending}`));
  const rest = sorted.slice(shownEndings).reduce((sum, [, { count }]) => sum + count, 0);
  return [...shown, ...(rest > 0 ? [`${rest} more`] : [])].join(', ');
}
