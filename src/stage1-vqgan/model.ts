/** The tokenizer as a whole: encoder, bottleneck and decoder, and their parameters. */
import { expected } from '../base/errors.js';
import type { Config } from '../config/schema.js';
import { countParams, type ParamSpec, specsOf } from '../nn/params.js';
import { discriminatorSpecs } from './adversary/discriminator.js';
import { corruptionOf } from './autoencoder/corruption.js';
import { type Autoencoder, networkOf } from './autoencoder/index.js';
import { bottleneckOf } from './bottlenecks/index.js';
import type { Grid } from './latent.js';

export type Model = Record<'encoder' | 'bottleneck' | 'decoder', Record<string, ParamSpec>>;

/** The encoder and the decoder, as wide as the bottleneck between them asks for. */
export function autoencoderOf(config: Config): Autoencoder {
  const { channels, takesFeatures } = bottleneckOf(config);
  return networkOf(config, {
    seen: corruptionOf(config).channels,
    taken: takesFeatures ? undefined : channels.in,
    given: channels.out,
  });
}

export function modelSpecs(config: Config): Model {
  const { learned, own } = bottleneckOf(config);
  const { encoder, decoder } = autoencoderOf(config);
  return { encoder, bottleneck: { ...learned, ...own }, decoder };
}

/** The specs, by dotted name, of what the optimiser moves: all but what a bottleneck moves by a rule of its own. */
export function trainedSpecs(config: Config): Record<string, ParamSpec> {
  const { own } = bottleneckOf(config);
  const all = Object.entries(specsOf(modelSpecs(config)));
  return Object.fromEntries(all.filter(([name]) => !(name.replace(/^bottleneck\./, '') in own)));
}

/** The grids of codes that an image becomes; none where its latent is continuous. */
export function gridsOf(config: Config): readonly Grid[] {
  const { latent } = bottleneckOf(config);
  return latent.kind === 'codes' ? latent.grids : [];
}

/** The command behind `train-stage1`: latents that are numbers need neither tokens nor a prior. */
export const afterStage1 = (config: Config): string =>
  gridsOf(config).length > 0 ? 'tokenize' : 'sample --n 16';

/**
 * @param o where it was named, and what of `vqgen sample` draws from it
 * @throws UserError for a run whose latents are no codes, in which a prior could be trained
 */
export function checkCodes(
  config: Config,
  run: string,
  o = { option: '--run', drawing: `--run ${run}` },
): void {
  if (gridsOf(config).length > 0) return;
  throw expected(
    'a tokenizer whose latents are codes',
    o.option,
    `${run}, whose latents are numbers (stage1.bottleneck.kind ${config.stage1.bottleneck.kind})`,
    `To draw from it takes neither tokens nor a prior: vqgen sample ${o.drawing}`,
  );
}

/** Side h = w of the code grid. */
export function codeSide({ data, stage1 }: Config): number {
  return data.size >> (stage1.ch_mult.length - 1);
}

export const hasDiscriminator = ({ stage1 }: Config): boolean => stage1.disc.weight > 0;

/** Learned values of each part; the discriminator's are 0 where there is none. */
export function stage1Params(
  config: Config,
): Record<'encoder' | 'bottleneck' | 'decoder' | 'discriminator', number> {
  const model = modelSpecs(config);
  return {
    encoder: countParams(model.encoder),
    bottleneck: countParams(model.bottleneck),
    decoder: countParams(model.decoder),
    discriminator: hasDiscriminator(config) ? countParams(discriminatorSpecs(config)) : 0,
  };
}
