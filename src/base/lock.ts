/**
 * A place that one process at a time writes into. The lock is a file beside it, `.stage1.lock`, that says who holds it;
 * readers need none. It is there whole or not at all, and exactly one of several processes gets it, also where they
 * find that of one that is gone: who takes that over must first hold the lock of taking it over.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { expected, naming, UserError } from './errors.js';
import { hiddenName, removeEmpty, removeLeftovers } from './files.js';
import { asOwner, fateOf, type Owner, ourselves } from './owner.js';
import type { Reporter } from './progress.js';

export interface LockOptions {
  /** What is written into: `<run>/stage1`. */
  readonly place: string;
  /** The option that names it or what it is in, and its value. */
  readonly option: string;
  readonly named: string;
  /** `vqgen train-stage1` */
  readonly command: string;
  /** Takes over what is held by a process of which nothing can be seen from here. */
  readonly takeOver?: boolean;
  readonly reporter: Reporter;
}

/** Read from a lock. */
interface Held {
  /** As it was read, which no two locks have in common. */
  readonly text: string;
  /** Undefined where the file is not what vqgen wrote. */
  readonly holder?: Owner & { readonly command: string; readonly since: string };
}

const lockFile = (place: string): string =>
  path.join(path.dirname(path.resolve(place)), `.${path.basename(place)}.lock`);

/**
 * Does the work while nobody else does such work at the place. Where nothing can be written there is no lock, nor
 * anything to lock.
 *
 * @throws UserError, having done nothing, where another process holds the lock, naming it and what to do
 */
export async function holding<T>(o: LockOptions, work: () => Promise<T>): Promise<T> {
  const release = await acquire(lockFile(o.place), o);
  try {
    return await work();
  } finally {
    await release();
  }
}

/**
 * Who writes into a place, where somebody does, or may: of a process of another machine or container nothing can be
 * seen from here, so that it may have ended.
 *
 * @throws UserError where its lock is no file
 */
export function holderOf(
  place: string,
): { readonly command: string; readonly host: string; readonly fate: 'alive' | 'unknown' } | undefined {
  const holder = read(lockFile(place))?.holder;
  if (!holder) return undefined;
  const fate = fateOf(holder);
  return fate === 'gone' ? undefined : { command: holder.command, host: holder.host, fate };
}

async function acquire(file: string, o: LockOptions): Promise<() => Promise<void>> {
  const folder = path.dirname(file);
  let made: string | undefined;
  let text: string | undefined;
  for (let tries = 0; text === undefined; tries++) {
    try {
      made = fs.mkdirSync(folder, { recursive: true });
      text = await taken(file, o);
    } catch (error) {
      if (made) await removeEmpty(folder, made);
      if (isCode(error, ['EACCES', 'EPERM', 'EROFS'])) return async () => {};
      // Another process may have made the folder, and removed it when it left.
      if (!isCode(error, ['ENOENT']) || tries > mostTries) throw naming(error, file);
    }
  }
  held.set(file, text);
  if (held.size === 1) process.on('exit', releaseAll);
  removeGuards(file);
  await removeLeftovers(file);
  return async () => {
    releaseNow(file);
    if (held.size === 0) process.off('exit', releaseAll);
    if (made) await removeEmpty(folder, made);
  };
}

/** What this process holds: file → text. */
const held = new Map<string, string>();

function releaseNow(file: string): void {
  const text = held.get(file);
  held.delete(file);
  try {
    if (read(file)?.text === text) fs.unlinkSync(file); // Somebody may have been told to take it over.
  } catch {
    // The next start finds its holder gone.
  }
}

function releaseAll(): void {
  for (const file of [...held.keys()]) releaseNow(file);
}

const isCode = (error: unknown, codes: readonly string[]): boolean =>
  codes.includes((error as NodeJS.ErrnoException).code ?? '');

/** Those of processes that were killed while they took the lock over. */
function removeGuards(file: string): void {
  for (const name of fs.readdirSync(path.dirname(file))) {
    const guard = path.join(path.dirname(file), name);
    if (!guard.startsWith(`${file}.`) || !/^\.[0-9a-f]{8}$/.test(guard.slice(file.length))) continue;
    const holder = read(guard)?.holder;
    if (holder && fateOf(holder) === 'gone') fs.rmSync(guard, { force: true });
  }
}

