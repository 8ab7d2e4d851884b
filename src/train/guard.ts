/**
 * What keeps a run from being wrecked: it tells when the error that is watched jumps, and how often and to what rate a
 * run was taken back. All of it follows from the steps' values alone and is saved with a checkpoint, so that a resumed
 * run is taken back where one that was not stopped would have been.
 */
import { expected, type UserError } from '../base/errors.js';
import type { HostTensors } from '../base/tensor.js';
import type { Checkpoint, SavedGuard } from '../checkpoint/store.js';
import type { Values } from './metrics.js';

/** Means of the watched error. Plain JSON. */
export interface Watch {
  steps: number;
  /** Over about the last 4, 16 and 256 steps; over all of them while there are fewer. */
  recent: number;
  fast: number;
  slow: number;
  /** Over the first 16 steps. */
  first: number;
  /** The lowest `slow` from step 16 on; null before. */
  best: number | null;
}

const recentSteps = 4;
const fastSteps = 16;
const slowSteps = 256;

/** The rate's factor at each rollback, and how many there may be. */
const lower = 1 / 3;
export const mostRollbacks = 3;

export const startWatch = (): Watch => ({ steps: 0, recent: 0, fast: 0, slow: 0, first: 0, best: null });

/** Adds one step's error. */
export function watchStep(watch: Watch, error: number): void {
  const n = ++watch.steps;
  watch.recent += (error - watch.recent) / Math.min(n, recentSteps);
  watch.fast += (error - watch.fast) / Math.min(n, fastSteps);
  watch.slow += (error - watch.slow) / Math.min(n, slowSteps);
  if (n <= fastSteps) watch.first = watch.fast;
  if (n >= fastSteps) watch.best = Math.min(watch.best ?? watch.slow, watch.slow);
}

/**
 * What is wrong where the mean over the last steps exceeds three times the best mean so far, or, above one and a half
 * times that, the mean of the first steps by a tenth: what was learned is lost. Or where the mean over the last 4
 * steps exceeds the most that there is: nothing was learned. The first 15 steps tell nothing.
 *
 * @param o.least below it nothing is wrong, however low it was before
 */
export function jumpOf(
  key: string,
  { steps, recent, fast, first, best }: Watch,
  { most = Number.POSITIVE_INFINITY, least = 0 }: { most?: number; least?: number } = {},
): string | undefined {
  if (steps >= fastSteps && recent > most) {
    return `${key} is ${recent.toPrecision(3)}, where even the worst model has ${most}`;
  }
  if (best === null || steps <= fastSteps) return undefined;
  const bound = Math.min(3 * best, Math.max(1.5 * best, 1.1 * first));
  if (fast <= Math.max(bound, least)) return undefined;
  return `${key} jumped to ${fast.toPrecision(3)} from ${best.toPrecision(3)} at its best`;
}

/** Whether the error is not rising, nor above the most that there is: only such a state is one to go back to. */
export const isCalm = ({ recent, slow }: Watch, most = Number.POSITIVE_INFINITY): boolean =>
  recent <= Math.min(1.5 * slow, most);

/** The first value that is not finite. */
export function infiniteValue(values: Values): string | undefined {
  const [key, value] = Object.entries(values).find(([, value]) => !Number.isFinite(value)) ?? [];
  return key === undefined ? undefined : `${key} is ${value}`;
}

/**
 * What is wrong where loss scaling finds gradients that are not finite even without a scale: no skipped update helps
 * that.
 */
export function vanishedScale({ loss_scale = 1, disc_loss_scale = 1 }: Values): string | undefined {
  return Math.min(loss_scale, disc_loss_scale) < 1 ? 'gradients are not finite at any loss scale' : undefined;
}

/** The first tensor that is not finite: a loss may still be where the update after it is not. */
export function infiniteTensor(state: HostTensors): string | undefined {
  for (const [name, { data }] of Object.entries(state)) {
    for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return `${name} holds ${data[i]}`;
  }
  return undefined;
}

/** Where a batch that the host made is not finite: no training can go on with that, at no rate. */
interface BadInput {
  readonly step: number;
  readonly name: string;
  readonly value: number;
  /** In the step's whole batch. */
  readonly row: number;
}

/**
 * The first number among the inputs of some steps that is none.
 *
 * @param o.first the first of them
 * @param o.steps the entries of each, micro-batches one after another
 */
export function infiniteInput(o: {
  first: number;
  steps: readonly (readonly HostTensors[])[];
}): BadInput | undefined {
  for (const [i, entries] of o.steps.entries()) {
    let before = 0;
    for (const entry of entries) {
      for (const [name, { shape, data }] of Object.entries(entry)) {
        const at = data.findIndex((value) => !Number.isFinite(value));
        if (at < 0) continue;
        const rows = shape[0] ?? 1;
        const row = before + Math.floor((at * rows) / data.length);
        return { step: o.first + i, name, value: data[at] as number, row };
      }
      before += entry.images?.shape[0] ?? 0;
    }
  }
  return undefined;
}

/** @param nameOf what stands in a row of a step's batch */
export async function badInput(
  { rowName }: { rowName?(step: number, row: number): Promise<string | undefined> },
  { step, name, value, row }: BadInput,
): Promise<UserError> {
  const found = name === 'images' ? await rowName?.(step, row) : undefined;
  const where = found === undefined ? name : `the picture ${found}`;
  return damagedInput(`${where} in step ${step}`, value);
}

export const damagedInput = (where: string, value: number): UserError =>
  expected(
    'finite numbers',
    where,
    value,
    'The data is at fault, not the training, whose checkpoints and learning rate stay as they are: ' +
      "see to the picture, remove the run's .cache, and go on by --resume.",
  );

export interface Guard extends SavedGuard {
  readonly watch: Watch;
}

/**
 * The guard of a run that goes on from a checkpoint, or begins.
 *
 * @param o.lr of the schedule: with another one than is saved the run has all its rollbacks before it
 * @param o.step where the run goes on, which is where it goes back to if nothing else is saved
 */
export function guardAt(saved: SavedGuard | undefined, o: { lr: number; step: number }): Guard {
  const good = saved?.good ?? o.step;
  const watch = (saved?.watch as Watch | undefined) ?? startWatch();
  return saved?.lr === o.lr ? { ...saved, watch } : { lr: o.lr, factor: 1, rollbacks: 0, good, watch };
}

/** The guard with which a run goes on from its good state. @throws Error when it was taken back too often */
export function takenBack(
  guard: Guard,
  at: {
    readonly good: Guard;
    readonly step: number;
    readonly what: string;
    readonly checkpoint?: Checkpoint;
  },
): Guard {
  const { factor, rollbacks } = guard;
  if (rollbacks === mostRollbacks) throw stopped(at);
  return { ...at.good, factor: factor * lower, rollbacks: rollbacks + 1 };
}

/** `1/9` */
export const rateWords = ({ rollbacks }: Guard): string => `1/${Math.round(lower ** -rollbacks)}`;

function stopped({ step, what, checkpoint }: { step: number; what: string; checkpoint?: Checkpoint }): Error {
  const good = checkpoint
    ? `The last good checkpoint is ${checkpoint.path}: go on from it by --resume with a lower lr.`
    : 'No checkpoint was saved yet: start again with a lower lr.';
  return new Error(
    `Training stopped at step ${step} after ${mostRollbacks} rollbacks, each with a lower learning rate: ${what}. ${good}`,
  );
}
