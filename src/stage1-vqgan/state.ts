/** Everything a training step of stage 1 replaces, by the names a checkpoint has, and how it starts. */
import { float32, type HostTensors } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import type { Specs } from '../engine/device.js';
import { initialise, specsOf } from '../nn/params.js';
import { adamSpecs } from '../train/optimizer.js';
import { careForCodebook, codebookCounts } from './codebook-care.js';
import { discriminatorSpecs } from './discriminator.js';
import { hasDiscriminator, modelSpecs, prefixed, tensorSpecs, trainedSpecs } from './model.js';

/**
 * `model.…`, `adam.…` (of what the optimiser moves), `ema.…` (if averaged), what the codebook's care keeps, and with the
 * discriminator `disc.…` and `disc_adam.…`.
 */
export function stage1State(config: Config, { adversarial }: { adversarial: boolean }): Specs {
  const model = modelSpecs(config);
  const disc = discriminatorSpecs(config);
  return {
    ...tensorSpecs(prefixed('model', model)),
    ...adamSpecs(tensorSpecs(trainedSpecs(config))),
    ...(config.stage1.ema > 0 && tensorSpecs(prefixed('ema', model))),
    ...careForCodebook(config.stage1).state,
    ...(adversarial && {
      ...tensorSpecs(prefixed('disc', disc)),
      ...adamSpecs(tensorSpecs(specsOf(disc)), 'disc_adam'),
    }),
  };
}

/** Random weights by `config.seed`, averages equal to them, counts 1, moments 0; with the discriminator where there is one. */
export function initialState(config: Config): HostTensors {
  const weights = initialise(
    { ...prefixed('model', modelSpecs(config)), ...prefixed('disc', discriminatorSpecs(config)) },
    config.seed,
  );
  const state: HostTensors = {};
  for (const [name, { shape }] of Object.entries(
    stage1State(config, { adversarial: hasDiscriminator(config) }),
  )) {
    const source = weights[name.replace(/^ema\./, 'model.')];
    state[name] = float32(shape, source && Float32Array.from(source.data));
    if (name === codebookCounts) state[name].data.fill(1);
  }
  return state;
}
