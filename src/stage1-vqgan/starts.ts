/**
 * When, in the life of a run, quantisation and the discriminator begin. Both may be given as shares of the run; what a
 * run began with stays, however long a resume makes it: a discriminator that acts does not pause, codes that have
 * started do not start again.
 */
import { expected } from '../base/errors.js';
import type { Config } from '../config/schema.js';
import { firstQuantisedStep } from './codebook-rules.js';
import { hasDiscriminator } from './model.js';
import { firstAdversarialStep } from './runner.js';

/** 1-based first steps; `adversarial` 0 where there is no discriminator. */
export type Starts = { readonly quantised: number; readonly adversarial: number };

export function startsOf(config: Config): Starts {
  return {
    quantised: firstQuantisedStep(config.stage1),
    adversarial: hasDiscriminator(config) ? firstAdversarialStep(config) : 0,
  };
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
  if (firstQuantisedStep(pinned.stage1) !== quantised) {
    throw expected(
      `at least ${10 * (quantised - 1)}`,
      'stage1.steps',
      stage1.steps,
      `The codes of this run start at step ${quantised}, within its first tenth: resume with more --steps.`,
    );
  }
  return pinned;
}
