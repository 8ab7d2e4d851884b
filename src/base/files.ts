/**
 * Files and folders that are there whole or not at all: written under a name that starts with a dot and says whose it
 * is, in the same parent folder, flushed to disk, then renamed. A write that fails leaves nothing, not even the folders
 * that it made; what a crash left behind is removed or put right by the next write beside it. What another machine may
 * be writing into the same folder stays.
 *
 * A folder cannot be replaced in one step: the old one is renamed away before the new one comes in its place, and is
 * deleted then. `settle` puts right what ended in between, and readers of what is replaced call it first.
 */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, realpathSync, renameSync, rmdirSync } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expected, naming } from './errors.js';
import { fateOf, isOurs, type Owner, ourselves, ownerOf, tagOf, tagPattern } from './owner.js';

/** What a hidden name is for: being written; the old folder whose place is being taken; files that are to come out. */
type Purpose = 'partial' | 'replaced' | 'ready';

const active = new Set<string>();
let writes = 0;

const longestName = 140;

/** In a hidden name; a long one is cut, which a digest tells apart. */
function shortened(name: string): string {
  if (Buffer.byteLength(name) <= longestName) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 8);
  return `${[...name].slice(0, 30).join('')}~${digest}`;
}

/** A name beside `place` that nobody else has. */
export function hiddenName(place: string, purpose: Purpose = 'partial'): string {
  const name = shortened(path.basename(place));
  return path.join(path.dirname(place), `.${name}.${tagOf(ourselves)}-${writes++}.${purpose}`);
}

const hidden = new RegExp(`^\\.(.+)\\.(${tagPattern})-\\d+\\.(partial|replaced|ready)$`);

function hiddenIn(folder: string) {
  return readdirSync(folder).flatMap((entry) => {
    const [, name, tag, purpose] = hidden.exec(entry) ?? [];
    if (name === undefined || tag === undefined) return [];
    return [{ at: path.join(folder, entry), name, owner: ownerOf(tag), purpose: purpose as Purpose }];
  });
}

/** Replaces the file at `file`, by data or by what `data` writes; parent folders are made. */
export async function writeFileAtomic(
  file: string,
  data: string | Uint8Array | ((handle: FileHandle) => Promise<void>),
): Promise<void> {
  await replace(path.resolve(file), async (temporary) => {
    const handle = await fs.open(temporary, 'wx');
    try {
      await (typeof data === 'function' ? data(handle) : handle.writeFile(data));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.rename(temporary, file);
  });
}

/**
 * Replaces the folder at `place`, or where that is a link the one it leads to, by what `write` puts into the folder
 * that it is given.
 *
 * @param o.fresh nothing but an empty folder may stand there, also at the end
 * @throws UserError where the working directory would be replaced, which whoever is in it would then have lost, and
 *   where something stands that must not
 */
export async function writeFolderAtomic(
  place: string,
  write: (temporary: string) => Promise<void>,
  { fresh = false }: { fresh?: boolean } = {},
): Promise<void> {
  const folder = existsSync(place) ? realpathSync(place) : path.resolve(place);
  if (holdsUs(folder)) {
    throw expected('a folder that can be replaced', place, 'the working directory', 'Name a folder in it.');
  }
  await replace(folder, async (temporary) => {
    await fs.mkdir(temporary);
    await write(temporary);
    await flushAll(temporary);
    const old = takePlace(temporary, folder, fresh);
    if (old === undefined) return;
    await flush(path.dirname(folder));
    await fs.rm(old, { recursive: true, force: true });
  });
}

/**
 * Puts the files that `write` leaves in the folder that it is given into `folder`, in place of those of the same
 * names: all of them or none.
 */
export async function writeFilesAtomic(
  folder: string,
  write: (temporary: string) => Promise<void>,
): Promise<void> {
  await replace(path.join(path.resolve(folder), 'files'), async (temporary) => {
    await fs.mkdir(temporary);
    await write(temporary);
    await flushAll(temporary);
    const home = path.dirname(temporary);
    comeOut(home); // what came before these
    await fs.rename(temporary, temporary.replace(/partial$/, 'ready'));
    await flush(home);
    comeOut(home);
  });
}

/** Removes a folder, out of sight first: it is never there in part. */
export async function removeFolder(folder: string): Promise<void> {
  const leaving = hiddenName(path.resolve(folder));
  active.add(leaving);
  try {
    await fs.rename(folder, leaving);
    await fs.rm(leaving, { recursive: true, force: true });
  } finally {
    active.delete(leaving);
  }
}

/**
 * Puts right what a process that ended amid `writeFolderAtomic` or `writeFilesAtomic` left of `place`: an old folder
 * comes back where no new one took its place, files that were ready take theirs. Where nothing can be written, nothing
 * happens.
 */
export function settle(place: string): void {
  const folder = path.resolve(place);
  try {
    if (!existsSync(folder)) {
      const old = hiddenIn(path.dirname(folder)).find(
        ({ name, purpose, owner }) =>
          purpose === 'replaced' && name === shortened(path.basename(folder)) && !isAtWork(owner),
      );
      if (old) renameSync(old.at, folder);
    } else if (lstatSync(folder).isDirectory()) comeOut(folder);
  } catch {
    // Whoever comes next tries again.
  }
}

/** Files that are ready come out, whoever made them: once they are, it does not matter who moves which. */
function comeOut(folder: string): void {
  for (const { at, purpose } of hiddenIn(folder)) {
    if (purpose !== 'ready' || !lstatSync(at, { throwIfNoEntry: false })?.isDirectory()) continue;
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      if (!entry.isFile()) continue;
      unlessGone(() => renameSync(path.join(at, entry.name), path.join(folder, entry.name)));
    }
    unlessGone(() => rmdirSync(at));
  }
}

