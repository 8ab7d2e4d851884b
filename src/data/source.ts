/**
 * Where pictures come from: a folder of image files (its subfolders are the classes), archives, or the built-in
 * drawings (drawn.ts). A source lists and decodes; it keeps no pixels.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { expected, type UserError } from '../base/errors.js';
import { must, take } from '../base/lookup.js';
import { type Reporter, silent } from '../base/progress.js';
import { archivesAmong, known as next, openArchives } from './archives/archives.js';
import { missing } from './file-names.js';
import { type Picture, reasonOf } from './pictures.js';
import { checkKnown, type PictureData, readings } from './reading.js';
import { folderStore, type PictureStore } from './store.js';
import { describeEndings, describeLeftOut, type Skipped, walkPictures } from './walk.js';

export type { Skipped } from './walk.js';

export interface SourcePicture extends Picture {
  /** The length and CRC-32 of its file, which tell whether it holds what it held. */
  readonly content?: string;
}

export interface ImageSource {
  /** Relative paths with forward slashes, sorted. */
  readonly names: readonly string[];
  /** First segments of the files' names, or what an archive says, sorted; `.` stands for pictures without. */
  readonly classes: readonly string[];
  /** Index into `classes` of each name. */
  readonly labels: Int32Array;
  /** What an error calls it: the option or key that named it, and its value. */
  readonly origin: { where: string; value: string };
  /** Shorter side `size`, see `decode`. Rejects when the picture cannot be read, which is tried for a while. */
  read(index: number, size: number): Promise<SourcePicture>;
  /** Text that changes whenever a picture does. */
  stamps(): AsyncIterable<string>;
}

/**
 * All image files under `dir` that `walkPictures` finds, links followed, or the pictures of an archive, or of those in
 * a folder. Told once are: what was left out, and what was taken though its name does not say so, as notes; folders
 * that cannot be listed as warnings. Hidden files and the litter of systems are passed over in silence.
 *
 * @param where the option or config key that named the folder, for errors
 * @param o.data what they are: photographs unless given
 * @param o.without folders or files below `dir` that are left out, with the reason
 * @param o.everyName whether links to one file count each
 * @param o.onDisk whether each name must be that of a file: archives are none then
 * @throws UserError when `dir` is missing, is neither folder nor archive, is damaged or holds no image file
 */
export async function listImages(
  dir: string,
  where = '--data',
  o: {
    reporter?: Reporter;
    without?: readonly Skipped[];
    everyName?: boolean;
    onDisk?: boolean;
    data?: PictureData;
  } = {},
): Promise<ImageSource> {
  const { reporter = silent, data } = o;
  const store = await openStore(dir, where, o);
  const { names, left } = store;
  const { unreadable, byBytes } = left;
  const leftOut = describeLeftOut(left);
  if (names.length === 0) {
    const closed = unreadable.map(({ name, reason }) => `${name}: ${reason}`);
    const why = [...closed, ...(leftOut ? [`left out: ${leftOut}`] : [])].join('; ');
    const received = `${dir}, which holds no image file${why && ` (${why})`}`;
    throw expected('a folder of images', where, received, next);
  }
  for (const { name, reason } of unreadable) {
    reporter.warn(`What lies in ${path.join(dir, name)} is left out: ${reason}.`);
  }
  if (leftOut) reporter.note(`Left out of ${dir}: ${leftOut}.`);
  if (byBytes.length > 0) reporter.note(`Pictures by their first bytes: ${describeEndings(byBytes)}.`);
  return {
    names,
    ...classesOf(names, store.classNames),
    origin: { where, value: dir },
    async read(index, size) {
      const { decode } = readings[data?.pictures ?? 'photographs'];
      const picture = await store.read(index, async (bytes) => ({
        ...(await decode(bytes, size)),
        content: `${bytes.length}-${crc32(bytes).toString(16)}`,
      }));
      if (data) checkKnown(picture, data, must(names[index], `image ${index}`));
      return picture;
    },
    async *stamps() {
      if (data && data.pictures !== 'photographs') yield data.pictures;
      yield* store.stamps();
    },
  };
}

