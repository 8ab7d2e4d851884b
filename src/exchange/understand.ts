/** A checkpoint of taming-transformers as vqgen understands it: its config, and where each of its tensors goes. */
import path from 'node:path';
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { lpipsNames } from './lpips.js';
import type { Named, Place } from './places.js';
import {
  condStage,
  firstStage,
  gpt,
  type Kind,
  type Overrides,
  type Project,
  priorConfig,
  type Section,
  sectionAt,
  shapesOf,
  toldConfig,
  toldSize,
} from './taming-config.js';
import {
  attentionMasks,
  discriminatorPlaces,
  gptMisfit,
  type PublishedPrior,
  type PublishedTokenizer,
  priorPlaces,
  runningStatistics,
  tokenizerPlaces,
} from './taming-names.js';
import { tokenizerIn } from './tokenizer-in.js';
import type { TensorFile } from './torch-file.js';

export interface ImportOptions {
  readonly checkpoint: string;
  readonly run: string;
  /** YAML of the project that it comes from. */
  readonly config?: string;
  /** Side of the pictures, pixels. */
  readonly size?: number;
  readonly set?: readonly string[];
  /** Folder of images, for what comes after. */
  readonly data?: string;
  readonly reporter: Reporter;
}

export interface Tokenizer {
  readonly config: Config;
  readonly published: PublishedTokenizer;
  readonly places: readonly Place[];
  /** Kept as they are. */
  readonly other: readonly Named[];
}

export interface Understood extends Tokenizer {
  readonly disc: readonly Place[];
  readonly lpips: readonly Named[];
  readonly prior?: Transformer;
  readonly told?: Told;
}

/** The tokenizer of what a prior is told. */
export interface Told extends Tokenizer {
  /** Whether it is that of the images, whose tensors are there twice. */
  readonly itself: boolean;
}

export interface Transformer {
  readonly published: PublishedPrior;
  readonly places: readonly Place[];
  /** Not read, because they follow from the sizes. */
  readonly masks: readonly Named[];
}

export const perceptualPrefix = 'loss.perceptual_loss.';
export const lpipsFile = 'lpips-vgg16.safetensors';
const discriminatorPrefix = 'loss.discriminator.';

/** @throws UserError for the YAML of another class */
export function checkTarget(kind: Kind, project: Project | undefined, o: ImportOptions): void {
  const named = project?.target?.split('.').at(-1);
  const same = named === 'VQSegmentationModel' ? 'VQModel' : named;
  if (same === undefined || same === kind) return;
  throw expected(`the YAML of a ${kind}`, '--config', `${o.config}, which is that of a ${named}`);
}

/** @throws UserError for what vqgen has no form of */
export async function understand(
  file: TensorFile,
  prefix: string,
  project: Project | undefined,
  o: ImportOptions,
): Promise<Understood> {
  const all: Section = project?.params ?? {};
  const isTransformer = prefix === firstStage;
  const params = isTransformer ? paramsAt(all, 'first_stage_config') : all;
  const { overrides, published, holds, other } = await tokenizerIn(file, { ...o, prefix, params });
  const [disc, perceptual] = [holds(discriminatorPrefix), holds(perceptualPrefix)];
  const ofStage1: Overrides = {
    ...overrides,
    ...(!disc && { 'stage1.disc.weight': 0 }),
    ...perceptualConfig(perceptual, params, o.run),
    ...trainingConfig(project, isTransformer ? 'prior' : 'stage1'),
    'data.dir': o.data ?? null,
    'stage1.steps': stepOf(file),
  };
  const alone = configFrom(ofStage1, o.set);
  const told = isTransformer ? await toldTokenizer(file, all, alone, o) : undefined;
  const heard = isTransformer ? transformerIn(file, all, { alone, told }, o) : undefined;
  const config = heard ? configFrom({ ...ofStage1, ...heard.overrides }, o.set) : alone;
  if (heard?.guessed) {
    o.reporter.warn(
      `${config.prior.heads} attention heads, as published transformers of width ${config.prior.width} have: no shape tells. The project's YAML does: --config.`,
    );
  }
  return {
    ...{ config, published, told },
    ...(heard && { prior: transformer(file, heard.published, { config, told }) }),
    places: tokenizerPlaces(config, published, prefix),
    disc: disc ? discriminatorPlaces(config.stage1.disc, prefix) : [],
    lpips: perceptual ? lpipsNames(prefix + perceptualPrefix) : [],
    other: [...(disc ? runningStatistics(config.stage1.disc, prefix) : []), ...other],
  };
}

