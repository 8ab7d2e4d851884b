/** Which process something belongs to, also on folders that machines share, and whether that process is still there. */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';

/** What the system does not tell is ''. */
export interface Owner {
  readonly host: string;
  /** Of the installation, which host names need not tell apart. */
  readonly machine: string;
  /** Of the running kernel: another after each start of the machine, the same in all of its containers. */
  readonly boot: string;
  /** Within which the pid counts: containers have their own. */
  readonly space: string;
  readonly pid: number;
  /** When the process began, in ticks of the kernel: another process may have its pid later. */
  readonly started: string;
}

/** `unknown`: of another machine or container, of which nothing can be seen from here. */
export type Fate = 'alive' | 'gone' | 'unknown';

const read = (file: string): string => attempted(() => readFileSync(file, 'utf8').trim());

function attempted(look: () => string): string {
  try {
    return look();
  } catch {
    return '';
  }
}

const digest = (text: string): string => text && createHash('sha256').update(text).digest('hex').slice(0, 8);

/** The state and the start of a process; the name before them may hold anything. */
function processAt(pid: number | 'self'): { state: string; started: string } {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', started: fields[19] ?? '' };
}

/** This process. */
export const ourselves: Owner = {
  host: os.hostname().replace(/\W/g, '_').slice(0, 24),
  machine: digest(read('/etc/machine-id')),
  boot: digest(read('/proc/sys/kernel/random/boot_id')),
  space: attempted(() => readlinkSync('/proc/self/ns/pid')).replace(/\D/g, ''),
  pid: process.pid,
  started: processAt('self').started,
};

export function fateOf(owner: Owner, self: Owner = ourselves): Fate {
  const here = owner.host === self.host && owner.machine === self.machine;
  if (owner.boot !== self.boot) {
    // Only what tells installations apart makes it this machine of before a restart.
    return here && self.machine !== '' && owner.boot !== '' && self.boot !== '' ? 'gone' : 'unknown';
  }
  if ((owner.boot === '' && !here) || owner.space !== self.space) return 'unknown';
  if (!isRunning(owner.pid)) return 'gone';
  const { state, started } = processAt(owner.pid);
  if (state === 'Z' || state === 'X') return 'gone'; // ended, and nobody has asked how
  return owner.started !== '' && started !== '' && owner.started !== started ? 'gone' : 'alive';
}

export const isOurs = (owner: Owner): boolean => tagOf(owner) === tagOf(ourselves);

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const fields = ['host', 'machine', 'boot', 'space', 'pid', 'started'] as const;

/** The owner as part of a file's name. */
export const tagOf = (owner: Owner): string => fields.map((field) => owner[field]).join('-');

/** What a tag matches in a regular expression. */
export const tagPattern = String.raw`\w{0,24}-\w*-\w*-\d*-\d+-\d*`;

export function ownerOf(tag: string): Owner {
  const [host = '', machine = '', boot = '', space = '', pid = '', started = ''] = tag.split('-');
  return { host, machine, boot, space, pid: Number(pid), started };
}

/** @returns undefined for what is none */
export function asOwner(value: unknown): Owner | undefined {
  const { pid, ...texts } = Object(value) as Owner;
  const whole = Number.isSafeInteger(pid) && pid > 0;
  if (!whole || fields.some((field) => field !== 'pid' && typeof texts[field] !== 'string')) return undefined;
  const tag = tagOf({ pid, ...texts });
  return new RegExp(`^${tagPattern}$`).test(tag) ? ownerOf(tag) : undefined;
}
