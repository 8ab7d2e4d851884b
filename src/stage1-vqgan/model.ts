/** The tokenizer as a whole (encoder, bottleneck, decoder) and its parameters; in training with what opposes it. */
import { expected } from '../base/errors.js';
import type { Config } from '../config/schema.js';
import { countParams, type ParamSpec, specsOf } from '../nn/params.js';
import { type Adversary, adversaryOf } from './adversary/index.js';
import { type Corruption, corruptionOf } from './autoencoder/corruption.js';
import { type Autoencoder, autoencoderOf } from './autoencoder/index.js';
import { planesOf } from './autoencoder/planes.js';
import { bottleneckOf } from './bottlenecks/index.js';
import { type Bottleneck, type Grid, gridsIn } from './latent.js';

export type ModelSpecs = Record<'encoder' | 'bottleneck' | 'decoder', Record<string, ParamSpec>>;

/** What a config makes of a tokenizer, for images and batches of any number. */
export interface Model {
  /** Side S of an image. */
  readonly size: number;
  /** Side h = w of what the encoder gives. */
  readonly side: number;
  /** What the encoder sees of an image in training. */
  readonly corruption: Corruption;
  /** Encoder and decoder, as wide as the bottleneck between them asks for. */
  readonly net: Autoencoder;
  readonly bottleneck: Bottleneck;
  readonly specs: ModelSpecs;
  /** By dotted name, of what the optimiser moves: all but what the bottleneck moves by a rule of its own. */
  readonly trained: Record<string, ParamSpec>;
}

export function modelOf(config: Config): Model {
  const { data, stage1, seed } = config;
  const { size } = data;
  const halvings = stage1.ch_mult.length - 1;
  const corruption = corruptionOf(stage1.corrupt, { size, cell: 2 ** halvings, seed });
  const bottleneck = bottleneckOf(config);
  const { channels, takesFeatures, learned, own } = bottleneck;
  const net = autoencoderOf(
    { ...stage1, size },
    {
      seen: corruption.channels,
      taken: takesFeatures ? undefined : channels.in,
      given: channels.out,
    },
    planesOf(data),
  );
  const specs = { encoder: net.encoder, bottleneck: { ...learned, ...own }, decoder: net.decoder };
  const moved = Object.entries(specsOf(specs)).filter(
    ([name]) => !(name.replace(/^bottleneck\./, '') in own),
  );
  return {
    ...{ size, side: size >> halvings },
    ...{ corruption, net, bottleneck, specs },
    trained: Object.fromEntries(moved),
  };
}

/** What stage 1 trains: the tokenizer, and an adversary where it has one. */
export interface Networks {
  readonly model: Model;
  readonly adversary?: Adversary;
}

export const networksOf = (config: Config): Networks => ({
  model: modelOf(config),
  adversary: adversaryOf(config.stage1, { size: config.data.size, seed: config.seed }),
});

export const modelSpecs = (config: Config): ModelSpecs => modelOf(config).specs;

export const gridsOf = (config: Config): readonly Grid[] => gridsIn(bottleneckOf(config).latent);

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

/** Learned values of each part; the discriminator's are 0 where there is none. */
export function stage1Params({
  model: { specs },
  adversary,
}: Networks): Record<'encoder' | 'bottleneck' | 'decoder' | 'discriminator', number> {
  return {
    encoder: countParams(specs.encoder),
    bottleneck: countParams(specs.bottleneck),
    decoder: countParams(specs.decoder),
    discriminator: adversary ? countParams(adversary.specs) : 0,
  };
}
