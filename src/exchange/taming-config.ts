/**
 * What a checkpoint of taming-transformers is, and the config that stands for it here: read from its project's YAML,
 * and where there is none inferred from the tensors' names and shapes.
 */
import { expected, type UserError } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { readWhole } from '../base/regular-file.js';
import { runPaths } from '../checkpoint/run.js';
import { checkStandIn } from '../checkpoint/stand-in.js';
import { ownTokenizer } from '../config/conditions.js';
import { longestYaml, parseYaml } from '../config/yaml.js';
import { mostLabels } from '../data/map-labels.js';
import type { PublishedPrior } from './taming-names.js';
import type { TensorFile } from './torch-file.js';
import { PUBLISHED_GROUPS } from './widen.js';

export type Kind = 'VQModel' | 'GumbelVQ' | 'Net2NetTransformer';

/** Dotted keys of vqgen's config and their values. */
export type Overrides = Record<string, unknown>;

export type Section = Readonly<Record<string, unknown>>;

/** Where a Net2NetTransformer holds its tokenizer, that of what it is told, and its GPT. */
export const firstStage = 'first_stage_model.';
export const condStage = 'cond_stage_model.';
export const gpt = 'transformer.';

export type Shapes = (name: string) => readonly number[] | undefined;

export const shapesOf =
  ({ entries }: Pick<TensorFile, 'entries'>): Shapes =>
  (name) =>
    Object.hasOwn(entries, name) ? entries[name]?.shape : undefined;

/** How many codes the codebook has. */
export function embeddingsIn(shape: Shapes, prefix: string): number {
  const book = shape(`${prefix}quantize.embedding.weight`) ?? shape(`${prefix}quantize.embed.weight`);
  return must(book?.[0], 'codebook');
}

/** @throws UserError for a file of another model */
export function kindOf(tensors: TensorFile, file: string): { kind: Kind; prefix: string } {
  const shape = shapesOf(tensors);
  const isTransformer = shape(`${gpt}tok_emb.weight`) !== undefined;
  const prefix = isTransformer ? firstStage : '';
  const gumbel = shape(`${prefix}quantize.proj.weight`) !== undefined;
  const known = gumbel || shape(`${prefix}quantize.embedding.weight`) !== undefined;
  if (!known || !shape(`${prefix}encoder.conv_in.weight`) || !shape(`${prefix}decoder.conv_in.weight`)) {
    throw anotherModel(tensors, file, isTransformer);
  }
  return { kind: isTransformer ? 'Net2NetTransformer' : gumbel ? 'GumbelVQ' : 'VQModel', prefix };
}

function anotherModel({ entries }: TensorFile, file: string, isTransformer: boolean): UserError {
  const [first, ...others] = Object.entries(entries);
  const received = isTransformer
    ? 'a transformer without its first_stage_model'
    : `tensors of another model: ${first![0]} [${first![1].shape}]${others.length > 0 ? ` and ${others.length} more` : ''}`;
  return expected(
    'a VQModel, GumbelVQ or Net2NetTransformer of taming-transformers, or a VQVAE of vq-vae-2-pytorch',
    file,
    received,
    'Perceptual weights are imported from two files: vqgen import VGG16 LPIPS.',
  );
}

export interface Project {
  /** The class's name. */
  readonly target?: string;
  readonly params: Section;
  /** Images of a step; with a rate for one image. */
  readonly batch?: number;
  readonly rate?: number;
}

