/**
 * The data set of a run: a folder of images, or the built-in drawings, in two splits. `imageSplits` lists it and
 * decodes nothing (for streaming); `openDataset` holds every picture decoded (for training).
 */
import { createHash } from 'node:crypto';
import { expected } from '../base/errors.js';
import { must, take } from '../base/lookup.js';
import { type Reporter, silent } from '../base/progress.js';
import type { DataConfig } from '../config/schema.js';
import { attempt, type CacheOptions, openCache, type PixelCache, removeOtherCaches } from './cache.js';
import { drawnImages } from './drawn.js';
import type { Picture } from './pictures.js';
import { handful, type ImageSource, listImages, relabel, type Skipped } from './source.js';
import { splitNames } from './split.js';
import { endDrawingsOn } from './svg-file.js';

export interface ImageSet {
  readonly count: number;
  /** Sorted relative paths. */
  readonly names: readonly string[];
  /** Index into the data set's classes. */
  readonly labels: Int32Array;
  /** 8-bit pixels, shorter side = the data set's size. */
  read(index: number): Picture | Promise<Picture>;
}

export interface Dataset {
  readonly size: number;
  readonly classes: readonly string[];
  readonly train: ImageSet;
  readonly val: ImageSet;
  readonly skipped: readonly Skipped[];
  /** What the files of each source held, where they come from files. */
  readonly contents: readonly Contents[];
}

/** Of one source: each name with what its file held; null where it could not be read. */
export type Contents = ReadonlyMap<string, string | null>;

/** Pictures of a source, in the order of their names. */
export interface Subset {
  readonly source: ImageSource;
  readonly indices: readonly number[];
}

export interface Splits {
  readonly classes: readonly string[];
  readonly train: Subset;
  readonly val: Subset;
}

/** The drawings of every run are the same, whatever its seed: runs stay comparable. */
const drawnSeed = 0;

/**
 * Both splits, listed: by the hash of the name, or `val_dir` for validation, which is no part of `dir` then even
 * where it lies in it. Without `dir`, the built-in set.
 *
 * @param where the option that named `dir`, for errors
 * @throws UserError for a folder that is missing or has no image file
 */
export async function imageSplits(
  config: Pick<DataConfig, 'dir' | 'val_dir' | 'val_fraction' | 'drawn' | 'pictures' | 'labels'>,
  where = '--data',
  reporter: Reporter = silent,
): Promise<Splits> {
  const { dir, val_dir } = config;
  const without = val_dir === null ? [] : [{ name: val_dir, reason: 'for validation, data.val_dir' }];
  const source =
    dir === null
      ? drawnImages(config.drawn, drawnSeed)
      : await listImages(dir, where, { reporter, without, data: config });
  if (val_dir === null) {
    const { train, val } = splitNames(source.names, config.val_fraction);
    return {
      classes: source.classes,
      train: { source, indices: train },
      val: { source, indices: val },
    };
  }
  const other = await listImages(val_dir, 'data.val_dir', { reporter, data: config });
  const classes = [...new Set([...source.classes, ...other.classes])].sort();
  return { classes, train: everyImage(relabel(source, classes)), val: everyImage(relabel(other, classes)) };
}

/**
 * `imageSplits` as `openSplits` has them: where no image of a split can be read, the names of the others are split
 * anew. Decodes one image of each split, more only where that one cannot be read. What is found unreadable is left in
 * `val`, for whoever streams it to tell.
 */
export async function readableSplits(
  config: Pick<DataConfig, 'dir' | 'val_dir' | 'val_fraction' | 'drawn' | 'pictures' | 'labels' | 'size'>,
  where?: string,
  { reporter, signal }: { reporter?: Reporter; signal?: AbortSignal } = {},
): Promise<Splits> {
  endDrawingsOn(signal);
  checkInFolder(config);
  const splits = await imageSplits(config, where, reporter);
  const { source } = splits.train;
  if (splits.val.source !== source) return splits;
  const tried = new Map<number, boolean>();
  const unreadable = new Set<number>();
  const noneOf = async (indices: readonly number[]): Promise<readonly number[]> => {
    for (const i of indices) {
      signal?.throwIfAborted();
      if (!tried.has(i)) tried.set(i, !('reason' in (await attempt(source, i, config.size))));
      if (tried.get(i)) return [];
    }
    return indices;
  };
  let { train, val } = { train: splits.train.indices, val: splits.val.indices };
  for (;;) {
    const found = [...(await noneOf(train)), ...(await noneOf(val))];
    if (found.length === 0) break;
    for (const i of found) unreadable.add(i);
    const kept = everyImage(source).indices.filter((i) => !unreadable.has(i));
    if (kept.length === 0) return splits;
    const parts = splitNames(take(source.names, kept), config.val_fraction);
    train = take(kept, parts.train);
    val = take(kept, parts.val);
  }
  const told = [...val, ...unreadable].sort((a, b) => a - b);
  return { ...splits, train: { source, indices: train }, val: { source, indices: told } };
}