const paramsAt = (params: Section, key: string): Section =>
  (sectionAt(params, key)?.params as Section | undefined) ?? {};

/** Keys that `--set` names are the user's own. */
function configFrom(overrides: Overrides, set: readonly string[] = []): Config {
  const own = set.map((item) => item.split('=')[0]);
  const others = Object.entries(overrides).filter(([key]) => !own.includes(key));
  return loadConfig({ config: 'imagenet-f16', set, overrides: Object.fromEntries(others) });
}

/** That of what a transformer is told, where it holds one. */
async function toldTokenizer(
  file: TensorFile,
  project: Section,
  { data }: Config,
  o: ImportOptions,
): Promise<Told | undefined> {
  if (!shapesOf(file)(`${condStage}encoder.conv_in.weight`)) return undefined;
  const itself = project.cond_stage_config === '__is_first_stage__';
  const params = paramsAt(project, itself ? 'first_stage_config' : 'cond_stage_config');
  const { checkpoint } = o;
  const size = toldSize(project, data.size);
  const found = await tokenizerIn(file, { prefix: condStage, params, size, checkpoint });
  const config = configFrom({
    ...found.overrides,
    ...perceptualConfig(false, params, o.run),
    'stage1.disc.weight': 0,
    'stage1.steps': stepOf(file),
    'data.dir': null,
  });
  const { published, other } = found;
  return { config, published, places: tokenizerPlaces(config, published, condStage), other, itself };
}

/** The cells of a canvas, those that are told first. */
const canvasGrids = (config: Config, told: Tokenizer | undefined) => [
  ...(told ? gridsOf(told.config) : []),
  ...gridsOf(config),
];

/** @throws UserError for a transformer of another tokenizer, or of a form that vqgen has not */
function transformerIn(
  file: TensorFile,
  project: Section,
  { alone, told }: { alone: Config; told?: Told },
  { checkpoint, run, set }: ImportOptions,
): ReturnType<typeof priorConfig> {
  const grids = canvasGrids(alone, told);
  const { overrides, ...found } = priorConfig(shapesOf(file), project, {
    file: checkpoint,
    codes: Math.max(...grids.map(({ vocab }) => vocab)),
    tokens: told ? cellsIn(grids) - 1 : cellsIn(grids),
    heads: headsOf(set),
    told: told !== undefined,
  });
  const { itself = false, config } = told ?? {};
  const more = {
    ...(config && toldConfig(path.resolve(run), { itself, pixels: config.data.size })),
    'prior.steps': stepOf(file),
  };
  return { ...found, overrides: { ...overrides, ...more } };
}

/** @throws UserError where the user has set what published transformers have not */
function transformer(
  file: TensorFile,
  published: PublishedPrior,
  { config, told }: { config: Config; told?: Tokenizer },
): Transformer {
  const next = 'Published transformers have no other: leave it out of --set.';
  const misfit = gptMisfit(config, { told: told !== undefined, next });
  if (misfit) throw misfit;
  const shape = shapesOf(file);
  return {
    published,
    places: priorPlaces(config, published, canvasGrids(config, told), gpt),
    masks: attentionMasks(config, published, gpt).filter(({ name }) => shape(name)),
  };
}

const headsOf = (set: readonly string[] = []): number | undefined => {
  const heads = set.findLast((item) => item.startsWith('prior.heads='))?.split('=')[1];
  return heads === undefined ? undefined : Number(heads);
};

function perceptualConfig(present: boolean, params: Section, run: string): Overrides {
  if (!present) return { 'stage1.perceptual.kind': 'none', 'stage1.perceptual.weights': null };
  const loss = sectionAt(sectionAt(params, 'lossconfig'), 'params');
  return {
    'stage1.perceptual.kind': 'lpips-vgg16',
    'stage1.perceptual.weights': path.resolve(run, lpipsFile),
    'stage1.perceptual.weight': loss?.perceptual_weight ?? 1,
  };
}

function trainingConfig({ batch, rate }: Project = { params: {} }, stage: 'stage1' | 'prior'): Overrides {
  return {
    ...(batch !== undefined && { [`${stage}.batch_size`]: batch }),
    ...(batch !== undefined && rate !== undefined && { [`${stage}.lr`]: batch * rate }),
  };
}

/** The step that a checkpoint says; 1 where it says none. */
export function stepOf({ notes }: TensorFile): number {
  const { global_step: step } = notes;
  return Number.isSafeInteger(step) && (step as number) > 0 ? (step as number) : 1;
}
