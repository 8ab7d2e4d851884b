/** What stands in the way of writing somewhere, looked at before any work. */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { expected } from './errors.js';
import { strangeKind } from './regular-file.js';

/** The file that stands where `folder`, or a folder above it, would have to be; undefined where none does. */
export function fileInTheWay(folder: string): string | undefined {
  const at = nearestExisting(folder);
  return existsSync(at) && !statSync(at).isDirectory() ? at : undefined;
}

/** Why nothing can be written into `folder`, which need not exist yet; undefined where something can. */
export function obstacleIn(folder: string): string | undefined {
  const file = fileInTheWay(folder);
  if (file) return `where ${file} is a file`;
  const dangling = danglingAt(folder);
  if (dangling) return `where ${dangling} is a link to nothing`;
  const system = systemFolder(folder);
  if (system) return `where ${system} is the system's own`;
  const closed = writeProtected(folder);
  return closed && `where ${closed} cannot be written to`;
}

/** Why nothing can be written as the file `file`, which may exist; undefined where something can. */
export function obstacleAt(file: string): string | undefined {
  const kind = kindOf(file);
  if (file.endsWith('/') || file.endsWith(path.sep) || kind === 'a folder') return 'which is a folder';
  return kind === 'a file' || kind === undefined ? obstacleIn(path.dirname(file)) : `which is ${kind}`;
}

/** Undefined where nothing is to be found, below a file or in a closed folder too. */
function found<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** Behind links; undefined where nothing stands. */
function kindOf(place: string): string | undefined {
  const stat = found(() => statSync(place));
  return stat && (strangeKind(stat) ?? 'a file');
}

/** In these a rename would take the place of what all programs use, `/dev/stdout`. */
function systemFolder(folder: string): string | undefined {
  const at = realpathSync(nearestExisting(folder));
  const memory = at === '/dev/shm' || at.startsWith('/dev/shm/');
  return memory ? undefined : ['/dev', '/proc', '/sys'].find((own) => at === own || at.startsWith(`${own}/`));
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

function danglingAt(folder: string): string | undefined {
  for (let at = path.resolve(folder); !existsSync(at) && at !== path.dirname(at); at = path.dirname(at))
    if (found(() => lstatSync(at))) return at;
  return undefined;
}

function nearestExisting(folder: string): string {
  let at = path.resolve(folder);
  while (!existsSync(at) && at !== path.dirname(at)) at = path.dirname(at);
  return at;
}

/**
 * A run may be a stranger's, and a link in it lead anywhere: none is followed for writing or removing. The run itself
 * may be a link.
 *
 * @param parts names in `run` of what is written into or removed from, which need not exist
 * @throws UserError naming the first link in them, or what is neither file nor folder
 */
export function checkNoLinks(run: string, parts: readonly string[], option = '--run'): void {
  for (const part of parts) {
    const strange = strangeIn(path.join(run, part));
    if (strange === undefined) continue;
    const received = `${run}, where ${strange}`;
    throw expected(
      'a folder without links where it is written',
      option,
      received,
      'Remove it, or put there what is meant.',
    );
  }
}

function strangeIn(place: string): string | undefined {
  const stat = found(() => lstatSync(place));
  if (stat === undefined || stat.isFile()) return undefined;
  if (stat.isSymbolicLink()) return `${place} is a link to ${readlinkSync(place)}`;
  if (!stat.isDirectory()) return `${place} is ${kindOf(place)}`;
  for (const entry of readdirSync(place, { withFileTypes: true })) {
    if (entry.isFile()) continue;
    const strange = strangeIn(path.join(place, entry.name));
    if (strange !== undefined) return strange;
  }
  return undefined;
}

/** Whether both are the same file or folder, by whatever names; not where one does not exist. */
export function isSame(a: string, b: string): boolean {
  const [one, other] = [a, b].map((place) => found(() => statSync(place, { bigint: true })));
  return one !== undefined && other !== undefined && one.dev === other.dev && one.ino === other.ino;
}

/** Whether `place` is `folder` or lies in it, behind links; neither need exist. */
export function isWithin(place: string, folder: string): boolean {
  const inner = path.relative(realOf(folder), realOf(place));
  if (inner.split(path.sep)[0] !== '..' && !path.isAbsolute(inner)) return true;
  let at = realOf(place); // By other names too, where a file system takes them for the same.
  while (!isSame(at, folder) && at !== path.dirname(at)) at = path.dirname(at);
  return isSame(at, folder);
}

function realOf(place: string): string {
  const at = nearestExisting(place);
  return path.join(realpathSync(at), path.relative(at, path.resolve(place)));
}
