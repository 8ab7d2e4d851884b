/**
 * What a stage leaves of its course: `metrics.jsonl`, and on request the same numbers and its grids for TensorBoard, in
 * `<stage>/tensorboard/train` and `…/val`. Those are for looking at: whatever happens to them, the training goes on.
 *
 * What a checkpoint does not know of is cut from `metrics.jsonl`; a file that TensorBoard has open cannot be cut. So
 * each time that the lines are opened all of them are written anew for it, and the files of before are emptied.
 */
import path from 'node:path';
import { hindrance } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { readRegular } from '../base/regular-file.js';
import { gridFile, metricsFile } from '../checkpoint/run.js';
import { type EventFile, now, openEventFile } from './event-files.js';
import {
  type Line,
  type Measured,
  type MetricsFile,
  numbersOf,
  openMetrics,
  readMetrics,
  type Split,
} from './metrics.js';

const splits: readonly Split[] = ['train', 'val'];

export interface RecordOptions {
  /** As of `openMetrics`. */
  readonly step: number;
  readonly validated: number;
  /** Whether TensorBoard's files are written too. */
  readonly tensorboard?: boolean;
  readonly reporter: Reporter;
}

/** Opens `metrics.jsonl`, as `openMetrics`, and what TensorBoard reads beside it. */
export async function openRecords(stageFolder: string, o: RecordOptions): Promise<MetricsFile> {
  const metrics = await openMetrics(metricsFile(stageFolder), o);
  if (!o.tensorboard) return metrics;
  const board = await openBoard(stageFolder, o);
  return {
    append: async (line) => {
      await metrics.append(line);
      await board.append(line);
    },
    sync: metrics.sync,
    close: async () => {
      await board.close();
      await metrics.close();
    },
  };
}

interface Board {
  append(line: Line): Promise<void>;
  close(): Promise<void>;
}

/** Begins with all that `metrics.jsonl` holds; training time stands for the clock's of then. */
async function openBoard(stageFolder: string, { reporter }: RecordOptions): Promise<Board> {
  const folder = path.join(stageFolder, 'tensorboard');
  const files: Partial<Record<Split, EventFile>> = {};
  let broken = false;
  const unlessBroken = async (work: () => Promise<void>): Promise<void> => {
    try {
      if (!broken) await work();
    } catch (error) {
      broken = true;
      const why = hindrance(error, folder) ?? `${(error as Error).message}.`;
      reporter.warn(`TensorBoard's files are not written from here on, all else is. ${why}`);
    }
  };
  const add = async (line: Line, time: number): Promise<void> => {
    const { step, split, ...values } = line;
    const pictures = split === 'val' ? await gridAt(stageFolder, step) : {};
    await files[split]?.append({ step, time, scalars: numbersOf(values as Measured), pictures });
  };
  await unlessBroken(async () => {
    for (const split of splits) files[split] = await openEventFile(path.join(folder, split));
    const lines = await readMetrics(metricsFile(stageFolder));
    const begun = now() - (lines.at(-1)?.time_s ?? 0);
    for (const line of lines) await add(line, begun + line.time_s);
    for (const file of Object.values(files)) await file.emptyOthers();
  });
  return {
    append: (line) => unlessBroken(() => add(line, now())),
    close: async () => {
      for (const file of Object.values(files)) await file.close().catch(() => {});
    },
  };
}

const mostBytes = 2 ** 28;

/** What the stage drew where it validated, if it did. */
async function gridAt(stageFolder: string, step: number): Promise<Record<string, Buffer>> {
  const grid = await readRegular(gridFile(stageFolder, step), mostBytes).catch(() => undefined);
  return grid ? { grid } : {};
}