/** @throws UserError for maps that are in no folder */
export function checkInFolder({ dir, pictures }: Pick<DataConfig, 'dir' | 'pictures'>): void {
  if (dir !== null || pictures === 'photographs') return;
  throw expected('a folder of maps', '--data', 'nothing', `The built-in pictures are no ${pictures}.`);
}

export function everyImage(source: ImageSource): Subset {
  return { source, indices: source.names.map((_, i) => i) };
}

/** Tells names and classes of pictures apart, in their order. */
export function listSum(subsets: Readonly<Record<string, Subset>>): string {
  const hash = createHash('sha256');
  for (const [split, { source, indices }] of Object.entries(subsets)) {
    hash.update(JSON.stringify([split, source.classes]));
    for (const i of indices) hash.update(JSON.stringify([source.names[i], source.labels[i]]));
  }
  return hash.digest('hex');
}

/**
 * The data set of a config, decoded.
 *
 * @param splits the config's, where they are listed already
 * @throws UserError for a folder that is missing or has no readable image
 */
export async function openDataset(
  config: DataConfig,
  o: Omit<CacheOptions, 'size'>,
  splits?: Splits,
): Promise<Dataset> {
  const { size, val_fraction, max_unreadable } = config;
  const listed = splits ?? (await imageSplits(config, undefined, o.reporter));
  return openSplits(listed, { ...o, size, val_fraction, max_unreadable });
}

/**
 * Decodes what the cache folder does not hold yet, and keeps nothing else there. Files that cannot be read are left
 * out and named in `skipped`; where both splits are of one source they are made by the names of the others.
 *
 * @throws UserError where no image can be read, or too many cannot
 */
export async function openSplits(
  splits: Splits,
  o: CacheOptions & Pick<DataConfig, 'val_fraction'> & Partial<Pick<DataConfig, 'max_unreadable'>>,
): Promise<Dataset> {
  const { size } = o;
  const { source } = splits.train;
  const cache = await openCache(source, o);
  const other = splits.val.source === source ? undefined : await openCache(splits.val.source, o);
  await removeOtherCaches(o.cacheDir, other ? [cache, other] : [cache]);
  checkReadable(source, cache, o.max_unreadable);
  if (other) checkReadable(splits.val.source, other, o.max_unreadable);
  const contents = [contentsOf(source, cache), ...(other ? [contentsOf(splits.val.source, other)] : [])];
  if (!other) {
    const parts = splitNames(take(source.names, cache.kept), o.val_fraction);
    return {
      size,
      classes: splits.classes,
      train: imageSet(source, cache, parts.train),
      val: imageSet(source, cache, parts.val),
      skipped: cache.skipped,
      contents,
    };
  }
  const all = (c: PixelCache): number[] => c.kept.map((_, i) => i);
  return {
    size,
    classes: splits.classes,
    train: imageSet(source, cache, all(cache)),
    val: imageSet(splits.val.source, other, all(other)),
    skipped: [...cache.skipped, ...other.skipped],
    contents,
  };
}

/**
 * A handful is left out whatever its share, up to half.
 *
 * @throws UserError where more of the pictures cannot be read than may be left out
 */
function checkReadable({ names, origin }: ImageSource, { skipped }: PixelCache, most = 0.1): void {
  const share = skipped.length / names.length;
  if (share <= most || (skipped.length <= handful && share <= 0.5)) return;
  const percent = `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
  const shown = skipped.slice(0, handful).map(({ name, reason }) => `${name}: ${reason}`);
  const more = skipped.length > handful ? `, and ${skipped.length - handful} more` : '';
  throw expected(
    `images of which at most ${100 * most} % cannot be read`,
    origin.where,
    `${origin.value}, where ${skipped.length} of ${names.length} cannot, ${percent} (${shown.join(', ')}${more})`,
    `Mend them or take them out; to train without them: --set data.max_unreadable=${Math.ceil(100 * share) / 100}`,
  );
}

function contentsOf({ names }: ImageSource, { kept, contents }: PixelCache): Contents {
  const found = new Map<string, string | null>(names.map((name) => [name, null]));
  for (const [i, at] of kept.entries()) found.set(must(names[at], 'name'), contents[i] ?? null);
  return found;
}

/** @param positions into `cache.kept` */
function imageSet(source: ImageSource, cache: PixelCache, positions: readonly number[]): ImageSet {
  const indices = take(cache.kept, positions);
  return {
    count: positions.length,
    names: take(source.names, indices),
    labels: Int32Array.from(take(source.labels, indices)),
    read: (i) => cache.read(must(positions[i], `image ${i}`)),
  };
}
