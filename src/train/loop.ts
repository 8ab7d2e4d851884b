/**
 * The one loop that both stages share: eval → sample → save → step → log.
 *
 * Steps run in chunks, several in one call of the engine, while the inputs of the next chunk are prepared. Where a
 * chunk ends changes no number: inputs depend only on the step, and every line of `metrics.jsonl` is made of
 * single steps' values. A resumed run therefore writes what an uninterrupted one would have written.
 */
import { formatNumber, type Reporter } from '../base/progress.js';
import type { HostTensors } from '../base/tensor.js';
import { resumable, setAside } from '../checkpoint/integrity.js';
import {
  type Best,
  type Checkpoint,
  isStale,
  removeAfter,
  type SavedState,
  saveCheckpoint,
  updateState,
} from '../checkpoint/store.js';
import type { StepRunner } from '../engine/device.js';
import { openRecords } from './board.js';
import type { Book } from './book-use.js';
import { chunkPlanner } from './chunks.js';
import { forecaster, stopwatch } from './clock.js';
import {
  badInput,
  type Guard,
  infiniteInput,
  infiniteTensor,
  infiniteValue,
  isCalm,
  jumpOf,
  mostRollbacks,
  rateWords,
  startWatch,
  takenBack,
  vanishedScale,
  watchStep,
} from './guard.js';
import {
  addStep,
  lastValues,
  type Measured,
  means,
  numbersOf,
  type Observation,
  takeLine,
  type Values,
} from './metrics.js';
import { beginning, placeAt } from './place.js';

/** Every how many steps, and how many checkpoints stay. */
export interface Cadence {
  readonly steps: number;
  readonly log_every: number;
  readonly eval_every: number;
  readonly checkpoint_every: number;
  readonly keep: number;
}

/** What a stage resolved: saved with every checkpoint, and taken back with the run. */
export type Kept = NonNullable<SavedState['kept']>;

/** What decides beside the step what a step is fed. */
export interface Course {
  /** By which the learning rate is lowered. */
  readonly factor: number;
  /** As `SavedState.moments_since`. */
  readonly since: number;
  readonly kept: Kept;
}

/** How what is kept follows from the values of the steps, so that a stage may turn to something else. */
export interface Follows {
  /** The next step after `step` at which it may turn: a call of the engine ends there. */
  next(kept: Kept, step: number): number;
  /** What is kept after this step; where the steps to come are others because of it, `said` tells the user. */
  see(kept: Kept, step: number, values: Values): { readonly kept: Kept; readonly said?: string };
}

/** All that the loop needs to know of what it trains. Steps are 1-based. */
export interface Stage {
  readonly name: 'Stage 1' | 'Prior' | 'Classifier';
  /** `<run>/stage1` */
  readonly folder: string;
  readonly cadence: Cadence;
  readonly runner: StepRunner;
  /** What a step consumes: the batch size in images, or in tokens. */
  readonly unit: 'images' | 'tokens';
  readonly unitsPerStep: number;
  /** Whose usage train lines report. */
  readonly books: readonly Book[];
  /** The validation value by which one checkpoint is better than another. */
  readonly bestBy: { readonly key: string; readonly higher: boolean };
  /** The stage ends after so many validations in a row that are no better than the best; 0, or none: it never does. */
  readonly patience?: number;
  /** The highest learning rate of the schedule. */
  readonly lr: number;
  /**
   * The value of a train line that must not jump, nor stay above `most`. At the step `anew` the task changes, and what
   * the value was before no longer counts.
   */
  readonly guarded: {
    readonly key: string;
    readonly anew?: number;
    readonly most?: number;
    readonly least?: number;
  };
  /** At the run's beginning; what a checkpoint holds replaces it. */
  readonly kept?: Kept;
  /** Left out, what is kept stays. */
  readonly follows?: Follows;
  initialState(): HostTensors;
  /**
   * What the runner is given for one step: an entry, or one for each of its micro-batches. Depends on nothing but the
   * step and its course; called ahead of time.
   */
  inputs(step: number, course: Course): Promise<HostTensors[]>;
  /** What the outputs of a step's entries say: the values of its train line (`loss` first), the codes used. */
  observe(step: number, outputs: readonly HostTensors[]): Observation;
  /** For people: what stands in a row of a step's batch. */
  rowName?(step: number, row: number): Promise<string | undefined>;
  /**
   * The values of a validation line; also where the stage draws its pictures. After the signal it should end at
   * the next occasion, with whatever values: they are dropped, and a resumed run validates the step again.
   */
  evaluate(step: number, state: HostTensors, signal?: AbortSignal, kept?: Kept): Promise<Measured>;
  /**
   * Something in a train line's values that the user should be warned of, where there is. Called once for each line.
   */
  warning?(step: number, values: Values): string | undefined;
  /** What the progress bar shows of the newest values; those of validation are named `val loss`, `val psnr`, … */
  fields(values: Values): Record<string, string | number>;
}