/** The YAML of a project: its `model` section and how it is trained. @throws UserError when it is none */
export function readProject(file: string): Project {
  const wrong = (received: string, cause?: unknown): UserError =>
    expected(
      "the YAML of a taming-transformers project, with a section 'model',",
      '--config',
      `${file}, ${received}`,
      '',
      cause,
    );
  const bytes = readWhole(file, longestYaml, wrong);
  checkStandIn(bytes, 'a YAML file', file);
  let root: unknown;
  try {
    root = parseYaml(bytes.toString());
  } catch (cause) {
    const [line = ''] = (cause as Error).message.split('\n');
    throw wrong(`which is no YAML: ${line.replace(/[:.]$/, '')}`, cause);
  }
  const { target, base_learning_rate, params } = sectionAt(root, 'model') ?? {};
  if (typeof target !== 'string') throw wrong('which has none');
  const rate = number(base_learning_rate);
  return {
    target,
    params: section(params),
    batch: whole(section(sectionAt(root, 'data')?.params).batch_size),
    ...(rate > 0 && { rate }),
  };
}

const isSection = (v: unknown): v is Section => typeof v === 'object' && v !== null && !Array.isArray(v);
const section = (v: unknown): Section => (isSection(v) ? v : {});
export const sectionAt = (v: unknown, key: string): Section | undefined =>
  isSection(v) && isSection(v[key]) ? v[key] : undefined;

/** What a YAML gives as a number or as its text; NaN for anything else, which may not even become a text. */
const number = (v: unknown): number =>
  typeof v === 'string' || typeof v === 'number' ? Number(v) : Number.NaN;
const shown = (v: unknown): string => (typeof v === 'string' ? v : JSON.stringify(v));

/** What scripts/sample_fast.py draws among, and the shipped config that an import begins from. */
const publishedTopK = 250;

/** How many of `…0`, `…1`, … there are. */
function countOf(shape: Shapes, at: (i: number) => string): number {
  let n = 0;
  while (shape(at(n))) n++;
  return n;
}

/**
 * The tokenizer's keys.
 *
 * @param o.size side of the pictures, which no shape tells, where the YAML does not: 256, as published
 * @throws UserError for what vqgen has no form of
 */
export function tokenizerConfig(
  shape: Shapes,
  params: Section,
  o: { file: string; prefix: string; size?: number; used?: number },
): Overrides {
  const at = (name: string) => shape(o.prefix + name);
  const dd = section(params.ddconfig);
  const gumbel = at('quantize.proj.weight') !== undefined;
  const [ch = 0] = at('encoder.conv_in.weight') ?? [];
  const level = (i: number, part: string) => `${o.prefix}encoder.down.${i}.${part}`;
  const levels = countOf(shape, (i) => level(i, 'block.0.conv1.weight'));
  const indices = Array.from({ length: levels }, (_, i) => i);
  const inferred = {
    ch,
    ch_mult: indices.map((i) => {
      const [outputs = 0] = shape(level(i, 'block.0.conv1.weight')) ?? [];
      return outputs / ch;
    }),
    num_res_blocks: countOf(shape, (j) => level(0, `block.${j}.conv1.weight`)),
    z_channels: at('decoder.conv_in.weight')?.[1],
  };
  const size = o.size ?? whole(dd.resolution) ?? 256;
  const attended = indices.filter((i) => shape(level(i, 'attn.0.q.weight'))).map((i) => size >> i);
  const sides = indices.map((i) => size >> i);
  const described = size === (whole(dd.resolution) ?? size) ? numbers(dd.attn_resolutions) : undefined;
  const attention = described?.filter((side) => sides.includes(side)) ?? attended;
  const [embeddings = 0, width] = at(gumbel ? 'quantize.embed.weight' : 'quantize.embedding.weight') ?? [];
  const disc = section(sectionAt(params, 'lossconfig')?.params);
  const codes = o.used ?? whole(params.n_embed) ?? embeddings;
  return {
    'data.size': size,
    ...picturesConfig(at, params, o.file),
    'stage1.ch': whole(dd.ch) ?? inferred.ch,
    'stage1.ch_mult': numbers(dd.ch_mult) ?? inferred.ch_mult,
    'stage1.num_res_blocks': whole(dd.num_res_blocks) ?? inferred.num_res_blocks,
    'stage1.norm_groups': PUBLISHED_GROUPS,
    'stage1.attn_resolutions': attention,
    'stage1.z_channels': whole(dd.z_channels) ?? inferred.z_channels,
    'stage1.embed_dim': whole(params.embed_dim) ?? width,
    'stage1.codes': codes,
    ...(codes < publishedTopK && { 'sample.top_k': 0 }),
    'stage1.bottleneck.kind': gumbel ? 'gumbel' : 'nearest',
    ...discriminatorConfig(at, disc),
  };
}

