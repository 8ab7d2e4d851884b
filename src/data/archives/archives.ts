/**
 * Archives as a store of pictures: nothing of them is unpacked to disk, and of what they hold only names and places
 * stay in memory.
 */
import { expected, UserError } from '../../base/errors.js';
import { must } from '../../base/lookup.js';
import { firstBytes } from '../../base/regular-file.js';
import { mayPass, newPatience, steadily } from '../passing.js';
import { heldFiles, reasonOf } from '../pictures.js';
import type { PictureStore } from '../store.js';
import { type ArchiveFile, archiveFile } from './file.js';
import { checkCount, type Listing } from './listing.js';

interface Kind {
  /** What it is called in an error. */
  readonly title: string;
  list(file: ArchiveFile): Promise<Listing>;
}

const kinds = {
  zip: { title: 'zip archive', list: async (file) => (await import('./zip.js')).listZip(file) },
} satisfies Record<string, Kind>;

type KindName = keyof typeof kinds;

/** By its first bytes. */
function kindOf({ place }: ArchiveFile): KindName | undefined {
  const head = firstBytes(place, 512);
  const begins = (start: string): boolean => head.toString('latin1', 0, start.length) === start;
  if (begins('PK\x03\x04') || begins('PK\x05\x06')) return 'zip';
  return undefined;
}

/**
 * The pictures of some archives. Of a single one they are called as in it; of several the name of the archive stands
 * before each picture's own.
 *
 * @param places of regular files
 * @param o.dir what the user named. @param o.where the option or key that did
 * @throws UserError that names an archive which is damaged or of no known kind
 */
export async function openArchives(
  places: readonly string[],
  { dir, where }: { dir: string; where: string },
): Promise<PictureStore> {
  const opened: { file: ArchiveFile; listing: Listing }[] = [];
  for (const place of places) {
    const shown = places.length === 1 ? dir : place;
    let title: string | undefined;
    try {
      const file = await archiveFile(place);
      const name = kindOf(file);
      if (!name)
        throw expected('a folder of images', where, `${shown}, which is a file of no known kind`, known);
      title = kinds[name].title;
      opened.push({ file, listing: await kinds[name].list(file) });
      checkCount(opened.reduce((sum, { listing }) => sum + listing.names.length, 0));
    } catch (error) {
      if (error instanceof UserError) throw error;
      throw refused(error, { shown, where, title });
    }
  }
  return joined(opened, { dir, where });
}

/** What to do next where there are no pictures. */
export const known =
  'Give a folder that holds JPEG, PNG, WebP, AVIF, GIF, TIFF or SVG files, or a zip archive of one.';

function refused(error: unknown, o: { shown: string; where: string; title?: string }): UserError {
  const { shown, where, title = 'archive' } = o;
  if (mayPass(error))
    return expected(
      `a whole ${title}`,
      where,
      `${shown}, which cannot be read (${reasonOf(error)})`,
      '',
      error,
    );
  const reason = reasonOf(error).replace(/\.$/, '');
  return expected(
    `a whole ${title}`,
    where,
    `${shown}, which is damaged: ${reason}`,
    'Copy or download it again.',
    error,
  );
}

function joined(
  opened: readonly { file: ArchiveFile; listing: Listing }[],
  { dir, where }: { dir: string; where: string },
): PictureStore {
  const isOne = opened.length === 1;
  const pictures = opened.flatMap(({ file, listing }) =>
    listing.names.map((own, index) => ({ name: isOne ? own : behind(file.name, own), listing, index })),
  );
  pictures.sort((a, b) => (a.name < b.name ? -1 : 1));
  const names = pictures.map(({ name }) => name);
  const twice = names.find((name, i) => name === names[i + 1]);
  if (twice !== undefined)
    throw expected('different names', where, `${dir}, which holds ${twice} twice`, known);
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
      leftOut: all(({ leftOut }) => leftOut),
      others: all(({ others }) => others),
      byBytes: all(({ byBytes }) => byBytes),
      unreadable: [],
    },
    read(at, use) {
      const { listing, index } = must(pictures[at], `image ${at}`);
      return steadily(() => heldFiles.hold(listing.size(index), async () => use(await listing.read(index))), {
        patience,
      });
    },
    async *stamps() {
      yield* opened.map(({ file }) => file.stamp);
      yield* names;
    },
  };
}

/** `cat/1.jpg` of `set-0.tar`: `cat/set-0-1.jpg`, so that folders stay classes. */
function behind(archive: string, own: string): string {
  const stem = archive.replace(/\.[a-z]+$/, '');
  const folder = own.slice(0, own.lastIndexOf('/') + 1);
  return `${folder}${stem}-${own.slice(folder.length)}`;
}
