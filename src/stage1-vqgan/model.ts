/** The tokenizer as a whole: encoder, bottleneck and decoder, and their parameters. */
import { expected } from '../base/errors.js';
import type { Config } from '../config/schema.js';
import { countParams, type ParamSpec, specsOf } from '../nn/params.js';
import { discriminatorSpecs } from './adversary/discriminator.js';
import { corruptionOf } from './autoencoder/corruption.js';
import { type Decoder, decoderSpecs } from './autoencoder/decoder.js';
import { type Encoder, encoderSpecs } from './autoencoder/encoder.js';
import { bottleneckOf } from './bottlenecks/index.js';
import type { Grid } from './latent.js';

export type Model = { encoder: Encoder; bottleneck: Record<string, ParamSpec>; decoder: Decoder };

export function modelSpecs(config: Config): Model {
  const { channels, takesFeatures, learned, own } = bottleneckOf(config);
  const outputs = takesFeatures ? undefined : channels.in;
  return {
    encoder: encoderSpecs(config, { inputs: corruptionOf(config).channels, outputs }),
    bottleneck: { ...learned, ...own },
    decoder: decoderSpecs(config, channels.out),
  };
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
