/**
 * When, in the life of a run, quantisation and the discriminator begin. Both may be given as shares of the run; what a
 * run began with stays, however long a resume makes it: a discriminator that acts does not pause, codes that have
 * started do not start again.
 */

import * as z from 'zod';
import { expected } from '../base/errors.js';
import { picked } from '../base/lookup.js';
import type { Config, Stage1Config } from '../config/schema.js';
import type { Follows } from '../train/loop.js';
import type { Adversary } from './adversary/index.js';
import { bottleneckOf } from './bottlenecks/index.js';

/**
 * 1-based first steps; `adversarial` 0 where there is no discriminator, and with `disc.start: flat` the latest while
 * it is open.
 */
export type Starts = { readonly quantised: number; readonly adversarial: number } | FlatStarts;

/** What the reconstruction error was so far, beside the first steps. */
type FlatStarts = {
  readonly quantised: number;
  readonly adversarial: number;
  readonly flat_latest: number;
  /** Steps of a window. */
  readonly flat_window: number;
  /** Sum of the error over the present window so far; its mean over the window before, 0 at the first. */
  readonly flat_sum: number;
  readonly flat_before: number;
};

/**
 * `disc.start: flat`: the latest start and a window as shares of the run, the shortest window, and the fall that is
 * flat.
 */
const latestShare = 0.8;
const windowShare = 1 / 20;
const shortestWindow = 16;
const flatFall = 1 / 20;

/** The first step with the discriminator; infinite where there is none. */
export const firstAdversarialStep = ({ adversarial }: Starts): number =>
  adversarial || Number.POSITIVE_INFINITY;

/** Before it the discriminator is at most trained. */
export const firstActingStep = (starts: Starts, { warmup }: Pick<Adversary, 'warmup'>): number =>
  firstAdversarialStep(starts) + warmup;

export function startsOf(config: Config): Starts {
  const quantised = bottleneckOf(config).settles;
  const { steps, disc } = config.stage1;
  if (disc.weight === 0) return { quantised, adversarial: 0 };
  const start = disc.start === 'flat' ? latestShare : disc.start;
  const adversarial = start < 1 ? Math.floor(start * steps) + 1 : start;
  if (disc.start !== 'flat') return { quantised, adversarial };
  const window = Math.max(shortestWindow, Math.ceil(windowShare * steps));
  return {
    ...{ quantised, adversarial },
    ...{ flat_latest: adversarial, flat_window: window, flat_sum: 0, flat_before: 0 },
  };
}

const whole = z.int().nonnegative();
const flatKeys = { flat_latest: whole, flat_window: z.int().positive() };
const startsSchema = z.union([
  z.strictObject({ quantised: whole, adversarial: whole }),
  z.strictObject({
    ...{ quantised: whole, adversarial: whole, ...flatKeys },
    ...{ flat_sum: z.number(), flat_before: z.number() },
  }),
]);

/** What a checkpoint keeps. @param where the checkpoint. @throws UserError where it is something else */
export function savedStarts(kept: unknown, where: string): Starts {
  const { data } = startsSchema.safeParse(kept);
  if (data) return data;
  throw expected(
    'the first steps that vqgen saved',
    where,
    kept,
    'Put back what it was, or train with another --run.',
  );
}

/** The starts as they were at the run's beginning. */
export function afresh(starts: Starts): Starts {
  return 'flat_window' in starts
    ? { ...starts, adversarial: starts.flat_latest, flat_sum: 0, flat_before: 0 }
    : starts;
}

/**
 * The config with both starts as whole numbers of steps.
 *
 * @throws UserError when the run is made so short that the codes would have had to start earlier
 */
export function withStarts(config: Config, { quantised, adversarial }: Starts): Config {
  const { stage1 } = config;
  const pinned: Config = {
    ...config,
    stage1: {
      ...stage1,
      codebook: { ...stage1.codebook, warmup: quantised - 1 },
      disc: { ...stage1.disc, start: adversarial || stage1.disc.start },
    },
  };
  if (bottleneckOf(pinned).settles !== quantised) {
    throw expected(
      `at least ${10 * (quantised - 1)}`,
      'stage1.steps',
      stage1.steps,
      `The codes of this run start at step ${quantised}, within its first tenth: resume with more --steps.`,
    );
  }
  return pinned;
}

/**
 * `disc.start: flat`: the reconstruction error (L1, and the perceptual distance times its weight) is averaged over
 * windows of a twentieth of the run, the first of which begins when the learning rate is up and codes are in use. At
 * the end of a window over which the mean fell by less than a twentieth the discriminator starts; at the latest after
 * 0.8 of the run. That hangs on the steps' values alone, not on where a run stopped.
 */
export function followReconstruction({
  warmup,
  perceptual: { weight },
}: Pick<Stage1Config, 'warmup' | 'perceptual'>): Follows {
  /** The last step before the first window. */
  const beginning = ({ quantised }: Starts) => Math.max(quantised - 1, warmup);
  const isOpen = (starts: Starts, step: number): starts is FlatStarts =>
    'flat_window' in starts && step + 1 < starts.adversarial;

  return {
    next(kept, step) {
      const starts = kept as Starts;
      if (!isOpen(starts, step)) return Number.POSITIVE_INFINITY;
      const begun = beginning(starts);
      const windows = Math.max(0, Math.floor((step - begun) / starts.flat_window));
      return begun + (windows + 1) * starts.flat_window;
    },
    see(kept, step, values) {
      const starts = kept as Starts;
      const begun = beginning(starts);
      if (!isOpen(starts, step) || step <= begun) return { kept };
      const { flat_window: window, flat_before: before } = starts;
      const { l1, perceptual } = picked(values, ['l1', 'perceptual']);
      const sum = starts.flat_sum + l1 + weight * perceptual;
      if ((step - begun) % window > 0) return { kept: { ...starts, flat_sum: sum } };
      const mean = sum / window;
      const fall = 1 - mean / before;
      if (before === 0 || fall >= flatFall) return { kept: { ...starts, flat_sum: 0, flat_before: mean } };
      const change = fall < 0 ? `rose by ${percent(-fall)}` : `fell by only ${percent(fall)}`;
      return {
        kept: { ...starts, adversarial: step + 1, flat_sum: 0, flat_before: mean },
        said: `The reconstruction error ${change} over the last ${window} steps: the discriminator starts at step ${step + 1}.`,
      };
    },
  };
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
