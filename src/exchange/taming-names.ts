/**
 * The tensors of taming-transformers (github.com/CompVis/taming-transformers: models/vqgan.py,
 * modules/diffusionmodules/model.py, modules/vqvae/quantize.py, modules/discriminator/model.py,
 * modules/transformer/mingpt.py) and their places in vqgen.
 */
import * as z from 'zod';
import { expected, type UserError } from '../base/errors.js';
import { parseJson } from '../base/json.js';
import { firstAxis, lastAxis } from '../base/tensor.js';
import type { Config, Stage1Config } from '../config/schema.js';
import { type ParamSpec, specsOf } from '../nn/params.js';
import { discriminatorSpecs } from '../stage1-vqgan/adversary/discriminator.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { modelSpecs } from '../stage1-vqgan/model.js';
import { gptSpecs } from '../stage2-transformer/gpt/gpt.js';
import { gptSizes } from '../stage2-transformer/gpt/index.js';
import { rowsOfOneTable } from '../stage2-transformer/gpt/sequences.js';
import type { Named, Place } from './places.js';

const count = z
  .int()
  .positive()
  .max(2 ** 24);
const row = z
  .int()
  .nonnegative()
  .max(2 ** 24);

const tokenizer = z.strictObject({
  /** All rows of its codebook; vqgen has those that `used` names, by their new numbers, or all. */
  embeddings: count,
  used: z.array(row).exactOptional(),
  /** The section of the YAML on losses, whose tensors are kept and not used. */
  loss: z.looseObject({}).exactOptional(),
});

const transformer = z.strictObject({
  /** Rows of its token table. */
  vocabulary: count,
  /** Length of its table of positions. */
  block: count,
  /** The token that stands before the codes, where no class does; left out where codes that are told do. */
  start: row.exactOptional(),
  /** Labels 0, 1, … as first tokens, which are rows of the codes' table; 0: none. */
  classes: row,
});

/** What vqgen's config does not say of a published tokenizer. */
export type PublishedTokenizer = Readonly<z.output<typeof tokenizer>>;

/** And of a published transformer. */
export type PublishedPrior = Readonly<z.output<typeof transformer>>;

const parsed =
  <T>(schema: z.ZodType<T>) =>
  (published: string, file: string): T => {
    try {
      return schema.parse(parseJson(published));
    } catch (cause) {
      throw expected('what was imported', file, 'something else', 'Import it again.', cause);
    }
  };

/** Of JSON in a run. @throws UserError for anything else */
export const parseTokenizer = parsed(tokenizer);
export const parsePrior = parsed(transformer);

const renamed = (
  name: string,
  rules: readonly (readonly [RegExp, string | ((...found: string[]) => string)])[],
) => rules.reduce((text, [pattern, by]) => text.replace(pattern, by as string), name);

const leaf = [
  [/\.gamma$/, '.weight'],
  [/\.beta$/, '.bias'],
] as const;

/** `encoder.levels.0.blocks.1.res.conv1.weight` → `encoder.down.0.block.1.conv1.weight` */
function vqganName(name: string, levels: number, gumbel: boolean): string {
  return renamed(name, [
    [/^encoder\.embed/, 'quant_conv'],
    [/^decoder\.embed/, 'post_quant_conv'],
    [/^bottleneck\.codebook$/, gumbel ? 'quantize.embed.weight' : 'quantize.embedding.weight'],
    [/^bottleneck\.proj/, 'quantize.proj'],
    [/^encoder\.levels\.(\d+)/, 'encoder.down.$1'],
    [/^decoder\.levels\.(\d+)/, (_, level) => `decoder.up.${levels - 1 - Number(level)}`],
    [/\.blocks\.(\d+)\.res\./, '.block.$1.'],
    [/\.blocks\.(\d+)\.attention\./, '.attn.$1.'],
    [/\.middle\.res([12])\./, '.mid.block_$1.'],
    [/\.middle\.attention\./, '.mid.attn_1.'],
    [/(\.attn[._]\d+)\.query\./, '$1.q.'],
    [/(\.attn[._]\d+)\.key\./, '$1.k.'],
    [/(\.attn[._]\d+)\.value\./, '$1.v.'],
    [/(\.attn[._]\d+)\.out\./, '$1.proj_out.'],
    [/\.shortcut\./, '.nin_shortcut.'],
    [/^(encoder\.down\.\d+)\.down\./, '$1.downsample.conv.'],
    [/^(decoder\.up\.\d+)\.up\./, '$1.upsample.conv.'],
    ...leaf,
  ]);
}

/** The place of a convolution's or norm's parameter under another name. */
export function imageLayer(ours: string, theirs: string, { shape }: ParamSpec): Place {
  if (shape.length !== 4)
    return { ours: { name: ours, shape }, theirs: [{ name: theirs, shape }], order: 'same' };
  const [height, width, inputs, outputs] = shape as [number, number, number, number];
  return {
    ours: { name: ours, shape },
    theirs: [{ name: theirs, shape: [outputs, inputs, height, width] }],
    order: 'filter',
  };
}

/** Encoder, bottleneck and decoder; the names of ours as a checkpoint's `model.` has them, without it. */
export function tokenizerPlaces(
  config: Config,
  { embeddings, used }: PublishedTokenizer,
  prefix = '',
): Place[] {
  const levels = config.stage1.ch_mult.length;
  const gumbel = bottleneckOf(config).published === 'GumbelVQ';
  return Object.entries(specsOf(modelSpecs(config))).map(([name, spec]) => {
    const place = imageLayer(name, prefix + vqganName(name, levels, gumbel), spec);
    if (!used || !name.startsWith('bottleneck.')) return place;
    const [{ name: theirs, shape }] = place.theirs as [Named];
    return { ...place, theirs: [{ name: theirs, shape: [embeddings, ...shape.slice(1)] }], rows: used };
  });
}

