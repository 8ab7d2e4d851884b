/**
 * Where pictures come from: a folder of image files (its subfolders are the classes) or the built-in drawings
 * (drawn.ts). A source lists and decodes; it keeps no pixels.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected, type UserError } from '../base/errors.js';
import { mapInOrder } from './map-in-order.js';
import { decode, type Picture, reasonOf } from './pictures.js';

export interface ImageSource {
  /** Relative paths with forward slashes, sorted. */
  readonly names: readonly string[];
  /** First segments of the files' names, sorted; `.` stands for pictures that lie in no subfolder. */
  readonly classes: readonly string[];
  /** Index into `classes` of each name. */
  readonly labels: Int32Array;
  /** What an error calls it: the option or key that named it, and its value. */
  readonly origin: { where: string; value: string };
  /** Shorter side `size`, see `decode`. Rejects when the picture cannot be read. */
  read(index: number, size: number): Promise<Picture>;
  /** Text that changes whenever a picture does. */
  stamps(): AsyncIterable<string>;
}

export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** BMP, HEIC and the like are looked at too: whoever has them hears that they cannot be read. */
const extensions = new Set(
  '.jpg .jpeg .jpe .jfif .png .webp .gif .avif .tif .tiff .svg .svgz .bmp .heic .heif .jxl .jp2'.split(' '),
);

const next = 'Give a folder that holds JPEG, PNG, WebP, AVIF, GIF, TIFF or SVG files.';

/**
 * All image files under `dir`, hidden ones left out, links followed. A folder in it that cannot be listed stands among the names with a slash
 * behind it: like a file that cannot be read it is skipped by whoever reads it, and named.
 *
 * @param where the option or config key that named the folder, for errors
 * @throws UserError when `dir` is missing, is no folder or holds no file with an image's extension
 */
export async function listImages(dir: string, where = '--data'): Promise<ImageSource> {
  const root = path.resolve(dir);
  const stat = await fs.stat(root).catch(() => undefined);
  if (!stat) throw expected('a folder of images', where, `${dir}, which does not exist`, next);
  if (!stat.isDirectory()) throw expected('a folder of images', where, `${dir}, which is a file`, next);

  const names: string[] = [];
  await walk(root, '', [], names).catch((error) => {
    const received = `${dir}, which cannot be read (${reasonOf(error)})`;
    throw expected('a folder of images', where, received, next, error);
  });
  if (names.length === 0) {
    throw expected('a folder of images', where, `${dir}, which holds no image file`, next);
  }
  names.sort();
  return {
    names,
    ...classesOf(names),
    origin: { where, value: dir },
    read: async (index, size) => decode(await fs.readFile(path.join(root, names[index]!)), size),
    stamps: () => mapInOrder(names.length, 16, (i) => stampOf(root, names[i]!)),
  };
}

async function walk(dir: string, prefix: string, above: readonly string[], names: string[]): Promise<void> {
  const real = await fs.realpath(dir);
  if (above.includes(real)) return;
  for (const entry of await fs.readdir(dir, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue;
    const full = path.join(dir, entry.name);
    const target = entry.isSymbolicLink() ? await fs.stat(full).catch(() => undefined) : entry;
    const inside = `${prefix}${entry.name}/`;
    if (target?.isDirectory())
      await walk(full, inside, [...above, real], names).catch(() => names.push(inside));
    else if (extensions.has(path.extname(entry.name).toLowerCase())) names.push(prefix + entry.name);
  }
}

async function stampOf(root: string, name: string): Promise<string> {
  const stat = await fs.stat(path.join(root, name)).catch(() => undefined);
  return stat ? `${name}\0${stat.size}\0${stat.ctimeMs}` : name;
}

export function classesOf(names: readonly string[]): { classes: string[]; labels: Int32Array } {
  const ofNames = names.map((name) => (name.includes('/') ? name.slice(0, name.indexOf('/')) : '.'));
  const classes = [...new Set(ofNames.filter((_, i) => !names[i]!.endsWith('/')))].sort();
  return { classes, labels: Int32Array.from(ofNames, indexIn(classes)) };
}

/** The same pictures, labelled by another list of classes that has all of the source's own. */
export function relabel(source: ImageSource, classes: readonly string[]): ImageSource {
  const of = indexIn(classes);
  return { ...source, classes, labels: source.labels.map((label) => of(source.classes[label]!)) };
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
    read: (i, size) => places[i]!.source.read(places[i]!.index, size),
    async *stamps() {
      for (const source of sources) yield* source.stamps();
    },
  };
}

function indexIn(classes: readonly string[]): (name: string) => number {
  const index = new Map(classes.map((name, i) => [name, i]));
  return (name) => index.get(name)!;
}

/** The error for a source of which every picture was skipped. */
export function noneReadable({ origin }: ImageSource, skipped: readonly Skipped[]): UserError {
  const [first] = skipped;
  const tried = first ? `, where none of ${skipped.length} can be read (${first.name}: ${first.reason})` : '';
  return expected('a folder with readable images', origin.where, `${origin.value}${tried}`, next);
}

/** `3 of 120 images were skipped: a.jpg (cut off), …` */
export function describeSkipped(skipped: readonly Skipped[], total: number): string {
  const shown = skipped.slice(0, 20).map(({ name, reason }) => `${name} (${reason})`);
  if (skipped.length > shown.length) shown.push(`and ${skipped.length - shown.length} more`);
  const verb = skipped.length === 1 ? 'was' : 'were';
  return `${skipped.length} of ${total} images ${verb} skipped: ${shown.join(', ')}`;
}
