/** The tokenizer as a whole: encoder, bottleneck and decoder, their parameters, and checks before any work. */
import { expected } from '../base/errors.js';
import type { Config } from '../config/schema.js';
import type { Specs } from '../engine/device.js';
import { groupsOf } from '../nn/group-norm.js';
import { countParams, type ParamSpec, specsOf } from '../nn/params.js';
import { type Codebook, nearestCode } from './bottleneck.js';
import { type Decoder, decoderSpecs } from './decoder.js';
import { discriminatorSide, discriminatorSpecs } from './discriminator.js';
import { type Encoder, encoderSpecs } from './encoder.js';

export type Model = { encoder: Encoder; bottleneck: Codebook; decoder: Decoder };

export function modelSpecs(config: Config): Model {
  return {
    encoder: encoderSpecs(config),
    bottleneck: nearestCode(config.stage1).specs,
    decoder: decoderSpecs(config),
  };
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

/** Parameter specs by dotted name under a prefix: `model.encoder.conv_in.weight`. */
export function prefixed(prefix: string, tree: object): Record<string, ParamSpec> {
  return Object.fromEntries(Object.entries(specsOf(tree)).map(([name, spec]) => [`${prefix}.${name}`, spec]));
}

export const tensorSpecs = (params: Record<string, ParamSpec>): Specs =>
  Object.fromEntries(Object.entries(params).map(([name, { shape }]) => [name, { shape, dtype: 'float32' }]));

/** The entries under a prefix, without it. */
export function under<T>(prefix: string, record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]) =>
      name.startsWith(`${prefix}.`) ? [[name.slice(prefix.length + 1), value]] : [],
    ),
  );
}

/** The reverse of `under`. */
export function over<T>(prefix: string, record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [`${prefix}.${name}`, value]));
}

/** @throws UserError for sizes that do not go together */
export function checkStage1(config: Config): void {
  const { data, stage1 } = config;
  const halvings = stage1.ch_mult.length - 1;
  if (data.size % 2 ** halvings !== 0) {
    throw expected(
      `a multiple of ${2 ** halvings}`,
      'data.size',
      data.size,
      `stage1.ch_mult has ${stage1.ch_mult.length} levels, each but the last halves the size.`,
    );
  }
  for (const channels of [stage1.ch, ...stage1.ch_mult.map((mult) => stage1.ch * mult)]) {
    if (channels % groupsOf(channels) !== 0) {
      throw expected(
        'a width that gives multiples of 32 (or at most 32) channels at every level',
        'stage1.ch',
        stage1.ch,
        `It gives ${channels} channels, which do not split into 32 groups.`,
      );
    }
  }
  const sides = stage1.ch_mult.map((_, level) => data.size >> level);
  const stray = stage1.attn_resolutions.find((side) => !sides.includes(side));
  if (stray !== undefined) {
    throw expected(
      `resolutions of the network (${sides.join(', ')})`,
      'stage1.attn_resolutions',
      stray,
      'Name one of these or none.',
    );
  }
  if (hasDiscriminator(config) && discriminatorSide(data.size, stage1.disc.layers) < 1) {
    throw expected(
      `fewer layers for images of ${data.size} pixels`,
      'stage1.disc.layers',
      stage1.disc.layers,
      'Nothing would be left of an image after them.',
    );
  }
  const { kind, weights } = stage1.perceptual;
  if (kind === 'lpips-vgg16' && weights === null) {
    throw expected(
      'a safetensors file',
      'stage1.perceptual.weights',
      weights,
      'Name the file with the weights of LPIPS-VGG16, or set stage1.perceptual.kind=random-features.',
    );
  }
  if (kind === 'lpips-vgg16' && data.size < 16) {
    throw expected('at least 16', 'data.size', data.size, 'VGG16 halves an image four times.');
  }
}
