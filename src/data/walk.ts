/** The files under a folder that are pictures, and all that is left out, so that it can be told. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { firstBytes, strangeKind } from '../base/regular-file.js';
import { type Place, placeIn, textOf } from './file-names.js';
import { ownFolder, runFolders } from './own-folders.js';
import { newPatience, type Patience, steadily } from './passing.js';
import { endingOf, hasPictureEnding, headBytes, isLitter, isPictureInside } from './picture-files.js';
import { reasonOf } from './pictures.js';

export interface PictureFile {
  /** Relative path with forward slashes. */
  readonly name: string;
  readonly place: Place;
  /** A link that leads nowhere. */
  readonly lost?: true;
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
  /** Where the system could not read it, not for what it holds: another time it may be read. */
  readonly passing?: boolean;
}

export interface Walked extends LeftOut {
  /** Sorted by name. */
  readonly files: readonly PictureFile[];
}

export interface LeftOut {
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
 * Only regular files are pictures, and links that lead to one. Each real file counts once in a folder of the root (a
 * class): by its own name where it has one there, else by that of its first link. A link to a folder is followed once
 * in a class, and from within a class not to another class as a whole, which is here already. So every circle ends,
 * and a web of links takes no longer than what is in it.
 *
 * @param o.without folders below that are left out, with the reason
 * @param o.everyName whether links to one file count each, within a class too
 * @throws whatever the system says of a root that cannot be listed
 */
export async function walkPictures(
  root: string,
  o: { without?: readonly Skipped[]; everyName?: boolean } = {},
): Promise<Walked> {
  const { without = [] } = o;
  const excluded = new Map<string, string>();
  for (const { name, reason } of without) {
    const real = await realOf(name).catch(() => undefined);
    if (real !== undefined) excluded.set(real, reason);
  }
  const walk: Walk = {
    ...{ found: [], leftOut: [], unreadable: [], others: [], byBytes: [], links: [] },
    ...{ excluded, listings: new Map(), seen: new Set(), classes: new Map(), root: await realOf(root) },
    patience: newPatience(),
  };
  await visit({ place: root, prefix: '', real: walk.root, className: undefined, linked: false }, walk);
  await followLinks(walk);
  const { leftOut, unreadable, others } = walk;
  const files = o.everyName ? [...walk.found].sort(byName) : oncePerClass(walk.found);
  const taken = new Set(files.map(({ name }) => name));
  return {
    files: files.map(({ name, place, lost }) => ({ name, place, ...(lost && { lost }) })),
    ...{ leftOut: leftOut.sort(byName), unreadable: unreadable.sort(byName), others: others.sort() },
    byBytes: walk.byBytes.filter((name) => taken.has(name)).sort(),
  };
}

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);

interface Walk {
  readonly found: Found[];
  readonly leftOut: Skipped[];
  readonly unreadable: Skipped[];
  readonly others: string[];
  readonly byBytes: string[];
  /** Links to folders, which are followed when all else is listed. */
  readonly links: FolderLink[];
  /** Why a folder is left out, by its real path. */
  readonly excluded: ReadonlyMap<string, string>;
  /** Of real folders that a link led to: others may, too. */
  readonly listings: Map<string, readonly Listed[]>;
  /** Classes and the real folders that were looked at for them. */
  readonly seen: Set<string>;
  /** Names of the folders of the root that are no links, by their real paths. */
  readonly classes: Map<string, string>;
  readonly root: string;
  readonly patience: Patience;
}

interface Found extends PictureFile {
  readonly className: string;
  /** Real path. */
  readonly real: string;
  readonly isLink: boolean;
}

interface Folder {
  readonly place: Place;
  /** Its name with a slash behind it; of the root nothing. */
  readonly prefix: string;
  readonly real: string;
  /** The first part of its name; undefined for the root. */
  readonly className: string | undefined;
  /** Whether a link led here. */
  readonly linked: boolean;
}

type FolderLink = Omit<Folder, 'linked'> & {
  /** Real path of the folder that it lies in. */
  readonly from: string;
};

/** What a folder holds, whatever it is called. */
interface Listed {
  readonly own: string;
  readonly bytes: Buffer;
  /** `file`, `folder` or what else it is. */
  readonly kind: string;
  readonly isLink: boolean;
  /** Real path. */
  readonly real: string;
}

async function visit(folder: Folder, walk: Walk): Promise<void> {
  const { place, prefix, real } = folder;
  const isRoot = folder.className === undefined;
  const excluded = isRoot ? undefined : walk.excluded.get(real);
  if (excluded) {
    walk.leftOut.push({ name: prefix, reason: excluded });
    return;
  }
  const key = `${folder.className}\0${real}`;
  if (walk.seen.has(key)) return;
  walk.seen.add(key);
  const entries = await listingOf(folder, walk);
  const at = ({ bytes }: Listed): Place => placeIn(place, bytes);
  const regular = entries.filter(({ kind }) => kind === 'file');
  const own = await ownFolder(new Map(regular.map((entry) => [entry.own, at(entry)])));
  if (own && !isRoot) {
    walk.leftOut.push({ name: prefix, reason: own });
    return;
  }
  for (const entry of entries) {
    const name = prefix + entry.own;
    if (entry.kind !== 'folder')
      sort(entry, { name, place: at(entry), className: folder.className ?? '.' }, walk);
    else if (own === 'a run of vqgen' && runFolders.includes(entry.own))
      walk.leftOut.push({ name: `${name}/`, reason: 'part of a run of vqgen' });
    else {
      const className = folder.className ?? entry.own;
      const next = { place: at(entry), prefix: `${name}/`, real: entry.real, className };
      if (isRoot && !entry.isLink) walk.classes.set(entry.real, className);
      if (entry.isLink) walk.links.push({ ...next, from: real });
      else if (entry.real !== walk.root) await visitBelow({ ...next, linked: folder.linked }, walk);
    }
  }
}

