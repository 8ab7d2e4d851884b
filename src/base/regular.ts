/** Files that others made: regular ones only, looked at before any of them is opened, and no larger than they may be. */
import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { UserError } from './errors.js';

/** The sentence about a file; `received` is of the form `which is a folder`. */
export type Refuse = (received: string, cause?: unknown) => UserError;

/** `a folder` for `which is a folder`, else `one which …`: where the sentence names the file elsewhere. */
export const asThing = (received: string): string => {
  const [, thing] = /^which is (.*)$/.exec(received) ?? [];
  return thing ?? `one ${received}`;
};

/** Of a path that does not become another thing while it is opened; a pipe is not waited for, and no read waits. */
const flags = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0);

/** @throws UserError where no regular file is: nothing, a folder, a pipe, a device, a socket */
export async function openRegular(file: string, refuse: Refuse): Promise<FileHandle> {
  checkRegular(file, refuse);
  const handle = await fs.promises.open(file, flags).catch((cause) => {
    throw refuse(unreadable(cause), cause);
  });
  const stat = await handle.stat();
  if (stat.isFile()) return handle;
  await handle.close();
  throw refuse(`which is ${kindOf(stat)}`);
}

/** @throws UserError as `openRegular` */
export function checkRegular(file: string, refuse: Refuse): void {
  let stat: fs.Stats | undefined;
  try {
    stat = fs.statSync(file, { throwIfNoEntry: false });
  } catch (cause) {
    throw refuse(unreadable(cause), cause);
  }
  if (!stat) throw refuse('which does not exist');
  if (!stat.isFile()) throw refuse(`which is ${kindOf(stat)}`);
}

/** A whole file. @param most bytes. @throws UserError as `openRegular`, and for a longer one */
export function readWhole(file: string, most: number, refuse: Refuse): Buffer {
  checkRegular(file, refuse);
  let descriptor: number | undefined;
  try {
    descriptor = fs.openSync(file, flags);
    const stat = fs.fstatSync(descriptor);
    if (stat.isFile() && stat.size <= most) {
      const bytes = Buffer.alloc(stat.size);
      return bytes.subarray(0, fs.readSync(descriptor, bytes, 0, stat.size, 0));
    }
    const large = `which has ${stat.size.toLocaleString('en')} bytes, more than ${most.toLocaleString('en')}`;
    throw refuse(stat.isFile() ? large : `which is ${kindOf(stat)}`);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw code === undefined ? cause : refuse(unreadable(cause), cause);
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}

const unreadable = (cause: unknown): string =>
  `which cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'no path'})`;

function kindOf(stat: fs.Stats): string {
  if (stat.isDirectory()) return 'a folder';
  if (stat.isFIFO()) return 'a pipe';
  if (stat.isSocket()) return 'a socket';
  return 'a device';
}
