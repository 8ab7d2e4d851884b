/**
 * Archives as a store of pictures: nothing of them is unpacked to disk, and of what they hold only names and places
 * stay in memory.
 */
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected, type UserError } from '../../base/errors.js';
import { must } from '../../base/lookup.js';
import { firstBytes } from '../../base/regular-file.js';
import { mayPass, newPatience, steadily } from '../passing.js';
import { heldFiles, reasonOf } from '../pictures.js';
import type { PictureStore } from '../store.js';
import type { LeftOut, Skipped } from '../walk.js';
import { type ArchiveFile, archiveFile } from './file.js';
import { checkCount, type Listing, Unfit } from './listing.js';
import { idxDimensions, listCifar, listIdx } from './raw.js';

interface Kind {
  /** What it is called in an error. */
  readonly title: string;
  /** What its files are called. */
  readonly named: RegExp;
  /** What must lie beside it for the name to count. */
  readonly beside?: string;
  begins?(head: Buffer): boolean;
  list(file: ArchiveFile): Promise<Listing>;
}

const starts = (head: Buffer, ...with_: string[]): boolean =>
  with_.some((start) => head.toString('latin1', 0, start.length) === start);

const kinds: readonly Kind[] = [
  {
    title: 'zip archive',
    named: /\.zip$/i,
    begins: (head) => starts(head, 'PK\x03\x04', 'PK\x05\x06'),
    list: async (file) => (await import('./zip.js')).listZip(file),
  },
  {
    title: 'tar file',
    named: /\.tar$/i,
    begins: (head) => head.toString('latin1', 257, 262) === 'ustar',
    list: async (file) => (await import('./tar.js')).listTar(file),
  },
  {
    title: 'parquet file',
    named: /\.parquet$/i,
    begins: (head) => starts(head, 'PAR1'),
    list: async (file) => (await import('./parquet.js')).listParquet(file),
  },
  {
    title: 'idx file',
    named: /images[-.]idx[34]-ubyte$/,
    begins: (head) => idxDimensions(head) !== undefined,
    list: listIdx,
  },
  {
    title: 'CIFAR-10 file',
    named: /^(data_batch_\d+|test_batch)\.bin$/,
    list: (file) => listCifar(file, 'cifar-10'),
  },
  {
    title: 'CIFAR-100 file',
    named: /^(train|test)\.bin$/,
    beside: 'fine_label_names.txt',
    list: (file) => listCifar(file, 'cifar-100'),
  },
];

function kindByName(place: string): Kind | undefined {
  const [folder, name] = [path.dirname(place), path.basename(place)];
  return kinds.find(
    ({ named, beside }) => named.test(name) && (!beside || existsSync(path.join(folder, beside))),
  );
}

/** @throws Unfit for a compressed file. @throws whatever the system says */
function kindOf(place: string): Kind | undefined {
  const head = firstBytes(place, 512);
  if (starts(head, '\x1f\x8b')) throw compressed();
  return kinds.find(({ begins }) => begins?.(head)) ?? kindByName(place);
}

const compressed = (): Unfit =>
  new Unfit(
    'is compressed as a whole, so that no picture in it can be reached',
    'Unpack it with gunzip (gunzip -k keeps the compressed one) and name what comes out.',
  );

/** What to do next where there are no pictures. */
export const known =
  'Give a folder that holds JPEG, PNG, WebP, AVIF, GIF, TIFF or SVG files, or an archive of pictures: zip, tar, parquet, MNIST idx or CIFAR binary files.';

/** Archives by what they and their folders are called, of which a training is not to see the pictures. */
const heldOut = /(^|[-_./])(t10k|test|val|valid|validation|dev)([-_./\d]|$)/i;

/**
 * Those among the files of a folder that are archives of pictures. Where some are held out by their names and others
 * are not, they are left out.
 *
 * @param names of files below `root` that are no pictures
 * @param o.without files that are left out, with the reason
 * @throws UserError for archives of several kinds, and for those that are compressed where there are no others
 */
export async function archivesAmong(
  root: string,
  names: readonly string[],
  o: { dir: string; where: string; without?: readonly Skipped[] },
): Promise<{ names: readonly string[]; leftOut: readonly Skipped[] } | undefined> {
  const { dir, where, without = [] } = o;
  const excluded = new Map<string, string>();
  for (const { name, reason } of without) {
    const real = await fs.realpath(name).catch(() => undefined);
    if (real !== undefined) excluded.set(real, reason);
  }
  const leftOut: Skipped[] = [];
  const found: { name: string; kind: Kind }[] = [];
  for (const name of names) {
    const kind = kindByName(path.join(root, name));
    if (!kind) continue;
    const reason = excluded.size > 0 ? excluded.get(await fs.realpath(path.join(root, name))) : undefined;
    if (reason === undefined) found.push({ name, kind });
    else leftOut.push({ name, reason });
  }
  const packed = names.find((name) => kindByName(path.join(root, name.replace(/\.gz$/i, ''))));
  if (found.length === 0 && packed !== undefined)
    throw refused(compressed(), { shown: path.join(dir, packed), where });
  const [first] = found;
  if (!first) return undefined;
  const other = found.find(({ kind }) => kind !== first.kind);
  if (other) {
    const received = `${dir}, which holds ${first.name} and ${other.name}`;
    throw expected('archives of one kind', where, received, 'Name one of them, or a folder of one kind.');
  }
  const training = found.filter(({ name }) => !heldOut.test(name));
  if (training.length === 0) return { names: found.map(({ name }) => name), leftOut };
  const reason = 'held out, by its name: what --data, data.val_dir or evaluate name is read';
  for (const { name } of found) if (heldOut.test(name)) leftOut.push({ name, reason });
  return { names: training.map(({ name }) => name), leftOut };
}

