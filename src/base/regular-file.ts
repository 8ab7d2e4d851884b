/**
 * Files of others, read without trust: only regular files, only so many bytes. Opening a pipe would wait for whoever
 * writes into it, reading a device may never end, and what a name leads to may change between a look and the reading.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import type { UserError } from './errors.js';

type Place = string | Buffer;

/** Without waiting for the other end of a pipe; Windows knows neither. */
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** What something is that is no regular file; undefined for one that is. */
export function strangeKind(
  entry: Pick<Stats, 'isFile' | 'isDirectory' | 'isFIFO' | 'isSocket'>,
): string | undefined {
  if (entry.isFile()) return undefined;
  if (entry.isDirectory()) return 'a folder';
  if (entry.isFIFO()) return 'a pipe';
  return entry.isSocket() ? 'a socket' : 'a device';
}

function checkRegular(stats: Stats, most: number): void {
  const strange = strangeKind(stats);
  if (strange) throw new Error(strange);
  if (stats.size > most) throw tooLarge(most);
}

const tooLarge = (most: number): Error =>
  new Error(
    most < 2 ** 20
      ? `a file of more than ${most} bytes`
      : `a file of more than ${Math.floor(most / 2 ** 20)} MB`,
  );

/** A socket cannot even be opened. */
function named(error: unknown): unknown {
  return (error as NodeJS.ErrnoException).code === 'ENXIO' ? new Error('a socket') : error;
}

/** Open for reading. @param most bytes that it may have. @throws Error as `readRegular` */
export async function opened(file: Place, most: number): Promise<FileHandle> {
  // A look before opening: to open a device can mean something to it.
  checkRegular(await fs.stat(file), most);
  const handle = await fs.open(file, flags).catch((error) => Promise.reject(named(error)));
  try {
    checkRegular(await handle.stat(), most);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * All bytes of a regular file.
 *
 * @param most bytes that it may have
 * @throws Error `a pipe`, `a device`, `a file of more than 256 MB` and the like; whatever the system says
 */
export async function readRegular(file: Place, most: number): Promise<Buffer> {
  const handle = await opened(file, most);
  try {
    const bytes = Buffer.allocUnsafeSlow((await handle.stat()).size);
    let got = 0;
    while (got < bytes.length) {
      const { bytesRead } = await handle.read(bytes, got, bytes.length - got, got);
      if (bytesRead === 0) break;
      got += bytesRead;
    }
    return bytes.subarray(0, got);
  } finally {
    await handle.close();
  }
}

/** `readRegular`, waiting, as text. */
export function readRegularText(file: string, most: number): string {
  return firstBytes(file, most + 1, most).toString('utf8');
}

/**
 * At most `length` bytes of a regular file. Waits: a hundred thousand small files take a second so, ten otherwise.
 *
 * @param most bytes that the file may have
 * @throws Error as `readRegular`
 */
export function firstBytes(file: Place, length: number, most = Number.POSITIVE_INFINITY): Buffer {
  let descriptor: number;
  try {
    descriptor = openSync(file, flags);
  } catch (error) {
    throw named(error);
  }
  try {
    const stats = fstatSync(descriptor);
    checkRegular(stats, most);
    const bytes = Buffer.alloc(Math.min(length, stats.size));
    let got = 0;
    while (got < bytes.length) {
      const read = readSync(descriptor, bytes, got, bytes.length - got, got);
      if (read === 0) break;
      got += read;
    }
    return bytes.subarray(0, got);
  } finally {
    closeSync(descriptor);
  }
}

/** The sentence about a file that is none; `received` is of the form `which is a pipe`. */
export type Refuse = (received: string, cause?: unknown) => UserError;

/** `a folder` for `which is a folder`, else `one which …`: where the sentence names the file elsewhere. */
export const asThing = (received: string): string => {
  const [, thing] = /^which is (.*)$/.exec(received) ?? [];
  return thing ?? `one ${received}`;
};

function whyNot(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'which does not exist';
  return code === undefined ? `which is ${message}` : `which cannot be read (${code})`;
}

/** @throws UserError where no regular file is */
export async function openRegular(file: string, refuse: Refuse): Promise<FileHandle> {
  try {
    return await opened(file, Number.POSITIVE_INFINITY);
  } catch (error) {
    throw refuse(whyNot(error), error);
  }
}

/** For what others open by its name. @throws UserError where no regular file is */
export function expectRegular(file: string, refuse: Refuse): void {
  try {
    checkRegular(statSync(file), Number.POSITIVE_INFINITY);
  } catch (error) {
    throw refuse(whyNot(error), error);
  }
}

/** A whole file. @param most bytes. @throws UserError where no regular file is, or a longer one */
export function readWhole(file: string, most: number, refuse: Refuse): Buffer {
  try {
    return firstBytes(file, most + 1, most);
  } catch (error) {
    throw refuse(whyNot(error), error);
  }
}