/** The PatchGAN; the names of ours as a checkpoint's `disc.` has them, without it. */
export function discriminatorPlaces(disc: Stage1Config['disc'], prefix = ''): Place[] {
  const main = (index: number) => `${prefix}loss.discriminator.main.${index}.`;
  return Object.entries(specsOf(discriminatorSpecs(disc))).map(([name, spec]) => {
    const theirs = renamed(name, [
      [/^conv_in\./, main(0)],
      [/^conv_out\./, main(2 + 3 * disc.layers)],
      [/^layers\.(\d+)\.conv\./, (_, i) => main(2 + 3 * Number(i))],
      [/^layers\.(\d+)\.norm\./, (_, i) => main(3 + 3 * Number(i))],
      ...leaf,
    ]);
    return imageLayer(name, theirs, spec);
  });
}

/** Statistics that BatchNorm keeps for evaluation, which vqgen has no use for. */
export function runningStatistics({ ch, layers }: Stage1Config['disc'], prefix = ''): Named[] {
  return Array.from({ length: layers }, (_, i) => {
    const norm = `${prefix}loss.discriminator.main.${3 + 3 * i}`;
    const shape = [ch * Math.min(2 ** (i + 1), 8)];
    return [
      { name: `${norm}.running_mean`, shape },
      { name: `${norm}.running_var`, shape },
      { name: `${norm}.num_batches_tracked`, shape: [] },
    ];
  }).flat();
}

/**
 * The GPT; the names of ours as a prior's `model.` has them, without it.
 *
 * @param grids of its canvas, those that are told first
 */
export function priorPlaces(
  config: Config,
  published: PublishedPrior,
  grids: readonly Grid[],
  prefix = 'transformer.',
): Place[] {
  const sizes = gptSizes(config.prior, grids, published.classes);
  const { codes, tokens, width } = sizes;
  const rowsUpTo = (n: number) => Array.from({ length: n }, (_, i) => i);
  return Object.entries(specsOf(gptSpecs(sizes))).map(([name, { shape }]): Place => {
    const ours = { name, shape };
    if (name === 'tokens.weight') {
      const theirs = [{ name: `${prefix}tok_emb.weight`, shape: [published.vocabulary, width] }];
      return { ours, theirs, order: 'same', rows: rowsOfOneTable(codes, published) };
    }
    if (name === 'positions') {
      const theirs = [{ name: `${prefix}pos_emb`, shape: [1, published.block, width] }];
      return { ours, theirs, order: 'same', rows: rowsUpTo(tokens) };
    }
    if (name === 'head.weight') {
      const theirs = [{ name: `${prefix}head.weight`, shape: [published.vocabulary, width] }];
      return { ours, theirs, order: 'columns', rows: rowsUpTo(codes) };
    }
    const theirs = gptNames(name).map((theirs) => prefix + theirs);
    const columns = shape.length === 2;
    const part = lastAxis(ours) / theirs.length;
    return {
      ours,
      theirs: theirs.map((name) => ({ name, shape: columns ? [part, firstAxis(ours)] : [part] })),
      order: columns ? 'columns' : 'same',
    };
  });
}

/**
 * What of a GPT the published transformer knows one value of, where it has another.
 *
 * @param o.told whether it is told the codes of a tokenizer. @param o.next what to do about it
 */
export function gptMisfit(
  { prior }: Config,
  { told, next }: { told: boolean; next: string },
): UserError | undefined {
  const published = {
    ...{ norm: 'layer', mlp: 'gelu', qk_norm: false, positions: 'learned', order: 'raster' },
    start: told ? 'told' : 'token',
  };
  for (const [name, only] of Object.entries(published)) {
    const value = prior[name as keyof typeof published];
    if (value !== only) return expected(`${only}`, `prior.${name}`, `${value}`, next);
  }
  return undefined;
}

/** Their masks of the past, [1, 1, T, T] each. */
export function attentionMasks(config: Config, { block }: PublishedPrior, prefix = 'transformer.'): Named[] {
  return Array.from({ length: config.prior.layers }, (_, i) => ({
    name: `${prefix}blocks.${i}.attn.mask`,
    shape: [1, 1, block, block],
  }));
}

/** `blocks.0.qkv.weight` → query, key and value of `blocks.0.attn`. */
function gptNames(name: string): string[] {
  const theirs = renamed(name, [
    [/\.norm([12])\./, '.ln$1.'],
    [/\.out\./, '.attn.proj.'],
    [/\.expand\./, '.mlp.0.'],
    [/\.contract\./, '.mlp.2.'],
    [/^norm\./, 'ln_f.'],
    ...leaf,
  ]);
  if (!theirs.includes('.qkv.')) return [theirs];
  return ['query', 'key', 'value'].map((part) => theirs.replace('.qkv.', `.attn.${part}.`));
}

/** What an untouched tokenizer of vqgen's would be, published. */
export const publishedTokenizer = ({ stage1 }: Config): PublishedTokenizer => ({ embeddings: stage1.codes });

/** A GPT of vqgen's, published: its start token, where it has one, becomes token 0, see `foldStart`. */
export function publishedPrior({ prior }: Config, grids: readonly Grid[]): PublishedPrior {
  const { codes, told, tokens } = gptSizes(prior, grids);
  return { vocabulary: codes, block: tokens, classes: 0, ...(!told && { start: 0 }) };
}

/** Values between encoder and bottleneck that the published classes allow: Gumbel scores are of `z_channels` there. */
export function gumbelFits(config: Config): boolean {
  const { published, channels } = bottleneckOf(config);
  return published !== 'GumbelVQ' || channels.in === config.stage1.z_channels;
}