/** In this process nothing comes between the steps of which one was left. */
const isAtWork = (owner: Owner): boolean => !isOurs(owner) && fateOf(owner) === 'alive';

function unlessGone(act: () => void): void {
  try {
    act();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/**
 * Runs work with a folder of its own among the system's temporary ones.
 *
 * @param what its name begins with, after `vqgen-`
 */
export async function withScratch<T>(what: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = hiddenName(path.join(os.tmpdir(), `vqgen-${what}`));
  active.add(folder);
  try {
    await fs.mkdir(folder, { mode: 0o700 });
    return await work(folder);
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
    active.delete(folder);
  }
}

/** Removes what processes that are gone left among the system's temporary folders; others' stays. */
export async function clearScratch(): Promise<void> {
  const uid = process.getuid?.();
  try {
    for (const { at, name, owner } of hiddenIn(os.tmpdir())) {
      const own = uid === undefined || lstatSync(at, { throwIfNoEntry: false })?.uid === uid;
      if (name.startsWith('vqgen-') && own && fateOf(owner) === 'gone')
        await fs.rm(at, { recursive: true, force: true });
    }
  } catch {
    // They only take space.
  }
}

function holdsUs(folder: string): boolean {
  if (!existsSync(folder)) return false;
  const below = path.relative(realpathSync(folder), process.cwd());
  return !path.isAbsolute(below) && below.split(path.sep)[0] !== '..';
}

/**
 * Without a pause in which this process could end by itself.
 *
 * @returns where the old folder is now, if there was any
 */
function takePlace(temporary: string, folder: string, fresh: boolean): string | undefined {
  for (let tries = 0; ; tries++) {
    try {
      renameSync(temporary, folder); // An empty folder gives way.
      return undefined;
    } catch (error) {
      if (!existsSync(folder) || tries > 9) throw error;
    }
    if (fresh) throw expected('a new folder', folder, 'one that holds something by now', 'Name another.');
    const old = hiddenName(folder, 'replaced');
    unlessGone(() => renameSync(folder, old));
    try {
      renameSync(temporary, folder);
      return old;
    } catch (error) {
      if (!existsSync(folder)) unlessGone(() => renameSync(old, folder));
      else if (tries < 9) continue; // Another process was faster: what it wrote is replaced too.
      throw error;
    }
  }
}

async function replace(target: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const parent = path.dirname(target);
  const temporary = hiddenName(target);
  let made: string | undefined;
  active.add(temporary);
  try {
    made = await fs.mkdir(parent, { recursive: true });
    settle(target);
    await removeLeftovers(target);
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
export async function removeEmpty(folder: string, top: string): Promise<void> {
  for (let at = folder; at.length >= top.length; at = path.dirname(at)) {
    try {
      await fs.rmdir(at);
    } catch {
      return;
    }
  }
}

/** Removes or puts right what a crash left beside `target`. */
export async function removeLeftovers(target: string): Promise<void> {
  const parent = path.dirname(target);
  for (const { at, name, owner, purpose } of hiddenIn(parent)) {
    if (purpose === 'ready' || active.has(at) || !(isOurs(owner) || fateOf(owner) === 'gone')) continue;
    if (purpose === 'replaced') {
      const place = name === shortened(path.basename(target)) ? target : path.join(parent, name);
      if (/~[0-9a-f]{8}$/.test(path.basename(place))) continue; // cut: which place it was cannot be told
      settle(place);
      if (!existsSync(place)) continue;
    }
    await fs.rm(at, { recursive: true, force: true });
  }
}

async function flushAll(folder: string): Promise<void> {
  for (const entry of await fs.readdir(folder, { recursive: true, withFileTypes: true })) {
    await flush(path.join(entry.parentPath, entry.name));
  }
  await flush(folder);
}

/** fsync of a file or folder; where folders cannot be opened (Windows) the rename alone must do. */
async function flush(target: string): Promise<void> {
  let handle: FileHandle;
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
