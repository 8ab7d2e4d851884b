/**
 * `metrics.jsonl`: one object a line, `{step, split, time_s, ...}`. Train lines are means over the steps since the
 * train line before; the means live in the checkpoint, so that no line depends on when a run stopped.
 */
import fs, { type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomic } from '../base/files.js';

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
  /** How often each code of the book was used since the last line that reports usage; null without a codebook. */
  usage: { counts: number[]; total: number } | null;
}

/** One step's scalars, and the codes that it used. */
export interface Observation {
  readonly values: Values;
  readonly codes?: ArrayLike<number>;
}

/** Usage is a matter of chance until each code could have been used many times. */
const codesPerCode = 16;

/** @param codebookSize K; 0 where the stage reports no usage */
export function startRunning(codebookSize: number): Running {
  return {
    sums: {},
    steps: 0,
    seconds: 0,
    usage: codebookSize > 0 ? { counts: new Array(codebookSize).fill(0), total: 0 } : null,
  };
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
  if (!running.usage || !codes) return;
  const { counts } = running.usage;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]!;
    if (counts[code] === undefined) throw new Error(`internal: code ${code} in a book of ${counts.length}`);
    counts[code]++;
  }
  running.usage.total += codes.length;
}

/** Means over the steps since the last train line. */
export function means({ sums }: Running): Values {
  return Object.fromEntries(Object.entries(sums).map(([key, { sum, count }]) => [key, sum / count]));
}

/**
 * The values of a train line, after which the means start anew. `codebook_usage` (share of the codes used) and
 * `perplexity` (exp of the entropy of their histogram) are there when the window holds 16 codes per code of the
 * book; then the window starts anew too.
 */
export function takeLine(running: Running): Values {
  const values = means(running);
  const { usage } = running;
  if (usage && usage.total >= codesPerCode * usage.counts.length) {
    Object.assign(values, codebookUse(usage.counts));
    running.usage = { counts: usage.counts.map(() => 0), total: 0 };
  }
  running.sums = {};
  running.steps = 0;
  running.seconds = 0;
  return values;
}

/**
 * `codebook_usage`, the share of the codes that are used, and `perplexity`, exp of the entropy of how often each is: K where all are used
 * alike, 1 where one is.
 */
export function codebookUse(counts: ArrayLike<number>): { codebook_usage: number; perplexity: number } {
  const used = Array.from(counts).filter((n) => n > 0);
  const total = used.reduce((sum, n) => sum + n, 0);
  const entropy = -used.reduce((sum, n) => sum + (n / total) * Math.log(n / total), 0);
  return { codebook_usage: used.length / counts.length, perplexity: Math.exp(entropy) };
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
  const handle: FileHandle = await fs.open(file, 'a');
  return {
    append: (line) => handle.appendFile(toText(line)),
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}

/** All whole lines of `metrics.jsonl`; none where there is no such file. */
export async function readMetrics(file: string): Promise<Line[]> {
  const text = await fs.readFile(file, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as Line];
    } catch {
      return [];
    }
  });
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
