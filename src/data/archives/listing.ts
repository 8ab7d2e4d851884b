/** What an archive of any kind holds. */
import path from 'node:path';
import { hasPictureEnding, isLitter, isPictureInside } from '../picture-files.js';
import { mostBytes } from '../picture-limits.js';
import type { Skipped } from '../walk.js';

export interface Listing {
  /** Relative paths with forward slashes, in the order of the archive. */
  readonly names: readonly string[];
  /** The class of each, where the archive says it otherwise than by folders; undefined where it does not know. */
  readonly classNames?: readonly (string | undefined)[];
  readonly leftOut?: readonly Skipped[];
  readonly others?: readonly string[];
  readonly byBytes?: readonly string[];
  /** Bytes of memory that `read` takes. */
  size(index: number): number;
  /** A picture's file. @throws Error in words about one that cannot be read */
  read(index: number): Promise<Buffer>;
}

/** What is whole, but cannot be read; the message goes on from `which`. */
export class Unfit extends Error {
  constructor(
    message: string,
    /** What to do, a sentence. */
    readonly next: string,
  ) {
    super(message);
  }
}

/** Pictures of one data set, in all its archives together. */
export const mostPictures = 4_000_000;

/** @throws Error for more than a data set may have */
export function checkCount(count: number): void {
  if (count > mostPictures) throw new Error(`it has ${count} entries, more than ${mostPictures}`);
}

export function checkSize(bytes: number): void {
  if (bytes > mostBytes) throw new Error(`a file of more than ${mostBytes / 2 ** 20} MB`);
}

/**
 * Gathers what lies under paths of a folder, as `walkPictures` sorts files.
 *
 * @template T what is kept of a picture, or of a file beside pictures, to read it later
 */
export class Gathered<T> {
  readonly names: string[] = [];
  readonly places: T[] = [];
  readonly leftOut: Skipped[] = [];
  readonly others: string[] = [];
  readonly byBytes: string[] = [];

  /** @param head the first bytes. @returns whether it is a picture */
  add(name: string, place: T, head: () => Buffer): boolean {
    const own = path.posix.basename(name);
    if (name.split('/').some(isLitter)) return false;
    if (!hasPictureEnding(own)) {
      if (!isPictureInside(own, head)) {
        this.others.push(name);
        return false;
      }
      this.byBytes.push(name);
    }
    this.names.push(name);
    this.places.push(place);
    return true;
  }
}

/** Names without the folders that all of them lie in: an archive of a folder mostly begins with that folder. */
export function withoutTop(names: readonly string[]): readonly string[] {
  const [first = ''] = names;
  let top = first.slice(0, first.lastIndexOf('/') + 1);
  while (!names.every((name) => name.startsWith(top)))
    top = top.slice(0, top.lastIndexOf('/', top.length - 2) + 1);
  return top === '' ? names : names.map((name) => name.slice(top.length));
}