/**
 * The pictures of some archives. Of a single one they are called as in it; of those in a folder, the name of the
 * archive stands before each picture's own.
 *
 * @param o.files places of regular files, and what their pictures' names begin with
 * @param o.dir what the user named. @param o.where the option or key that did. @param o.left what the folder holds besides
 * @throws UserError that names an archive which is damaged or of no known kind
 */
export async function openArchives(
  files: readonly { place: string; prefix?: string }[],
  o: { dir: string; where: string; left?: Pick<LeftOut, 'leftOut' | 'unreadable'> },
): Promise<PictureStore> {
  const { dir, where, left = { leftOut: [], unreadable: [] } } = o;
  const opened: Opened[] = [];
  for (const { place, prefix } of files) {
    const shown = prefix === undefined ? dir : path.join(dir, path.relative(path.resolve(dir), place));
    let kind: Kind | undefined;
    try {
      const file = await archiveFile(place);
      kind = kindOf(place);
      if (!kind) throw new Unfit('is a file of no known kind', known);
      opened.push({ file, listing: await kind.list(file), prefix });
      checkCount(opened.reduce((sum, { listing }) => sum + listing.names.length, 0));
    } catch (error) {
      throw refused(error, { shown, where, title: kind?.title });
    }
  }
  return joined(opened, { dir, where, left });
}

interface Opened {
  readonly file: ArchiveFile;
  readonly listing: Listing;
  readonly prefix?: string;
}

function refused(error: unknown, o: { shown: string; where: string; title?: string }): UserError {
  const { shown, where, title } = o;
  if (error instanceof Unfit)
    return expected('a folder of images', where, `${shown}, which ${error.message}`, error.next);
  const reason = reasonOf(error).replace(/\.$/, '');
  const [why, next] = mayPass(error)
    ? [`cannot be read (${reason})`, '']
    : [`is damaged: ${reason}`, 'Copy or download it again.'];
  return expected(`a whole ${title ?? 'archive'}`, where, `${shown}, which ${why}`, next, error);
}

function joined(
  opened: readonly Opened[],
  o: { dir: string; where: string; left: Pick<LeftOut, 'leftOut' | 'unreadable'> },
): PictureStore {
  const pictures = opened.flatMap(({ prefix, listing }) =>
    listing.names.map((own, index) => ({ name: behind(prefix, own), listing, index })),
  );
  pictures.sort((a, b) => (a.name < b.name ? -1 : 1));
  const names = pictures.map(({ name }) => name);
  const twice = names.find((name, i) => name === names[i + 1]);
  if (twice !== undefined) {
    const next = 'A picture is known by its name: give each its own.';
    throw expected('different names', o.where, `${o.dir}, which holds ${twice} twice`, next);
  }
  const all = <T>(list: (listing: Listing) => readonly T[] | undefined): T[] =>
    opened.flatMap(({ listing }) => list(listing) ?? []);
  const classNames = opened.some(({ listing }) => listing.classNames)
    ? pictures.map(({ listing, index }) => listing.classNames?.[index] ?? '.')
    : undefined;
  const patience = newPatience();
  return {
    names,
    ...(classNames && { classNames }),
    left: {
      leftOut: [...o.left.leftOut, ...all(({ leftOut }) => leftOut)],
      others: all(({ others }) => others),
      byBytes: all(({ byBytes }) => byBytes),
      unreadable: o.left.unreadable,
    },
    read(at, use) {
      const { listing, index } = must(pictures[at], `image ${at}`);
      const read = async () => use(await listing.read(index));
      return steadily(() => heldFiles.hold(listing.size(index), read), { patience });
    },
    async *stamps() {
      yield* opened.map(({ file }) => file.stamp);
      yield* names;
    },
  };
}

/** `cat/1.jpg` of `part/set-0.tar`: `cat/part-set-0-1.jpg`, so that the folders of pictures stay classes. */
function behind(archive: string | undefined, own: string): string {
  if (archive === undefined) return own;
  const stem = archive.replace(/\.[a-z]+$/i, '').replaceAll('/', '-');
  const folder = own.slice(0, own.lastIndexOf('/') + 1);
  return `${folder}${stem}-${own.slice(folder.length)}`;
}
