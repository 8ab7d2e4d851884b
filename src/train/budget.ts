/**
 * `--budget`: a training that ends in about the time given. A few steps are tried and timed, the number of steps
 * follows, and with it the schedule of the learning rate: from there on the run is like any other.
 */
import { expected } from '../base/errors.js';
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

/** The trial lasts about this long, or this share of the budget; its first steps warm up and do not count. */
const trialSeconds = 10;
const trialShare = 1 / 50;

/** Machines are faster for some seconds than for minutes, and something comes after the last step. */
const reserve = 0.05;

/** Validations of a planned run, at each of which a checkpoint stands. */
const validations = 10;

/** The fewest steps that a plan has. */
const fewest = 2 * validations;

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
  readonly warmup: number;
  readonly eval_every: number;
  readonly checkpoint_every: number;
}

/**
 * @param o.step seconds of a step, the mean over the run. @param o.validation seconds of a validation
 * @throws UserError when the budget is too short for a training
 */
export function planSteps(
  budget: Budget,
  o: { step: number; validation: number; warmup: number; reporter: Reporter },
): Plan {
  const { step, validation, warmup, reporter } = o;
  const left = (1 - reserve) * budget.seconds - budget.spent();
  const steps = Math.floor((left - validations * validation) / step);
  if (steps < fewest) {
    const needed = Math.ceil(
      (budget.spent() + fewest * step + validations * validation) / (1 - reserve) / 60,
    );
    throw expected(
      `at least ${needed}m`,
      '--budget',
      formatDuration(budget.seconds),
      `A step takes ${step.toPrecision(2)} s here, with these sizes.`,
    );
  }
  reporter.note(
    `Planned for ${formatDuration(budget.seconds)}: ${steps} steps of ${step.toPrecision(2)} s, ` +
      `a checkpoint and a validation at each tenth.`,
  );
  const tenth = Math.ceil(steps / validations);
  return { steps, warmup: Math.min(warmup, tenth), eval_every: tenth, checkpoint_every: tenth };
}
