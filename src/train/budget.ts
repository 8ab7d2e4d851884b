/**
 * `--budget`: a training that ends in about the time given. A few steps are tried and timed, the number of steps
 * follows, and with it the schedule of the learning rate: from there on the run is like any other.
 */
import { expected, UserError } from '../base/errors.js';
import { formatDuration, type Reporter } from '../base/progress.js';
import type { HostTensors } from '../base/tensor.js';
import type { StepRunner } from '../engine/device.js';

/** How long a stage may take. */
export interface Budget {
  /** In all, from the command's start. */
  readonly seconds: number;
  /** Of it that are gone. */
  spent(): number;
}

/** The budget is too short for a training. */
export class TooShort extends UserError {}

/** The trial lasts about this long, or this share of the budget; its first steps warm up and do not count. */
const trialSeconds = 10;
const trialShare = 1 / 50;

/** Machines are faster for some seconds than for minutes, and something comes after the last step. */
const reserve = 0.05;

/** Validations of a planned run, at each of which a checkpoint stands. */
const validations = 10;

/**
 * Seconds of a step. The runner's state is another one afterwards.
 *
 * @param o.inputs of one step, which is run again and again
 */
export async function timeSteps(
  runner: StepRunner,
  o: { state: HostTensors; inputs: HostTensors[]; budget: Budget; signal?: AbortSignal },
): Promise<number> {
  const { state, inputs, budget, signal } = o;
  const most = Math.min(trialSeconds, trialShare * budget.seconds);
  runner.load(state);
  await runner.run(inputs);
  const started = performance.now();
  const passed = (): number => (performance.now() - started) / 1000;
  let steps = 0;
  while (steps === 0 || passed() < most) {
    signal?.throwIfAborted();
    await runner.run(inputs);
    steps++;
  }
  return passed() / steps;
}

/** What a plan sets of a stage. */
export interface Plan {
  readonly steps: number;
  readonly eval_every: number;
  readonly checkpoint_every: number;
}

/**
 * @param o.secondsOf seconds of so many steps, more for more. @param o.validation seconds of a validation
 * @param o.warmup steps in which the learning rate rises: a plan has at least twice as many
 * @throws TooShort when the budget is too short for a training
 */
export function planSteps(
  budget: Budget,
  o: { secondsOf(steps: number): number; validation: number; warmup: number; reporter: Reporter },
): Plan {
  const { secondsOf, validation, warmup, reporter } = o;
  const fewest = Math.max(2 * validations, 2 * warmup);
  const left = (1 - reserve) * budget.seconds - budget.spent() - validations * validation;
  if (secondsOf(fewest) > left) {
    const needed = (budget.seconds - left + secondsOf(fewest)) / (1 - reserve);
    const { message } = expected(
      `at least ${Math.ceil(needed / 60)}m`,
      '--budget',
      `${budget.seconds}s`,
      `A step takes ${secondsOf(1).toPrecision(2)} s here, and ${fewest} are the fewest with these sizes and this warm-up.`,
    );
    throw new TooShort(message);
  }
  const steps = mostWithin(left, secondsOf, fewest);
  reporter.note(
    `Planned for ${formatDuration(budget.seconds)}: ${steps} steps, the first of ${secondsOf(1).toPrecision(2)} s; ` +
      'a validation and a checkpoint at each tenth.',
  );
  const tenth = Math.ceil(steps / validations);
  return { steps, eval_every: tenth, checkpoint_every: tenth };
}

/** The most steps that take at most so long; `fewest` do. */
function mostWithin(seconds: number, secondsOf: (steps: number) => number, fewest: number): number {
  let [fits, fails] = [fewest, 2 * fewest];
  while (secondsOf(fails) <= seconds) [fits, fails] = [fails, 2 * fails];
  while (fails - fits > 1) {
    const middle = Math.floor((fits + fails) / 2);
    if (secondsOf(middle) <= seconds) fits = middle;
    else fails = middle;
  }
  return fits;
}