export interface LoopResult {
  readonly step: number;
  /** Mean of the last train line. */
  readonly loss: number;
  /** Training time, earlier sessions included. */
  readonly seconds: number;
  /** The last train line's values, replaced or joined by the last validation's. */
  readonly metrics: Values;
  /** The best validation that a checkpoint was kept of. */
  readonly best: Best | null;
  /** Whether the signal ended it, after saving. */
  readonly stopped: boolean;
}

/**
 * Trains to the last step, until validations stop getting better, or until the signal; the state is saved in each
 * case. Where a value is not finite or the guarded one jumps, the run goes back to the last good checkpoint of its
 * cadence, or to its beginning, and on from there with a third of the learning rate.
 *
 * @param o.from the checkpoint to go on from; without one the stage starts afresh
 * @param o.tensorboard whether `<stage>/tensorboard` is written too
 * @throws Error when it would have to go back a fourth time, naming the step and the last good checkpoint
 */
export async function runLoop(
  stage: Stage,
  o: { from?: Checkpoint; tensorboard?: boolean; reporter: Reporter; signal?: AbortSignal },
): Promise<LoopResult> {
  const { cadence, runner } = stage;
  const total = cadence.steps;
  runner.load(await beginning(stage, o.from));

  const begun = await placeAt(stage, o.from);
  let { step, validated, best, stale, running, guard, kept, since } = begun;
  if (step > 0 && since === step)
    o.reporter.note('The run has weights and no optimiser: the learning rate rises anew from here.');
  let checkpoint = o.from;
  let latest: Values = {};
  let evaluation: Promise<Measured> | undefined;

  const clock = stopwatch(begun.seconds);
  const chunks = chunkPlanner(cadence);
  let metrics = await openRecords(stage.folder, { ...o, step, validated });
  const bar = o.reporter.progress({
    label: stage.name,
    total,
    unit: 'steps',
    start: step,
  });
  const forecast = forecaster(total - step, o.reporter);
  const stopping = (): boolean => o.signal?.aborted === true;
  const savedState = (): SavedState => ({
    ...{ step, seconds: clock(), validated, best, stale, metrics: running, guard },
    ...(kept && { kept }),
    ...(since > 0 && { moments_since: since }),
  });
  const prepared = (after: number) => {
    const length = chunks.length(after, kept && stage.follows?.next(kept, after));
    return prepare(stage, { after, length, factor: guard.factor, since, kept });
  };
  let next = prepared(step);
  /** Inputs of the newest steps. */
  let lately = { first: 1, steps: [] as readonly HostTensors[][] };

  /** The state of this step, which is finite. @param due whether its checkpoint is one of the cadence */
  const save = async (state: HostTensors, due: boolean): Promise<void> => {
    await metrics.sync();
    if (due && isCalm(guard.watch, stage.guarded.most)) guard = { ...guard, good: step };
    checkpoint = await saveCheckpoint(stage.folder, state, savedState(), cadence.keep);
  };

  /** All that the run was at the last good step, but for its learning rate. */
  const takeBack = async (what: string): Promise<void> => {
    const failed = step;
    const strange = infiniteInput(lately);
    if (strange) throw await badInput(stage, strange);
    await removeAfter(stage.folder, guard.good);
    const found = await resumable(stage.folder, 'Put back a copy of that file, or train anew.');
    await setAside(stage.folder, found, o.reporter);
    checkpoint = found.sound?.checkpoint;
    const place = await placeAt(stage, checkpoint);
    guard = takenBack(guard, { good: place.guard, step: failed, what, checkpoint });
    ({ step, validated, best, stale, running, kept, since } = place);
    latest = {};
    o.reporter.warn(
      `Step ${failed}: ${what}. Back to step ${step}, and on with ${rateWords(guard)} of the learning rate ` +
        `(${guard.rollbacks} of at most ${mostRollbacks} times).`,
    );
    await metrics.close();
    metrics = await openRecords(stage.folder, { ...o, step, validated });
    runner.load(await beginning(stage, checkpoint));
    if (checkpoint) await updateState(checkpoint, savedState());
    next = prepared(step);
  };

  try {
    while (true) {
      let state: HostTensors | undefined;
      let wrong: string | undefined;
      const due = isDue(step, cadence.checkpoint_every, total);

      // 1. Eval, and 2. sample: the stage draws its pictures where it validates.
      if (isDue(step, cadence.eval_every, total) && validated < step && !stopping()) {
        const present = await runner.read();
        state = present;
        wrong = infiniteTensor(present);
        evaluation = wrong || stopping() ? undefined : stage.evaluate(step, present, o.signal, kept);
        const measured = await unlessAborted(evaluation, o.signal).catch(async (error) => {
          if (checkpoint?.step !== step) await save(present, due); // A validation that fails takes no step with it.
          throw error;
        });
        const values = measured && numbersOf(measured);
        wrong ??= values && infiniteValue(prefixed('val ', values));
        if (values && !wrong) {
          await metrics.append({ step, split: 'val', time_s: clock(), ...measured });
          validated = step;
          latest = { ...latest, ...prefixed('val ', values) };
          if (stage.patience || due) best = better(best, step, values, stage.bestBy);
          stale = !stage.patience || best?.step === step ? 0 : stale + 1;
          if (checkpoint?.step === step) await updateState(checkpoint, savedState());
        }
      }

      // 3. Save.
      const ended = isStale(stale, stage.patience);
      const wanted = due || ended || best?.step === step || stopping();
      if (!wrong && step > 0 && checkpoint?.step !== step && wanted) {
        state ??= await runner.read();
        wrong = infiniteTensor(state);
        if (!wrong) await save(state, due);
      }
      if (wrong) {
        await takeBack(wrong);
        continue;
      }
      if (ended && best && step < total) o.reporter.note(endedEarly(step, stale, best));
      if (stopping() || ended || step >= total) break;

      // 4. Step, as often as the chunk is long.
      const started = performance.now();
      const steps = await next.catch(async (error) => {
        const present = checkpoint?.step === step ? undefined : await runner.read();
        if (step === 0 || (present && infiniteTensor(present))) throw error;
        if (present) await save(present, due);
        throw new Error(`${error.message} Step ${step} is saved: go on with --resume.`, { cause: error });
      });
      lately = { first: step + 1, steps };
      next = prepared(step + steps.length);
      const outputs = await runner.run(steps.flat());
      const seconds = (performance.now() - started) / 1000 / steps.length;
      chunks.took(seconds);

      // 5. Log.
      let turned = false;
      for (const entries of steps) {
        step++;
        const observation = stage.observe(step, outputs.splice(0, entries.length));
        if (step === stage.guarded.anew) guard = { ...guard, watch: startWatch() };
        wrong = judge(stage.guarded, observation.values, guard);
        if (wrong) break;
        if (kept && stage.follows) {
          const seen = stage.follows.see(kept, step, observation.values);
          kept = seen.kept;
          if (seen.said) o.reporter.note(seen.said);
          turned ||= seen.said !== undefined;
        }
        addStep(running, observation, seconds);
        latest = { ...latest, ...observation.values };
        if (step === 1 || isDue(step, cadence.log_every, total)) {
          const rate = (stage.unitsPerStep * running.steps) / running.seconds;
          const values = { [`${stage.unit}_per_second`]: rate, ...takeLine(running) };
          await metrics.append({ step, split: 'train', time_s: clock(), ...values });
          const warning = stage.warning?.(step, values);
          if (warning) o.reporter.warn(warning);
          latest = { ...latest, ...values };
        }
      }
      if (wrong) {
        await takeBack(wrong);
        continue;
      }
      if (turned) next = prepared(step);
      forecast(steps.length, seconds);
      bar.update(step, {
        ...stage.fields({ ...latest, ...means(running) }),
        [`${stage.unit}/s`]: stage.unitsPerStep / seconds,
      });
    }
  } finally {
    bar.stop();
    await evaluation?.catch(() => {}); // Nothing that it uses may be disposed of while it runs.
    await metrics.close();
  }

  const last = await lastValues(stage.folder);
  const whole = step >= total && validated >= total;
  return { step, ...last, seconds: clock(), best, stopped: !whole && !isStale(stale, stage.patience) };
}

