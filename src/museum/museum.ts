/**
 * `vqgen museum`: the whole history on the same pictures, by one clock. Works are done in turn; what is done is noted
 * in a ledger, so that another call goes on where one ended.
 */
import os from 'node:os';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { holding } from '../base/lock.js';
import { formatDuration, type Reporter } from '../base/progress.js';
import type { Device } from '../engine/device.js';
import { type Exhibit, type Ledger, readLedger, timeOf, type WorkNote, writeLedger } from './ledger.js';
import { museumPage } from './page.js';
import { extentFor, givenFor, guessesFor, mostFor, shareOf } from './plan.js';
import { roomsFor, sharesOf, type Work, type WorkKind, worksOf } from './rooms.js';
import type { Subject, Workshop } from './workshop.js';

export interface MuseumOptions {
  readonly out: string;
  /** Of a museum that is begun they may only be what they were. */
  readonly data?: string;
  /** Seconds in all. */
  readonly budget?: number;
  readonly seed?: number;
  /** Opened where there is something left to do. */
  openDevice(): Promise<Device>;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
  /** Seconds since this sitting began; those of the process unless given. */
  readonly clock?: () => number;
  /** What does the works; the real one unless given. */
  readonly workshop?: (out: string, subject: Subject, o: { device: Device; signal: AbortSignal }) => Workshop;
}

export interface MuseumSummary {
  readonly out: string;
  readonly page: string;
  /** Those that stand, in order, and how they measure. */
  readonly rooms: readonly (Pick<Exhibit, 'psnr' | 'rfd_vqgen' | 'fd_vqgen'> & {
    readonly name: string;
    /** Of a picture; null of numbers without a price. */
    readonly bits: number | null;
  })[];
  /** Of all sittings. */
  readonly seconds: number;
  readonly stopped: boolean;
}

export const usualBudget = 3600;
/** Below, there is nothing to be seen. */
const leastBudget = 300;

/** @throws UserError for a folder of something else, another museum than was begun, and pictures that cannot be read */
export async function museum(o: MuseumOptions): Promise<MuseumSummary> {
  readLedger(o.out);
  const place = path.join(o.out, 'museum');
  const { out: named, reporter } = o;
  return holding({ place, option: '--out', named, command: 'vqgen museum', reporter }, () => sitting(o));
}

async function sitting(o: MuseumOptions): Promise<MuseumSummary> {
  const { out, clock = () => performance.now() / 1000 } = o;
  const ledger = readLedger(out) ?? begun(o);
  checkSame(ledger, o);
  const before = ledger.seconds;
  let writing = Promise.resolve();
  /** One after another: what is noted last stands. */
  const note = (): Promise<void> => {
    const write = (): Promise<void> => {
      ledger.seconds = before + clock();
      return writeLedger(out, ledger);
    };
    writing = writing.then(write, write);
    return writing;
  };
  const stopped = isDone(ledger)
    ? false
    : await doWorks(o, ledger, { note, left: () => ledger.budget - before - clock() });
  const page = path.join(out, 'index.html');
  const rooms = Object.entries(ledger.exhibits).map(([name, { psnr, rfd_vqgen, fd_vqgen, bits }]) => ({
    ...{ name, psnr, rfd_vqgen, fd_vqgen },
    bits: bits?.value ?? null,
  }));
  if (!stopped) await writeFileAtomic(page, await museumPage(out, ledger));
  return { out, page, rooms, seconds: ledger.seconds, stopped };
}

const worksFor = ({ pictures }: Ledger): readonly Work[] =>
  worksOf(roomsFor(pictures?.classes.length ?? 0).rooms);

const isDone = (ledger: Ledger): boolean =>
  ledger.pictures !== undefined && worksFor(ledger).every(({ name }) => ledger.works[name]?.done);

function begun({ data, budget = usualBudget, seed = 0 }: MuseumOptions): Ledger {
  if (budget < leastBudget) {
    const next = 'It is for ten rooms, and twelve networks in them.';
    throw expected(`at least ${timeOf(leastBudget)}`, '--budget', timeOf(budget), next);
  }
  return {
    data: data === undefined ? null : path.resolve(data),
    ...{ budget, seed, seconds: 0, sittings: 0, machine: '', works: {}, exhibits: {} },
  };
}

/** @throws UserError naming what differs */
function checkSame(ledger: Ledger, { out, data, budget, seed }: MuseumOptions): void {
  const refuse = (option: string, began: string, given: string): never => {
    const next = `${out} is a museum that was begun with it: leave ${option} out, or name another --out.`;
    throw expected(began, option, given, next);
  };
  const builtIn = 'the built-in pictures';
  if (data !== undefined && path.resolve(data) !== ledger.data)
    refuse('--data', ledger.data ?? builtIn, data);
  if (budget !== undefined && budget !== ledger.budget)
    refuse('--budget', timeOf(ledger.budget), timeOf(budget));
  if (seed !== undefined && seed !== ledger.seed) refuse('--seed', `${ledger.seed}`, `${seed}`);
}