/** What its pictures are, where they are no photographs: a channel for each label, or one of depth. */
function picturesConfig(at: Shapes, params: Section, file: string): Overrides {
  const dd = section(params.ddconfig);
  const channels = at('encoder.conv_in.weight')?.[1] ?? 0;
  checkChannels(file, channels, at('decoder.conv_out.weight')?.[0], 'tensors');
  checkChannels(file, whole(dd.in_channels) ?? channels, whole(dd.out_ch) ?? channels, 'YAML');
  const labelled = at('colorize') ?? whole(params.n_labels) ?? whole(params.colorize_nlabels);
  if (labelled === undefined && channels === 3) return {};
  if (labelled === undefined && channels === 1) return { 'data.pictures': 'depth' };
  if (channels > mostLabels)
    throw expected(`at most ${mostLabels} labels`, file, `a tokenizer of ${channels}`);
  const grey = (label: number): string => `#${label.toString(16).padStart(2, '0').repeat(3)}`;
  return {
    'data.pictures': 'labels',
    'data.labels': Array.from({ length: channels }, (_, label) => grey(label)),
  };
}

/** @throws UserError where it gives other pictures than it takes */
function checkChannels(file: string, takes: number, gives = 0, where: 'tensors' | 'YAML'): void {
  if (takes === gives) return;
  const plural = (n: number): string => `${n} channel${n === 1 ? '' : 's'}`;
  throw expected(
    'a tokenizer that gives pictures such as it takes,',
    file,
    `one that takes pictures with ${plural(takes)} and gives ${plural(gives)}, as its ${where} say${where === 'YAML' ? 's' : ''}`,
  );
}

function discriminatorConfig(at: Shapes, loss: Section): Overrides {
  const main = (i: number) => `loss.discriminator.main.${i}.weight`;
  const ch = at(main(0))?.[0];
  if (ch === undefined) return { 'stage1.disc.weight': 0 };
  const layers = countOf(at, (i) => main(2 + 3 * i)) - 1; // The last one is `conv_out`.
  return {
    'stage1.disc.ch': whole(loss.disc_ndf) ?? ch,
    'stage1.disc.layers': whole(loss.disc_num_layers) ?? Math.max(1, layers),
    'stage1.disc.loss': loss.disc_loss ?? 'hinge',
    'stage1.disc.start': Math.max(1, whole(loss.disc_start) ?? 1),
    'stage1.disc.weight': loss.disc_weight ?? 0.8,
  };
}

const whole = (v: unknown): number | undefined => (Number.isSafeInteger(v) ? (v as number) : undefined);
const numbers = (v: unknown): number[] | undefined => (Array.isArray(v) ? v.map(number) : undefined);

/**
 * Side of what a transformer is told of pictures of a size: of maps of their own size the same, whatever that is.
 *
 * @param params its section of the YAML
 */
export function toldSize(params: Section, size: number): number {
  const { downsample_cond_size: few } = params;
  if (number(few) > 0) return number(few);
  const resolution = (key: string) =>
    whole(sectionAt(sectionAt(sectionAt(params, key), 'params'), 'ddconfig')?.resolution);
  const own = resolution('cond_stage_config');
  return own === undefined || own === resolution('first_stage_config') ? size : own;
}

/**
 * The keys of a prior that is told the codes of a tokenizer, and was never told nothing.
 *
 * @param o.itself whether that is the tokenizer of the images, of pictures of `o.pixels`
 */
