/** `train-stage1 --budget`: the config with as many steps as fit into the time. */
import type { Reporter } from '../base/progress.js';
import type { Config } from '../config/schema.js';
import type { Dataset } from '../data/dataset.js';
import type { Device } from '../engine/device.js';
import type { Perceptual } from '../perceptual/distances.js';
import { type Budget, planSteps, timeSteps } from '../train/budget.js';
import { networksOf } from './model.js';
import { stage1Runner } from './runner.js';
import { firstAdversarialStep, startsOf, withStarts } from './starts.js';
import { initialState } from './state.js';
import { stepInputs } from './step-inputs.js';
import { validationPlan } from './validation.js';

/** An image costs a validation about this share of what it costs a step. */
const validationShare = 0.4;

/**
 * Steps, and how often it validates and saves; what is a share of the run stays one.
 *
 * @throws UserError when the budget is too short
 */
export async function stage1InTime(
  given: Config,
  budget: Budget,
  o: {
    dataset: Dataset;
    perceptual: Perceptual | undefined;
    device: Device;
    reporter: Reporter;
    signal?: AbortSignal;
  },
): Promise<Config> {
  const { dataset, perceptual, device, reporter, signal } = o;
  const starts = startsOf(given);
  const config = withStarts(given, starts);
  const { stage1, seed } = config;
  const networks = networksOf(config);
  const { adversary } = networks;

  const secondsAt = async (step: number, adversarial: boolean): Promise<number> => {
    const runner = await stage1Runner(networks, perceptual, stage1, device, {
      adversarial,
      onSwitch: () => {},
    });
    try {
      const inputs = await stepInputs(networks, config, dataset.train, { step, starts });
      return await timeSteps(runner, { state: initialState(networks, stage1, seed), inputs, budget, signal });
    } finally {
      await runner.dispose();
    }
  };

  const plain = await secondsAt(starts.quantised, false);
  const opposed = adversary ? await secondsAt(firstAdversarialStep(starts), true) : plain;
  const secondsOf = (steps: number): number => {
    const before = Math.min(steps, stepsBefore(given, steps));
    return before * plain + (steps - before) * opposed;
  };
  const { images } = validationPlan(dataset.val.count, config.data.size, stage1);
  const validation = validationShare * plain * (images / stage1.batch_size);
  const plan = planSteps(budget, { secondsOf, validation, warmup: stage1.warmup, reporter });
  return { ...given, stage1: { ...given.stage1, ...plan } };
}

/** Steps before the discriminator's first, in a run of so many; with `flat`, which cannot be told, none. */
function stepsBefore(config: Config, steps: number): number {
  if (config.stage1.disc.start === 'flat') return 0;
  return firstAdversarialStep(startsOf({ ...config, stage1: { ...config.stage1, steps } })) - 1;
}