/** Milliseconds between two notes of the time, of which a kill loses as much at most. */
const noteEvery = 5000;

/** @returns whether the signal ended it */
async function doWorks(
  o: MuseumOptions,
  ledger: Ledger,
  { note, left }: { note(): Promise<void>; left(): number },
): Promise<boolean> {
  const { out, reporter, signal, clock = () => performance.now() / 1000 } = o;
  const device = await o.openDevice();
  const open = o.workshop ?? (await import('./workshop.js')).openWorkshop;
  const workshop = open(out, ledger, { device, signal });
  ledger.machine = machineOf(device);
  ledger.sittings++;
  const timer = setInterval(() => void note().catch(() => {}), noteEvery);
  timer.unref();
  try {
    if (!ledger.pictures) {
      reporter.note(
        `A museum of ${ledger.data ?? 'the built-in pictures'}, within ${formatDuration(ledger.budget)}.`,
      );
      ledger.pictures = await workshop.prepare(within(reporter, 'Pictures', left));
      await note();
    }
    const works = worksFor(ledger);
    for (const [i, work] of works.entries()) {
      const known: WorkNote = ledger.works[work.name] ?? { seconds: 0, done: false };
      if (known.done) continue;
      ledger.works[work.name] = known;
      signal.throwIfAborted();
      const trains = sharesOf(work) > 0;
      if (trains && known.share === undefined) {
        known.share = shareOf(left(), works.slice(i), experienceOf(ledger, works));
        known.given = givenFor(known.share, Object.values(ledger.works).filter(isTrained));
      }
      reporter.note(announcement(work, works, { share: known.share, left: left() }));
      const started = clock();
      try {
        const told = within(reporter, work.room.short, left);
        const last = works.slice(i + 1).every((other) => sharesOf(other) === 0);
        const most = mostFor(known.share ?? 0, { budget: ledger.budget, last }) - known.seconds;
        const done = await workshop.work(work, { seconds: known.given ?? 0, most, reporter: told });
        if (done.stopped) return true;
        known.done = true;
        if (done.steps !== undefined) known.steps = done.steps;
        if (done.exhibit) ledger.exhibits[work.room.name] = done.exhibit;
      } finally {
        known.seconds += clock() - started;
      }
      await note();
    }
    return false;
  } catch (error) {
    if (!isOf(signal, error)) throw error;
    return true;
  } finally {
    clearInterval(timer);
    if (ledger.pictures) await note(); // Else nothing is begun.
  }
}

const machineOf = ({ name, description }: Device): string => {
  const processor = os.cpus()[0]?.model.trim();
  return name === 'webgpu' || !processor ? description : `${description} (${processor})`;
};

const isTrained = (work: WorkNote): work is WorkNote & { given: number } =>
  work.done && work.given !== undefined;

const isOf = ({ aborted, reason }: AbortSignal, error: unknown): boolean =>
  aborted && (error === reason || (error as Error | undefined)?.cause === reason);

function experienceOf(ledger: Ledger, works: readonly Work[]): Parameters<typeof shareOf>[2] {
  const { train = 0, val = 0 } = ledger.pictures ?? {};
  return {
    taken: works.flatMap(({ name, kind }) => {
      const known = ledger.works[name];
      return known?.done ? [{ kind, seconds: known.seconds }] : [];
    }),
    guesses: guessesFor(extentFor(ledger.budget), train + val),
  };
}

const doing: Readonly<Record<WorkKind, string>> = {
  tokenizer: 'its encoder and decoder',
  tokens: 'pictures into codes',
  prior: 'its prior',
  exhibit: 'its pictures and measures',
};

function announcement(
  { room, kind }: Work,
  works: readonly Work[],
  { share, left }: { share?: number; left: number },
): string {
  const rooms = [...new Set(works.map((work) => work.room))];
  const time = share === undefined ? '' : `, ${formatDuration(share)}`;
  const what = kind === 'tokenizer' && room.works.includes('prior') ? 'its tokenizer' : doing[kind];
  return `Room ${rooms.indexOf(room) + 1} of ${rooms.length}, ${room.short}: ${what}${time}. ${formatDuration(Math.max(0, left))} left in all.`;
}

/** What a room's works say: their bars, with the time that is left in all, and their warnings. */
function within(reporter: Reporter, room: string, left: () => number): Reporter {
  return {
    heading: () => {},
    note: () => {},
    warn: (line) => reporter.warn(`${room}: ${line}`),
    progress: ({ label, ...o }) => {
      const bar = reporter.progress({ ...o, label: `${room}, ${label}` });
      let fields: Record<string, string | number> = {};
      return {
        stop: () => bar.stop(),
        update(done, shown = fields) {
          fields = shown;
          bar.update(done, { ...fields, 'museum: left': formatDuration(Math.max(0, left())) });
        },
      };
    },
  };
}