/** A folder without pictures of its own that holds archives stands for those. */
async function openStore(
  dir: string,
  where: string,
  o: { without?: readonly Skipped[]; everyName?: boolean; onDisk?: boolean },
): Promise<PictureStore> {
  const root = path.resolve(dir);
  const stat = await fs.stat(root).catch(() => undefined);
  if (!stat) throw expected('a folder of images', where, missing(dir), next);
  if (stat.isFile()) return openArchives([{ place: root }], { dir, where });
  if (!stat.isDirectory()) throw expected('a folder of images', where, `${dir}, which is no folder`, next);
  const walked = await walkPictures(root, o).catch((error) => {
    const received = `${dir}, which cannot be read (${reasonOf(error)})`;
    throw expected('a folder of images', where, received, next, error);
  });
  if (walked.files.length > 0 || o.onDisk) return folderStore(walked);
  const archives = await archivesAmong(root, walked.others, { dir, where, without: o.without });
  if (!archives) return folderStore(walked);
  const files = archives.names.map((name) => ({ place: path.join(root, name), prefix: name }));
  const leftOut = [...walked.leftOut, ...archives.leftOut];
  return openArchives(files, { dir, where, left: { ...walked, leftOut } });
}

/** @param ofNames the class of each name: its first folder unless given */
export function classesOf(
  names: readonly string[],
  ofNames: readonly string[] = names.map(firstFolder),
): { classes: string[]; labels: Int32Array } {
  const classes = [...new Set(ofNames)].sort();
  return { classes, labels: Int32Array.from(ofNames, indexIn(classes)) };
}

const firstFolder = (name: string): string => (name.includes('/') ? name.slice(0, name.indexOf('/')) : '.');

/** The same pictures, labelled by another list of classes that has all of the source's own. */
export function relabel(source: ImageSource, classes: readonly string[]): ImageSource {
  const labels = Int32Array.from(take(source.classes, source.labels), indexIn(classes));
  return { ...source, classes, labels };
}

/** Several sources one after another as one: a class of the same name in two of them is one class. */
export function joinSources(sources: readonly ImageSource[]): ImageSource {
  const [first] = sources;
  if (!first) throw new Error('internal: no source to join');
  if (sources.length === 1) return first;
  const classes = [...new Set(sources.flatMap((source) => source.classes))].sort();
  const labelled = sources.map((source) => relabel(source, classes));
  const places = sources.flatMap((source) => source.names.map((_, index) => ({ source, index })));
  return {
    names: sources.flatMap(({ names }) => names),
    classes,
    labels: Int32Array.from(labelled.flatMap(({ labels }) => [...labels])),
    origin: { where: first.origin.where, value: sources.map(({ origin }) => origin.value).join(', ') },
    read: (i, size) => {
      const { source, index } = must(places[i], `image ${i}`);
      return source.read(index, size);
    },
    async *stamps() {
      for (const source of sources) yield* source.stamps();
    },
  };
}

function indexIn(classes: readonly string[]): (name: string) => number {
  const index = new Map(classes.map((name, i) => [name, i]));
  return (name) => must(index.get(name), `class ${name}`);
}

/** The class of a picture, by its name. */
export const classOf = ({ classes, labels }: ImageSource, index: number): string =>
  must(classes[labels[index] ?? -1], `class of image ${index}`);

/** The error for a source of which every picture was skipped. */
export function noneReadable(
  { origin }: Pick<ImageSource, 'origin'>,
  skipped: readonly Skipped[],
): UserError {
  const [first] = skipped;
  const tried = first ? `, where none of ${skipped.length} can be read (${first.name}: ${first.reason})` : '';
  return expected('a folder with readable images', origin.where, `${origin.value}${tried}`, next);
}

/** What is left out with a warning, whatever its share. */
export const handful = 5;

/**
 * What is made of pictures while their disk is away is no result.
 *
 * @throws UserError where the system could not read more than a few
 */
export function checkThere({ origin }: ImageSource, skipped: readonly Skipped[], total: number): void {
  const away = skipped.filter(({ passing }) => passing);
  const [first] = away;
  if (!first || away.length <= handful || away.length <= 0.1 * total) return;
  throw expected(
    'images that the system can read',
    origin.where,
    `${origin.value}, where it cannot read ${away.length} of ${total} (${first.name}: ${first.reason})`,
    'Nothing is made of a part: try again when they are there.',
  );
}

/** `3 of 120 images were skipped: a.jpg (cut off), …` */
export function describeSkipped(skipped: readonly Skipped[], total: number): string {
  const shown = skipped.slice(0, 20).map(({ name, reason }) => `${name} (${reason})`);
  if (skipped.length > shown.length) shown.push(`and ${skipped.length - shown.length} more`);
  const verb = skipped.length === 1 ? 'was' : 'were';
  return `${skipped.length} of ${total} images ${verb} skipped: ${shown.join(', ')}`;
}
