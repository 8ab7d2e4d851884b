/**
 * Files and folders that are there whole or not at all: written under a name that starts with a dot, in the same
 * parent folder, flushed to disk, then renamed. A write that fails leaves nothing, not even the folders that it made;
 * what a crash left behind is removed by the next write beside it.
 */
import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected, naming } from './errors.js';

const active = new Set<string>();
let writes = 0;

/** Replaces the file at `file`; parent folders are made. */
export async function writeFileAtomic(file: string, data: string | Uint8Array): Promise<void> {
  await replace(file, async (temporary) => {
    const handle = await fs.open(temporary, 'w');
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(temporary, file);
  });
}

/**
 * Replaces the folder at `place` by what `write` puts into the folder that it is given.
 *
 * @throws UserError where the working directory would be replaced, which whoever is in it would then have lost
 */
export async function writeFolderAtomic(
  place: string,
  write: (temporary: string) => Promise<void>,
): Promise<void> {
  const folder = path.resolve(place);
  if (holdsUs(folder)) {
    throw expected('a folder that can be replaced', place, 'the working directory', 'Name a folder in it.');
  }
  await replace(folder, async (temporary) => {
    await fs.mkdir(temporary);
    await write(temporary);
    for (const entry of await fs.readdir(temporary, { recursive: true, withFileTypes: true })) {
      await flush(path.join(entry.parentPath, entry.name));
    }
    await flush(temporary);
    await fs.rm(folder, { recursive: true, force: true });
    await fs.rename(temporary, folder);
  });
}

function holdsUs(folder: string): boolean {
  if (!existsSync(folder)) return false;
  const below = path.relative(realpathSync(folder), process.cwd());
  return !path.isAbsolute(below) && below.split(path.sep)[0] !== '..';
}

/** The file that stands where `folder`, or a folder above it, would have to be; undefined where none does. */
export function fileInTheWay(folder: string): string | undefined {
  const at = nearestExisting(folder);
  return existsSync(at) && !statSync(at).isDirectory() ? at : undefined;
}

/** Why nothing can be written into `folder`, which need not exist yet; undefined where something can. */
export function obstacleIn(folder: string): string | undefined {
  const file = fileInTheWay(folder);
  if (file) return `where ${file} is a file`;
  const closed = writeProtected(folder);
  return closed && `where ${closed} cannot be written to`;
}

/**
 * `folder`, or the folder above it that is there, where this user may not write into it; undefined where that may be.
 */
export function writeProtected(folder: string): string | undefined {
  const at = nearestExisting(folder);
  try {
    accessSync(at, constants.W_OK | constants.X_OK);
    return undefined;
  } catch {
    return at;
  }
}

function nearestExisting(folder: string): string {
  let at = path.resolve(folder);
  while (!existsSync(at) && at !== path.dirname(at)) at = path.dirname(at);
  return at;
}

async function replace(target: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const parent = path.dirname(path.resolve(target));
  const temporary = path.join(parent, `.${path.basename(target)}.${process.pid}-${writes++}.partial`);
  let made: string | undefined;
  active.add(temporary);
  try {
    made = await fs.mkdir(parent, { recursive: true });
    await removeLeftovers(parent);
    await write(temporary);
    await flush(parent);
  } catch (error) {
    await fs.rm(temporary, { recursive: true, force: true }).catch(() => {}); // Of two errors the first one tells more.
    if (made) await removeEmpty(parent, made);
    throw naming(error, target);
  } finally {
    active.delete(temporary);
  }
}

/** Removes `folder` and those above it, up to `top`, as far as they are empty. */
async function removeEmpty(folder: string, top: string): Promise<void> {
  for (let at = folder; at.length >= top.length; at = path.dirname(at)) {
    try {
      await fs.rmdir(at);
    } catch {
      return;
    }
  }
}

async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await fs.readdir(parent)) {
    const pid = /^\..+\.(\d+)-\d+\.partial$/.exec(name)?.[1];
    const partial = path.join(parent, name);
    if (!pid || active.has(partial) || (Number(pid) !== process.pid && isRunning(Number(pid)))) continue;
    await fs.rm(partial, { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** fsync of a file or folder; where folders cannot be opened (Windows) the rename alone must do. */
async function flush(target: string): Promise<void> {
  let handle: fs.FileHandle;
  try {
    handle = await fs.open(target, 'r');
  } catch {
    return;
  }
  try {
    await handle.sync();
  } catch {
    // Windows flushes no handle opened for reading.
  } finally {
    await handle.close();
  }
}
