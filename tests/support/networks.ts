/** What the functions of stage 1 take, made of a whole config. */
import type { HostTensors } from '../../src/base/tensor.js';
import type { Config } from '../../src/config/schema.js';
import type { StepProgram } from '../../src/engine/device.js';
import type { Perceptual } from '../../src/perceptual/distances.js';
import { type Networks, networksOf } from '../../src/stage1-vqgan/model.js';
import { initialState } from '../../src/stage1-vqgan/state.js';
import { stage1Step } from '../../src/stage1-vqgan/step.js';

/** @param adversarial whether the adversary acts */
export function actingNetworks(config: Config, adversarial: boolean): Networks {
  const networks = networksOf(config);
  return adversarial ? networks : { model: networks.model };
}

export const stepOf = (
  config: Config,
  perceptual: Perceptual | undefined,
  { adversarial }: { adversarial: boolean },
): StepProgram => stage1Step(actingNetworks(config, adversarial), perceptual, config.stage1);

export const startOf = (config: Config): HostTensors =>
  initialState(networksOf(config), config.stage1, config.seed);
