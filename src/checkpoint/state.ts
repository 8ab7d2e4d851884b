/**
 * `state.json` of a checkpoint: all that a resumed run needs beside the tensors, checksums of the files beside it, and
 * first of all one of its own text. Checkpoints of vqgen before checksums, and of its imports then, have none.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { expected } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { readRegularText } from '../base/regular-file.js';
import { type Checkpoint, stateFile } from './step-folder.js';

const whole = z.int().nonnegative();
const seconds = z.number().min(0).max(1e11);
const counts = z.array(whole);

const running = z.looseObject({
  sums: z.record(z.string(), z.looseObject({ sum: z.number(), count: whole })),
  steps: whole,
  seconds,
  usage: z.union([
    z.array(z.looseObject({ name: z.string(), counts })),
    z.looseObject({ counts }), // vqgen 0.1.0
    z.null(),
  ]),
});

const watch = z.looseObject({
  steps: whole,
  recent: z.number(),
  fast: z.number(),
  slow: z.number(),
  first: z.number(),
  best: z.number().nullable(),
});

const guard = z.looseObject({
  lr: z.number().positive(),
  factor: z.number().positive().max(1),
  rollbacks: z.int().min(0).max(3),
  good: whole,
  watch,
});

const known = {
  step: whole,
  seconds,
  validated: whole,
  best: z.looseObject({ step: whole, value: z.number() }).nullable(),
  metrics: running.nullable(),
  kept: z.record(z.string(), z.number()).optional(),
  stale: whole.optional(),
  guard: guard.optional(),
  moments_since: whole.optional(),
};

const fileSum = z.strictObject({ bytes: whole, sha256: z.string().regex(/^[0-9a-f]{64}$/) });
const checksums = z.strictObject({ model: fileSum, optimizer: fileSum });

/** Keys that this version does not know may be a later one's, where a checksum says that nothing is damaged. */
const plainState = z.strictObject(known);
const sealedState = z.looseObject({ ...known, checksums: checksums.optional() });

/** Step and value of the best validation so far, among steps that have a checkpoint. */
export interface Best {
  readonly step: number;
  readonly value: number;
}

export interface SavedState {
  readonly step: number;
  /** Training time up to here, all sessions together. */
  readonly seconds: number;
  /** The last validated step; 0 before the first. */
  readonly validated: number;
  readonly best: Best | null;
  /** Running means and the usage window, which train/metrics.ts understands. */
  readonly metrics: unknown;
  /** What the stage resolved when the run began and keeps (stage 1: the first steps of its phases). */
  readonly kept?: Readonly<Record<string, number>>;
  /**
   * Validations in a row without a new best, 0 without patience; checkpoints of vqgen before early stopping have none.
   */
  readonly stale?: number;
  /** Checkpoints of vqgen before the guard have none. */
  readonly guard?: SavedGuard;
  /**
   * The step after which Adam's moments began, which is where weights came without an optimiser; left out, 0. Adam
   * counts its updates from there, and the learning rate rises anew.
   */
  readonly moments_since?: number;
}

/** Whether a run has ended early. @param stale validations in a row without a new best */
export const isStale = (stale = 0, patience = 0): boolean => patience > 0 && stale >= patience;

/** How a run that went wrong was taken back so far. */
export interface SavedGuard {
  /** The highest learning rate of the schedule, and what the rollbacks multiply it by. */
  readonly lr: number;
  readonly factor: number;
  readonly rollbacks: number;
  /** The step to go back to: its checkpoint is not removed; 0 is the beginning. */
  readonly good: number;
  /** Means that train/guard.ts understands. */
  readonly watch: unknown;
}

export type Checksums = z.infer<typeof checksums>;

/** What a `state.json` holds. */
export interface StateFile {
  readonly state: SavedState;
  readonly checksums?: Checksums;
}

const seal = /^\{"sha256":"([0-9a-f]{64})",/;

const sumOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The text of a `state.json`. */
export function stateText({ state, checksums }: StateFile): string {
  const rest = JSON.stringify({ ...state, ...(checksums && { checksums }) }).slice(1);
  return `{"sha256":"${sumOf(rest)}",${rest}\n`;
}

/** @param file what to call it in errors. @throws UserError for what vqgen did not save so */
export function parseState(text: string, file: string): StateFile {
  const parsed = understood(text);
  if (typeof parsed !== 'string') return parsed;
  throw expected('the state that vqgen saved', file, parsed);
}

/** What it says, or what is wrong with it. */
function understood(text: string): StateFile | string {
  const [prefix, sum] = seal.exec(text) ?? [];
  if (prefix !== undefined && sumOf(text.slice(prefix.length).trimEnd()) !== sum)
    return 'text that its checksum does not fit';
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return 'no JSON';
  }
  if (prefix !== undefined) delete (json as Record<string, unknown>).sha256;
  const result = (prefix === undefined ? plainState : sealedState).safeParse(json);
  if (!result.success) return `something else${issueIn(result.error)}`;
  const { checksums, ...state } = json as SavedState & { checksums?: Checksums };
  const { step, validated, best, guard, moments_since = 0 } = state;
  if (Math.max(validated, best?.step ?? 0, guard?.good ?? 0, moments_since) > step)
    return `a step later than its own ${step}`;
  return { state, ...(checksums && { checksums }) };
}

function issueIn({ issues: [issue] }: z.ZodError): string {
  if (!issue) return '';
  const place = issue.path.map(String).join('.');
  return place === '' ? '' : ` at ${place}`;
}

/** What the state of a checkpoint says, or what is wrong with it: missing, damaged, or of another step. */
export function stateIn({ step, path: folder }: Checkpoint): StateFile | string {
  let text: string;
  try {
    text = readRegularText(stateFile(folder), longestState);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return missing;
    if (code === undefined) return (error as Error).message;
    throw error;
  }
  const parsed = understood(text);
  if (typeof parsed === 'string' || parsed.state.step === step) return parsed;
  return `that of step ${parsed.state.step}`;
}

/** Bytes; how often each code was used takes most of it. */
const longestState = 1 << 26;

export const missing = 'nothing: it is missing';

/** @throws UserError where it is missing, damaged, or of another step */
function readStateFile(checkpoint: Checkpoint): StateFile {
  const saved = stateIn(checkpoint);
  if (typeof saved !== 'string') return saved;
  throw expected('the state that vqgen saved', stateFile(checkpoint.path), saved);
}

export const readState = (checkpoint: Checkpoint): SavedState => readStateFile(checkpoint).state;

/** Replaces the state of a saved checkpoint whose tensors stay. */
export async function updateState(checkpoint: Checkpoint, state: SavedState): Promise<void> {
  const { checksums } = readStateFile(checkpoint);
  await writeFileAtomic(stateFile(checkpoint.path), stateText({ state, ...(checksums && { checksums }) }));
}