const endedEarly = (step: number, stale: number, best: Best): string =>
  `Ended early at step ${step}: ${stale} validations in a row were no better than that of step ${best.step} (${formatNumber(best.value)}), ` +
  'whose checkpoint later commands use.';

/** What is wrong with a step's values, if anything is; adds to what the guard has seen. */
function judge({ key, ...bounds }: Stage['guarded'], values: Values, { watch }: Guard): string | undefined {
  const infinite = infiniteValue(values) ?? vanishedScale(values);
  if (infinite) return infinite;
  const error = values[key];
  if (error === undefined) throw new Error(`internal: a step gives no ${key}`);
  watchStep(watch, error);
  return jumpOf(key, watch, bounds);
}

/** At the cadence and at the last step; never before the first. */
function isDue(step: number, every: number, total: number): boolean {
  return step > 0 && (step % every === 0 || step === total);
}

/** Inputs of the steps after `after`. A failure is kept for whoever awaits them. */
function prepare(
  stage: Stage,
  o: { after: number; length: number; factor: number; since: number; kept?: Kept },
): Promise<HostTensors[][]> {
  const { after, length, factor, since, kept = {} } = o;
  const course = { factor, since, kept };
  const inputs = Promise.all(Array.from({ length }, (_, i) => stage.inputs(after + 1 + i, course)));
  inputs.catch(() => {});
  return inputs;
}

/** The promise's value, or nothing when the signal comes first; what it still does then is let go. */
async function unlessAborted<T>(promise?: Promise<T>, signal?: AbortSignal): Promise<T | undefined> {
  if (!promise || !signal) return promise;
  promise.catch(() => {});
  if (signal.aborted) return undefined;
  let onAbort = (): void => {};
  const aborted = new Promise<undefined>((resolve) => {
    onAbort = () => resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function better(best: Best | null, step: number, values: Values, by: Stage['bestBy']): Best {
  const value = values[by.key];
  if (value === undefined) throw new Error(`internal: validation gives no ${by.key}`);
  const improves = !best || (by.higher ? value > best.value : value < best.value);
  return improves ? { step, value } : best;
}

const prefixed = (prefix: string, values: Values): Values =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value]));
