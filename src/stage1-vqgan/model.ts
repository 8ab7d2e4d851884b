/** The tokenizer as a whole: encoder, bottleneck and decoder, and their parameters. */
import type { Config } from '../config/schema.js';
import { countParams, type ParamSpec, specsOf } from '../nn/params.js';
import { discriminatorSpecs } from './adversary/discriminator.js';
import { type Decoder, decoderSpecs } from './autoencoder/decoder.js';
import { type Encoder, encoderSpecs } from './autoencoder/encoder.js';
import { bottleneckOf } from './bottlenecks/index.js';
import type { Codebook } from './bottlenecks/quantiser.js';

export type Model = { encoder: Encoder; bottleneck: Codebook; decoder: Decoder };

export function modelSpecs(config: Config): Model {
  return {
    encoder: encoderSpecs(config),
    bottleneck: bottleneckOf(config.stage1).specs,
    decoder: decoderSpecs(config),
  };
}

/** The specs, by dotted name, of what the optimiser moves: all but a codebook that learns by a rule of its own. */
export function trainedSpecs(config: Config): Record<string, ParamSpec> {
  const all = Object.entries(specsOf(modelSpecs(config)));
  const { learnsByGradient } = bottleneckOf(config.stage1);
  return Object.fromEntries(all.filter(([name]) => learnsByGradient || !name.startsWith('bottleneck.')));
}

/** Side h = w of the code grid. */
export function codeSide({ data, stage1 }: Config): number {
  return data.size >> (stage1.ch_mult.length - 1);
}

export const hasDiscriminator = ({ stage1 }: Config): boolean => stage1.disc.weight > 0;

/** Learned values of each part; the discriminator's are 0 where there is none. */
export function stage1Params(
  config: Config,
): Record<'encoder' | 'codebook' | 'decoder' | 'discriminator', number> {
  const model = modelSpecs(config);
  return {
    encoder: countParams(model.encoder),
    codebook: countParams(model.bottleneck),
    decoder: countParams(model.decoder),
    discriminator: hasDiscriminator(config) ? countParams(discriminatorSpecs(config)) : 0,
  };
}
