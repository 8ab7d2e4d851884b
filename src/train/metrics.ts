/**
 * `metrics.jsonl`: one object a line, `{step, split, time_s, ...}`. Train lines are means over the steps since the
 * train line before; the means live in the checkpoint, so that no line depends on when a run stopped.
 */
import { constants } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { expected, naming } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { readRegular } from '../base/regular-file.js';
import { type Book, type BookUse, codebookUse, countCodes, isTelling, noUse } from './book-use.js';

export type Values = Record<string, number>;
/** Numbers, and lists of them, which only lines of validations have. */
export type Measured = Record<string, number | readonly number[]>;
export type Split = 'train' | 'val';
export interface Line {
  readonly step: number;
  readonly split: Split;
  readonly time_s: number;
  readonly [key: string]: number | readonly number[] | Split;
}

/** What has been gathered since the last train line. Plain JSON. */
export interface Running {
  /** Sum and number of the steps' values; a value may be absent from some steps. */
  sums: Record<string, { sum: number; count: number }>;
  steps: number;
  /** Time those steps took, without validation and saving. */
  seconds: number;
  /** Of each book since the last line that reports it. */
  usage: BookUse[];
}

/** One step's scalars, and the codes that it used of each book. */
export interface Observation {
  readonly values: Values;
  readonly codes?: readonly ArrayLike<number>[];
}

/** @param books none where the stage reports no usage */
export const startRunning = (books: readonly Book[]): Running => ({
  ...{ sums: {}, steps: 0, seconds: 0 },
  usage: noUse(books),
});

/**
 * What a checkpoint holds of it. vqgen 0.1.0 knew one book, or null, in place of the list.
 *
 * @param where the checkpoint, for errors
 * @throws UserError where it counted codes of other books
 */
export function savedRunning(saved: unknown, books: readonly Book[], where: string): Running {
  const running = saved as Running | (Omit<Running, 'usage'> & { usage: { counts: number[] } | null });
  const { usage } = running;
  const uses = Array.isArray(usage)
    ? usage
    : noUse(books).map((use) => ({ ...use, counts: usage?.counts ?? use.counts }));
  const sizes = (of: readonly { name: string; size: number }[]) =>
    of.map(({ name, size }) => `${size} of ${name}`).join(' and ') || 'none';
  const wanted = sizes(books.map(({ name, vocab }) => ({ name, size: vocab })));
  const found = sizes(uses.map(({ name, counts }) => ({ name, size: counts.length })));
  if (wanted !== found)
    throw expected(
      `usage of as many codes as the config has (${wanted})`,
      where,
      found,
      'It is of another config.',
    );
  return { ...running, usage: uses };
}

/** Adds one step. */
export function addStep(running: Running, { values, codes }: Observation, seconds: number): void {
  for (const [key, value] of Object.entries(values)) {
    running.sums[key] ??= { sum: 0, count: 0 };
    running.sums[key].sum += value;
    running.sums[key].count++;
  }
  running.steps++;
  running.seconds += seconds;
  if (codes) countCodes(running.usage, codes);
}

/** Means over the steps since the last train line. */
export function means({ sums }: Running): Values {
  return Object.fromEntries(Object.entries(sums).map(([key, { sum, count }]) => [key, sum / count]));
}

/**
 * The values of a train line, after which the means start anew. Those of `codebookUse` are there when 16 codes per
 * code of each book have come; then they are counted anew too.
 */
export function takeLine(running: Running): Values {
  const values = means(running);
  if (isTelling(running.usage)) {
    Object.assign(values, codebookUse(running.usage));
    for (const { counts } of running.usage) counts.fill(0);
  }
  running.sums = {};
  running.steps = 0;
  running.seconds = 0;
  return values;
}

/** The open file of a run. */
export interface MetricsFile {
  append(line: Line): Promise<void>;
  /** Flushes to disk, so that a checkpoint never outlives the lines before it. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a run's lines for appending, cut back to a checkpoint.
 *
 * @param o.step lines after it go, as does a line that a crash left half written
 * @param o.validated the last validated step: a later validation line goes too
 */
export async function openMetrics(
  file: string,
  o: { step: number; validated: number },
): Promise<MetricsFile> {
  const kept = (await readMetrics(file)).filter(
    ({ step, split }) => step <= (split === 'val' ? Math.min(o.validated, o.step) : o.step),
  );
  await writeFileAtomic(file, kept.map(toText).join(''));
  const { O_APPEND, O_WRONLY, O_NOFOLLOW } = constants;
  const handle: FileHandle = await fs.open(file, O_APPEND | O_WRONLY | O_NOFOLLOW); // that file, and no other
  const placed = (done: Promise<void>): Promise<void> =>
    done.catch((error) => {
      throw naming(error, file);
    });
  return {
    append: (line) => placed(handle.appendFile(toText(line))),
    sync: () => placed(handle.sync()),
    close: () => placed(handle.close()),
  };
}

const lineSchema = z
  .object({ step: z.int().nonnegative(), split: z.enum(['train', 'val']), time_s: z.number() })
  .catchall(z.union([z.number(), z.array(z.number().nullable()), z.null()]));

const mostBytes = 2 ** 29;

/** All whole lines of `metrics.jsonl`; none where there is no such file. What is no line of metrics is left out. */
export async function readMetrics(file: string): Promise<Line[]> {
  const text = `${await readRegular(file, mostBytes).catch(() => '')}`;
  return text.split('\n').flatMap(lineIn);
}

/** The line that a text is, or nothing. */
export function lineIn(text: string): Line[] {
  try {
    const line = JSON.parse(text);
    return lineSchema.safeParse(line).success ? [line] : [];
  } catch {
    return [];
  }
}

/** A stage's newest values: those of the last train line, replaced or joined by those of the last validation. */
export async function lastValues(stageFolder: string): Promise<{ loss: number; metrics: Values }> {
  const lines = await readMetrics(path.join(stageFolder, 'metrics.jsonl'));
  const last = (split: Split): Values => {
    const { step: _, split: __, time_s: ___, ...values } = lines.findLast((l) => l.split === split) ?? {};
    return numbersOf(values as Measured);
  };
  const train = last('train');
  return { loss: train.loss ?? Number.NaN, metrics: { ...train, ...last('val') } };
}

/** Without the lists. */
export const numbersOf = (measured: Measured): Values =>
  Object.fromEntries(
    Object.entries(measured).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );

/** Six significant digits. */
const toText = (line: Line): string =>
  `${JSON.stringify(line, (_, v) => (typeof v === 'number' && !Number.isInteger(v) ? Number(v.toPrecision(6)) : v))}\n`;
