/** Everything a training step of stage 1 replaces, by the names a checkpoint has, and how it starts. */
import { float32, type HostTensors } from '../base/tensor.js';
import type { Stage1Config } from '../config/schema.js';
import type { Specs } from '../engine/device.js';
import { initialise, over, specsOf, tensorSpecs } from '../nn/params.js';
import { accumulation, partial } from '../train/accumulation.js';
import { firstScale, lossScaling } from '../train/loss-scale.js';
import { adamSpecs } from '../train/optimizer.js';
import type { Networks } from './model.js';

export type StateSettings = Pick<Stage1Config, 'accumulate' | 'ema' | 'precision'>;

/**
 * `model.…`, `adam.…` (of what the optimiser moves), `ema.…` (if averaged), what the bottleneck keeps, and what an
 * adversary has (`Adversary.state`).
 */
export function stage1State({ model, adversary }: Networks, { ema, precision }: StateSettings): Specs {
  const { specs, trained, bottleneck } = model;
  return {
    ...tensorSpecs(over('model', specsOf(specs))),
    ...adamSpecs(tensorSpecs(trained)),
    ...(ema > 0 && tensorSpecs(over('ema', specsOf(specs)))),
    ...tensorSpecs(bottleneck.state),
    ...lossScaling(precision).state,
    ...adversary?.state,
  };
}

/** What the micro-batches of a step hand on to each other, under `partial.`: no part of a checkpoint. */
export function stage1Partial({ model, adversary }: Networks, { accumulate }: StateSettings): Specs {
  return {
    ...accumulation(accumulate).sums('model', tensorSpecs(model.trained)),
    ...adversary?.partial,
    ...over(partial('codebook'), model.bottleneck.partial),
  };
}

/** Random weights by `seed`, averages equal to them, moments 0, loss scaled as at first. */
export function initialState(networks: Networks, settings: StateSettings, seed: number): HostTensors {
  const { model, adversary } = networks;
  const { bottleneck } = model;
  const learned = { ...bottleneck.state, ...over('model', specsOf(model.specs)), ...adversary?.judging };
  const weights = initialise(learned, seed);
  const specs = stage1State(networks, settings);
  const state: HostTensors = {};
  for (const [name, { shape }] of Object.entries(specs)) {
    const source = weights[name.replace(/^ema\./, 'model.')];
    state[name] = float32(shape, source && Float32Array.from(source.data));
  }
  return { ...state, ...firstScale(specs) };
}