const mostTries = 200;
/** Milliseconds. */
const pause = 10;

/**
 * @param file the lock, or that of taking it over, beside it
 * @returns the text of the file, ours
 */
async function taken(file: string, o: LockOptions, lock = file): Promise<string> {
  const text = `${JSON.stringify({ ...ourselves, command: o.command, since: new Date().toISOString() })}\n`;
  for (let tries = 0; tries < mostTries; tries++) {
    const found = read(file);
    if (found === undefined) {
      if (created(file, text)) return text;
      continue; // Another process was faster.
    }
    const fate = found.holder ? fateOf(found.holder) : 'unknown';
    if (fate === 'alive' || (fate === 'unknown' && !o.takeOver)) throw heldBy(found, fate, file, o);
    const guard = `${lock}.${createHash('sha256').update(found.text).digest('hex').slice(0, 8)}`;
    let own: string;
    try {
      own = await taken(guard, o, lock);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause)); // Another process is taking it over.
      continue;
    }
    try {
      if (read(file)?.text !== found.text) continue;
      replaced(file, text);
      o.reporter.note(tookOver(found, fate, o));
      return text;
    } finally {
      if (read(guard)?.text === own) fs.unlinkSync(guard);
    }
  }
  throw new Error(`The lock ${file} can neither be taken nor read.`);
}

/** Whether the file is ours now: it is not where there is one already. */
function created(file: string, text: string): boolean {
  const whole = written(file, text);
  try {
    fs.linkSync(whole, file);
    return true;
  } catch (error) {
    if (isCode(error, ['EEXIST'])) return false;
  } finally {
    fs.unlinkSync(whole);
  }
  try {
    writeWhole(file, text); // Some file systems have no links.
    return true;
  } catch (error) {
    if (isCode(error, ['EEXIST'])) return false;
    throw error;
  }
}

function replaced(file: string, text: string): void {
  fs.renameSync(written(file, text), file);
}

function written(file: string, text: string): string {
  const whole = hiddenName(file);
  writeWhole(whole, text);
  return whole;
}

/** A new file, or none: on a full disk an empty one would be a lock that nobody holds. */
function writeWhole(file: string, text: string): void {
  try {
    fs.writeFileSync(file, text, { flag: 'wx', flush: true });
  } catch (error) {
    if (!isCode(error, ['EEXIST'])) fs.rmSync(file, { force: true });
    throw error;
  }
}

const longest = 4096;

/** Undefined where there is none. @throws UserError for what is no file */
function read(file: string): Held | undefined {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (!stat.isFile()) throw expected('a file', file, 'a link, or something else', 'Remove it.');
  const unread = { text: `${stat.ino} ${stat.size} ${stat.mtimeMs}` };
  if (stat.size > longest) return unread;
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (isCode(error, ['ENOENT'])) return undefined;
    if (isCode(error, ['EACCES'])) return unread; // another user's
    throw error;
  }
  return { text, holder: holderIn(text) };
}

function holderIn(text: string): Held['holder'] {
  try {
    const value = JSON.parse(text);
    const owner = asOwner(value);
    return owner && { ...owner, command: String(value.command), since: String(value.since) };
  } catch {
    return undefined;
  }
}

const describe = ({ holder }: Held): string =>
  holder
    ? `process ${holder.pid} on ${holder.host} (${holder.command}, since ${holder.since})`
    : 'a process that left no readable name';

const nameOf = ({ place }: LockOptions): string => path.basename(place);

function heldBy(found: Held, fate: 'alive' | 'unknown', file: string, o: LockOptions): UserError {
  const next =
    fate === 'alive'
      ? 'Wait until it has ended, or end it.'
      : `Whether it is still there cannot be seen from here (${file}): once it has ended, type the same with --take-over.`;
  return expected(
    'a place that no other process writes into',
    o.option,
    `${o.named}, whose ${nameOf(o)} is held by ${describe(found)}`,
    next,
  );
}

const tookOver = (found: Held, fate: 'gone' | 'unknown', o: LockOptions): string =>
  `The ${nameOf(o)} of ${o.named} was held by ${describe(found)}${fate === 'gone' ? ', which is gone' : ''}: it is taken over.`;
