/** Everything a training step of stage 1 replaces, by the names a checkpoint has, and how it starts. */
import { float32, type HostTensors } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import type { Specs } from '../engine/device.js';
import { initialise, over, specsOf, tensorSpecs } from '../nn/params.js';
import { accumulation, partial } from '../train/accumulation.js';
import { firstScale, lossScaling } from '../train/loss-scale.js';
import { adamSpecs } from '../train/optimizer.js';
import { discriminatorSpecs, spectrum } from './adversary/discriminator.js';
import { hasDiscriminator, modelOf } from './model.js';

/** Running means of the discriminator's logits. */
const lecamAnchors: Specs = {
  real: { shape: [], dtype: 'float32' },
  fake: { shape: [], dtype: 'float32' },
};

/**
 * `model.…`, `adam.…` (of what the optimiser moves), `ema.…` (if averaged), what the bottleneck keeps, and with the
 * discriminator `disc.…`, `disc_adam.…` and what spectral normalisation and LeCam remember, `disc_u.…` and `disc_lecam.…`.
 */
export function stage1State(config: Config, { adversarial }: { adversarial: boolean }): Specs {
  const { specs, trained, bottleneck } = modelOf(config);
  const disc = discriminatorSpecs(config);
  return {
    ...tensorSpecs(over('model', specsOf(specs))),
    ...adamSpecs(tensorSpecs(trained)),
    ...(config.stage1.ema > 0 && tensorSpecs(over('ema', specsOf(specs)))),
    ...tensorSpecs(bottleneck.state),
    ...lossScaling(config.stage1.precision).state,
    ...(adversarial && {
      ...tensorSpecs(over('disc', specsOf(disc))),
      ...adamSpecs(tensorSpecs(specsOf(disc)), 'disc_adam'),
      ...lossScaling(config.stage1.precision, 'disc_').state,
      ...over('disc_u', tensorSpecs(spectrum(config).specs)),
      ...(config.stage1.disc.lecam > 0 && over('disc_lecam', lecamAnchors)),
    }),
  };
}

/** What the micro-batches of a step hand on to each other, under `partial.`: no part of a checkpoint. */
export function stage1Partial(config: Config, { adversarial }: { adversarial: boolean }): Specs {
  const { accumulate, disc } = config.stage1;
  const { trained, bottleneck } = modelOf(config);
  const { sums } = accumulation(accumulate);
  return {
    ...sums('model', tensorSpecs(trained)),
    ...(adversarial && sums('disc', tensorSpecs(specsOf(discriminatorSpecs(config))))),
    ...(adversarial && disc.lecam > 0 && sums('disc_lecam', lecamAnchors)),
    ...over(partial('codebook'), bottleneck.partial),
  };
}

/** Random weights by `config.seed`, averages equal to them, moments 0, loss scaled as at first; with the discriminator where there is one. */
export function initialState(config: Config): HostTensors {
  const { specs: model, bottleneck } = modelOf(config);
  const weights = initialise(
    {
      ...bottleneck.state,
      ...over('model', specsOf(model)),
      ...over('disc', specsOf(discriminatorSpecs(config))),
      ...over('disc_u', specsOf(spectrum(config).specs)),
    },
    config.seed,
  );
  const specs = stage1State(config, { adversarial: hasDiscriminator(config) });
  const state: HostTensors = {};
  for (const [name, { shape }] of Object.entries(specs)) {
    const source = weights[name.replace(/^ema\./, 'model.')];
    state[name] = float32(shape, source && Float32Array.from(source.data));
  }
  return { ...state, ...firstScale(specs) };
}