export const toldConfig = (run: string, o: { itself: boolean; pixels: number }): Overrides => ({
  ...(o.itself
    ? { ...conditionKeys('lowres', ownTokenizer), 'prior.condition.side': o.pixels }
    : conditionKeys('maps', runPaths(run).condition)),
  'prior.start': 'told',
  'prior.class_dropout': 0,
});

const conditionKeys = (kind: string, tokenizer: string): Overrides => ({
  'prior.condition.kind': kind,
  'prior.condition.tokenizer': tokenizer,
});

/** Width → heads of the published transformers; no shape tells. */
const publishedHeads: Record<number, number> = { 1024: 16, 1536: 16 };

/**
 * The prior's keys, and what they leave out.
 *
 * @param o.tokens codes of a picture, and of what is told of it. @param o.told whether there is a tokenizer of that
 * @throws UserError for another condition than that or a class, a permuted order, or where the number of heads must be
 *   told
 */
export function priorConfig(
  shape: Shapes,
  params: Section,
  o: { file: string; codes: number; tokens: number; heads?: number; told: boolean },
): { overrides: Overrides; published: PublishedPrior; guessed: boolean } {
  const [vocabulary = 0, width = 0] = shape(`${gpt}tok_emb.weight`) ?? [];
  const block = shape(`${gpt}pos_emb`)?.[1] ?? 0;
  const transformer = section(sectionAt(params, 'transformer_config')?.params);
  checkCondition(params, transformer, o);
  const heads = o.heads ?? whole(transformer.n_head) ?? publishedHeads[width];
  if (heads === undefined) {
    throw expected(
      'the number of attention heads, which no shape tells,',
      '--config',
      'nothing',
      "Name the project's YAML, or the number itself: --set prior.heads=8.",
    );
  }
  const cond = sectionAt(params, 'cond_stage_config');
  const classes = (cond && whole(section(cond.params).n_classes)) ?? 0;
  const start = o.told ? undefined : (whole(params.sos_token) ?? 0);
  const fits =
    vocabulary >= o.codes && block >= o.tokens && (start ?? 0) < vocabulary && classes <= vocabulary;
  if (!fits) {
    throw expected(
      `at least ${o.codes} tokens and ${o.tokens} positions`,
      o.file,
      `a transformer of ${vocabulary} and ${block}`,
      'It belongs to another tokenizer, or to smaller pictures: --size.',
    );
  }
  return {
    overrides: {
      'prior.layers': countOf(shape, (i) => `${gpt}blocks.${i}.ln1.weight`),
      'prior.heads': heads,
      'prior.width': width,
      'prior.dropout': transformer.resid_pdrop ?? 0,
      'prior.pkeep': params.pkeep ?? 1,
      'prior.class_labels': classes > 0 ? 'subfolders' : 'none',
    },
    published: { vocabulary, block, classes, ...(start !== undefined && { start }) },
    guessed: o.heads === undefined && whole(transformer.n_head) === undefined,
  };
}

function checkCondition(
  params: Section,
  transformer: Section,
  { file, told }: { file: string; told: boolean },
): void {
  const cond = params.cond_stage_config;
  const target = isSection(cond) ? cond.target : cond;
  const none = cond === undefined || cond === '__is_unconditional__' || params.unconditional === true;
  const refuse = (received: string): UserError =>
    expected(
      'a transformer without condition, with a class as its first token, or with a tokenizer of what it is told,',
      file,
      received,
      'Its tokenizer alone can be imported from a checkpoint of its own.',
    );
  if (!none && !told && !/\.Labelator$/.test(shown(target)))
    throw refuse(`one with the condition ${shown(target)}`);
  const permuter = sectionAt(params, 'permuter_config')?.target;
  if (permuter !== undefined && !/\.Identity$/.test(shown(permuter))) {
    throw refuse(`one that reads the codes in another order, ${shown(permuter)}`);
  }
  if ((whole(transformer.n_unmasked) ?? 0) > 0)
    throw refuse(`one with ${shown(transformer.n_unmasked)} unmasked tokens`);
}