async function visitBelow(folder: Folder, walk: Walk): Promise<void> {
  await visit(folder, walk).catch((error) =>
    walk.unreadable.push({ name: folder.prefix, reason: reasonOf(error) }),
  );
}

/** In turn, by their names; those that are found on the way come behind those that wait. */
async function followLinks(walk: Walk): Promise<void> {
  for (let round = walk.links.splice(0); round.length > 0; round = walk.links.splice(0)) {
    for (const link of round.sort((a, b) => (a.prefix < b.prefix ? -1 : 1))) {
      const { real, from, className, prefix } = link;
      if (isWithin(from, real)) continue;
      const isClass = prefix === `${className}/`;
      const target = walk.classes.get(real);
      if (target !== undefined && target !== className && !isClass) {
        walk.leftOut.push({ name: prefix, reason: `a link to ${target}/, which is here already` });
      } else await visitBelow({ ...link, linked: true }, walk);
    }
  }
}

const isWithin = (folder: string, other: string): boolean =>
  folder === other || folder.startsWith(inside(other));

/** What the real paths of what lies in a folder begin with. */
const inside = (real: string): string => (real.endsWith(path.sep) ? real : real + path.sep);

/** Without litter, sorted, so that which of two links is followed depends on nothing but names. */
async function listingOf({ place, real, linked }: Folder, walk: Walk): Promise<readonly Listed[]> {
  const known = walk.listings.get(real);
  if (known) return known;
  const entries: Listed[] = [];
  const listing = await steadily(() => fs.readdir(place, { withFileTypes: true, encoding: 'buffer' }), walk);
  for (const entry of listing) {
    const own = textOf(entry.name);
    if (isLitter(own)) continue;
    const at = placeIn(place, entry.name);
    const isLink = entry.isSymbolicLink();
    const target = isLink ? await fs.stat(at).catch(() => undefined) : entry;
    const direct = inside(real) + entry.name.toString('latin1');
    const leadsTo = isLink && target ? await realOf(at).catch(() => direct) : direct;
    entries.push({ own, bytes: entry.name, kind: kindOf(target), isLink, real: leadsTo });
  }
  entries.sort((a, b) => (a.own < b.own ? -1 : 1));
  if (linked) walk.listings.set(real, entries);
  return entries;
}

function kindOf(entry: Parameters<typeof strangeKind>[0] | undefined): string {
  if (!entry) return nowhere;
  if (entry.isDirectory()) return 'folder';
  return strangeKind(entry) ?? 'file';
}

const nowhere = 'a link that leads nowhere';

/** A link that leads nowhere is a picture by its ending: whoever reads it hears that there is no such file. */
function sort(entry: Listed, at: PictureFile & { className: string }, walk: Walk): void {
  const { own, kind, real, isLink } = entry;
  const { name, place } = at;
  const isFile = kind === 'file';
  if ((isFile || kind === nowhere) && hasPictureEnding(own)) {
    walk.found.push({ ...at, real, isLink, ...(!isFile && { lost: true }) });
  } else if (!isFile) walk.leftOut.push({ name, reason: kind });
  else {
    try {
      if (isPictureInside(own, () => firstBytes(place, headBytes))) {
        walk.found.push({ ...at, real, isLink });
        walk.byBytes.push(name);
      } else walk.others.push(name);
    } catch (error) {
      walk.leftOut.push({ name, reason: reasonOf(error) });
    }
  }
}

/** Sorted by name; of the names that lead to one file in a class its own, or else the first. */
function oncePerClass(found: readonly Found[]): Found[] {
  const sorted = [...found].sort(byName);
  const chosen = new Map<string, Found>();
  for (const file of [...sorted.filter(({ isLink }) => !isLink), ...sorted]) {
    const key = `${file.className}\0${file.real}`;
    if (!chosen.has(key)) chosen.set(key, file);
  }
  return [...chosen.values()].sort(byName);
}

/** As one character for each byte, whatever the bytes are. */
async function realOf(place: Place): Promise<string> {
  return (await fs.realpath(place, 'buffer')).toString('latin1');
}

/**
 * `checkpoints/default/ (a run of vqgen), 120 files that are no pictures (100 .txt, 20 .json)`; nothing where nothing
 * was left out.
 */
export function describeLeftOut({ leftOut, others }: LeftOut): string | undefined {
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
