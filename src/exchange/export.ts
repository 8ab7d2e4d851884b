/**
 * `vqgen export --to taming|safetensors`: a run under the names and in the layout of taming-transformers, and as
 * safetensors one of a form that they have not under vqgen's own.
 */
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { expected, type UserError } from '../base/errors.js';
import { writeFolderAtomic } from '../base/files.js';
import type { StoredPrecision } from '../base/half.js';
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { type HostTensor, type HostTensors, sizeOf } from '../base/tensor.js';
import { exportFolder, readRunConfig, runPaths } from '../checkpoint/run.js';
import {
  openSafetensors,
  readSafetensors,
  type StoredTensors,
  toHost,
  toHosts,
  writeSafetensors,
} from '../checkpoint/safetensors.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { withoutOrders } from '../stage2-transformer/gpt/orders.js';
import { foldStart } from '../stage2-transformer/gpt/sequences.js';
import { loadTrainedParts, type TrainedPrior } from '../stage2-transformer/model.js';
import { type Kept, readKept } from './kept.js';
import { writtenLpips } from './lpips.js';
import { checkOut } from './out-folder.js';
import { writeOwnNames } from './own-names.js';
import { spreadPlace } from './places.js';
import { firstStage } from './taming-config.js';
import {
  attentionMasks,
  discriminatorPlaces,
  gptMisfit,
  gumbelFits,
  type PublishedPrior,
  type PublishedTokenizer,
  priorPlaces,
  publishedPrior,
  publishedTokenizer,
  runningStatistics,
  tokenizerPlaces,
} from './taming-names.js';
import { loss, tokenizerProject, transformerProject } from './taming-yaml.js';
import { inPrecision, type Written, writeTorch } from './torch-write.js';
import { unmasked } from './unmask.js';
import { copiesOf, PUBLISHED_GROUPS, widened } from './widen.js';

export interface ExportOptions {
  readonly run: string;
  readonly to: 'taming' | 'safetensors';
  /** A folder; the run's `taming` or `safetensors` unless given. */
  readonly out?: string;
  /** `f32` unless given. */
  readonly precision?: StoredPrecision;
  readonly reporter: Reporter;
}

export interface ExportSummary {
  readonly run: string;
  readonly to: 'taming' | 'safetensors';
  readonly out: string;
  readonly files: readonly string[];
  readonly tensors: number;
  readonly precision: StoredPrecision;
  /** Whether discriminator and LPIPS are in it, so that the published code goes on training with them. */
  readonly losses: boolean;
  readonly prior: boolean;
}

const usedFile = 'used.npy';
const isOurs = (name: string): boolean =>
  /^(vqgan|transformer)\.(ckpt|safetensors|yaml)$|^(model|prior)\.safetensors$|^used\.npy$/.test(name);

type Tensors = [name: string, tensor: Written][];

/**
 * @throws UserError, having written nothing, for a run without a tokenizer, or `taming` of one of a form that the
 * published code has not
 */
export async function exportTaming(o: ExportOptions): Promise<ExportSummary> {
  const { run, to, precision = 'f32', reporter } = o;
  const out = path.resolve(o.out ?? exportFolder(run, to));
  const saved = readRunConfig(run);
  checkOut(out, isOurs);
  const { tokenizer, prior } = await loadTrainedParts(run);
  const misfit = misfitOf(saved, prior);
  if (misfit && to === 'taming') throw misfit;
  if (misfit) {
    reporter.note(
      'taming-transformers has no such model: the tensors have the names that they have in vqgen.',
    );
    const written = await writeOwnNames(out, { config: saved, tokenizer, prior, precision });
    return { run, to, out, ...written, precision, losses: false, prior: prior !== undefined };
  }
  const whole = unmasked(saved, tokenizer.tensors);
  const { config, weights } = widened(whole.config, whole.weights);
  const folders = runPaths(run);
  const kept = await readKept<PublishedTokenizer>(folders.stage1);
  const published = kept?.published ?? publishedTokenizer(config);
  const model = tokenizerTensors(config, weights, { published, tensors: kept?.tensors ?? {} }, '');
  const losses = await lossTensors(config, tokenizer, kept?.tensors ?? {});
  tellLosses(config, losses !== undefined, reporter);
  tellCopies(saved, reporter);
  const remap = published.used && path.join(out, usedFile);
  const described = { published, remap, loss: losses ? loss(config, tokenizer.step) : undefined };

  const parts = [
    {
      name: 'vqgan',
      tensors: [...model, ...(losses ?? [])],
      project: tokenizerProject(config, described),
      step: tokenizer.step,
    },
  ];
  const own = prior && (await publishable(config, prior, folders.prior));
  if (prior && !own) {
    reporter.warn(
      'Without the prior: published transformers have one table for classes and codes, this one has rows for each. --to onnx takes it.',
    );
  }
  if (prior && own) {
    const first = tokenizerTensors(config, weights, { published, tensors: prefixed(kept) }, firstStage);
    parts.push({
      name: 'transformer',
      tensors: [...first, ...priorTensors(config, prior.tensors, own)],
      project: transformerProject(config, { published, remap }, own.published),
      step: prior.step,
    });
  }

  const files: string[] = [];
  const ending = to === 'taming' ? 'ckpt' : 'safetensors';
  await writeFolderAtomic(out, async (folder) => {
    const at = (name: string): string => {
      files.push(path.join(out, name));
      return path.join(folder, name);
    };
    for (const { name, tensors, project, step } of parts) {
      const written = tensors.map(([name, t]) => [name, inPrecision(t, precision)] as const);
      const file = at(`${name}.${ending}`);
      if (to === 'taming') await writeArchive(file, written, step);
      else {
        const metadata = { format: 'pt', global_step: String(step) };
        await writeSafetensors(file, Object.fromEntries(written), metadata);
      }
      await fs.writeFile(at(`${name}.yaml`), stringify(project));
    }
    if (published.used) await fs.writeFile(at(usedFile), npy(published.used));
  });
  const tensors = parts.reduce((sum, { tensors }) => sum + tensors.length, 0);
  return { run, to, out, files, tensors, precision, losses: losses !== undefined, prior: own !== undefined };
}

/** What a prior would be, published; nothing where it learned classes here, whose tokens are no codes. */
async function publishable(
  config: Config,
  { classes }: TrainedPrior,
  folder: string,
): Promise<Kept<PublishedPrior> | undefined> {
  const kept = await readKept<PublishedPrior>(folder);
  const own = kept ?? { published: publishedPrior(config), tensors: {} };
  return classes.length === own.published.classes ? own : undefined;
}

const instead =
  "taming-transformers has no other: --to safetensors writes it under vqgen's names, --to onnx for any runtime.";

/** What the published classes cannot be, if anything. */
function misfitOf(config: Config, given?: TrainedPrior): UserError | undefined {
  const hasPrior = given !== undefined;
  const { stage1, prior } = config;
  const refuse = (what: string, key: string, received: unknown): UserError =>
    expected(what, key, received, instead);
  if (stage1.network !== 'vqgan') return refuse('vqgan', 'stage1.network', stage1.network);
  if (stage1.filter !== 'none') return refuse('none', 'stage1.filter', stage1.filter);
  if (!bottleneckOf(config).published) {
    const { kind } = stage1.bottleneck;
    return refuse('a codebook whose nearest row is taken', 'stage1.bottleneck.kind', kind);
  }
  if (hasPrior && prior.kind !== 'gpt') return refuse('gpt', 'prior.kind', prior.kind);
  if (given?.told) return refuse('none', 'prior.condition.kind', given.told.kind);
  if (!Number.isInteger(copiesOf(config)))
    return refuse(`a divisor of ${PUBLISHED_GROUPS}`, 'stage1.norm_groups', stage1.norm_groups);
  const uneven = [1, ...stage1.ch_mult]
    .map((mult) => mult * stage1.ch)
    .find((channels) => channels % stage1.norm_groups !== 0);
  if (uneven !== undefined) {
    return refuse(
      `multiples of stage1.norm_groups (${stage1.norm_groups})`,
      'stage1.ch',
      `${stage1.ch}, which leads to ${uneven} channels`,
    );
  }
  if (!gumbelFits(config))
    return refuse(`${stage1.z_channels}, as stage1.z_channels is,`, 'stage1.embed_dim', stage1.embed_dim);
  return hasPrior ? gptMisfit(rowByRow(config), instead) : undefined;
}

/** As which a prior goes that was trained in many orders: it draws in one. */
const rowByRow = (config: Config): Config => ({ ...config, prior: { ...config.prior, order: 'raster' } });

function tellLosses(config: Config, present: boolean, reporter: Reporter): void {
  const { stage1 } = config;
  const learned = 'codebook' in bottleneckOf(config).learned && bottleneckOf(config).published === 'VQModel';
  if (stage1.disc.weight > 0 && !present) {
    const why =
      stage1.disc.norm === 'batch' ? 'the run has no LPIPS weights' : 'its discriminator has no BatchNorm';
    reporter.warn(`Without discriminator: the published loss holds both it and LPIPS, and ${why}.`);
  }
  if (learned && !(stage1.legacy_beta && stage1.beta === 0.25)) {
    reporter.warn(
      'The published VQModel goes on training with beta 0.25 on the codebook term, unlike this run.',
    );
  }
}

const stored = ({ dtype, shape, data }: HostTensor): Written => ({
  dtype: dtype === 'int32' ? 'I32' : 'F32',
  shape,
  data,
});

function tellCopies(config: Config, reporter: Reporter): void {
  const copies = copiesOf(config);
  if (copies === 1) return;
  reporter.warn(
    `The published GroupNorm has 32 groups, this run ${config.stage1.norm_groups}: each channel is written ${copies} times, which gives the same pictures from ${copies ** 2} times the weights.`,
  );
}

/** The tensors that a tokenizer keeps, under the names of a transformer's. */
const prefixed = (kept: Kept<unknown> | undefined): StoredTensors =>
  Object.fromEntries(
    Object.entries(kept?.tensors ?? {}).map(([name, t]) => [
      name.startsWith(firstStage) ? name : firstStage + name,
      t,
    ]),
  );

/** Those that a transformer's tokenizer keeps, under the names of a tokenizer's. */
const unprefixed = (tensors: StoredTensors): StoredTensors =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, t]) => [
      name.startsWith(firstStage) ? name.slice(firstStage.length) : name,
      t,
    ]),
  );

function tokenizerTensors(
  config: Config,
  weights: HostTensors,
  { published, tensors }: Kept<PublishedTokenizer>,
  prefix: string,
): Tensors {
  const kept = prefix ? tensors : unprefixed(tensors);
  const found: Tensors = tokenizerPlaces(config, published, prefix).flatMap((place) =>
    Object.entries(spreadPlace(place, must(weights[place.ours.name], place.ours.name), kept)).map(
      ([name, t]): [string, Written] => [name, stored(t)],
    ),
  );
  const { used } = published;
  if (used) {
    const data = BigInt64Array.from(used, BigInt);
    found.push([`${prefix}quantize.used`, { dtype: 'I64', shape: [used.length], data }]);
  }
  return found;
}

/** Discriminator, its statistics and LPIPS; nothing where one of the two is missing. */
async function lossTensors(
  config: Config,
  { path: folder }: TrainedModel,
  kept: StoredTensors,
): Promise<Tensors | undefined> {
  const { disc, perceptual } = config.stage1;
  if (disc.weight === 0 || disc.norm !== 'batch' || perceptual.kind !== 'lpips-vgg16') return undefined;
  if (!perceptual.weights || !existsSync(perceptual.weights)) return undefined;
  const file = await openSafetensors(path.join(folder, 'model.safetensors'));
  const own = unprefixed(kept);
  const found: Tensors = [];
  try {
    for (const place of discriminatorPlaces(disc)) {
      const weights = toHost(await file.read(`disc.${place.ours.name}`));
      for (const [name, t] of Object.entries(spreadPlace(place, weights, {}))) found.push([name, stored(t)]);
    }
  } finally {
    await file.close();
  }
  for (const { name, shape } of runningStatistics(disc)) found.push([name, own[name] ?? fresh(name, shape)]);
  const lpips = toHosts((await readSafetensors(perceptual.weights)).tensors);
  for (const [name, t] of Object.entries(writtenLpips(lpips, 'loss.perceptual_loss.')))
    found.push([name, stored(t)]);
  return found;
}

/** What BatchNorm begins with. */
function fresh(name: string, shape: readonly number[]): Written {
  if (name.endsWith('num_batches_tracked')) return { dtype: 'I64', shape, data: new BigInt64Array(1) };
  return {
    dtype: 'F32',
    shape,
    data: new Float32Array(sizeOf(shape)).fill(name.endsWith('running_var') ? 1 : 0),
  };
}

function priorTensors(
  config: Config,
  weights: HostTensors,
  { published, tensors }: Kept<PublishedPrior>,
): Tensors {
  const read = config.prior.order === 'annealed' ? withoutOrders(weights) : weights;
  const folded = foldStart(read, config.stage1.codes, published);
  const found: Tensors = priorPlaces(rowByRow(config), published).flatMap((place) =>
    Object.entries(spreadPlace(place, must(folded[place.ours.name], place.ours.name), tensors)).map(
      ([name, t]): [string, Written] => [name, stored(t)],
    ),
  );
  const { block } = published;
  const mask = Float32Array.from({ length: block * block }, (_, i) =>
    i % block <= Math.floor(i / block) ? 1 : 0,
  );
  for (const { name, shape } of attentionMasks(config, published))
    found.push([name, { dtype: 'F32', shape, data: mask }]);
  return found;
}

async function writeArchive(
  file: string,
  tensors: readonly (readonly [string, Written])[],
  step: number,
): Promise<void> {
  const handle = await fs.open(file, 'w');
  try {
    await writeTorch(handle, tensors, { step });
  } finally {
    await handle.close();
  }
}

/** NumPy's format 1.0: whole numbers of 64 bits. */
function npy(values: readonly number[]): Uint8Array {
  const described = `{'descr': '<i8', 'fortran_order': False, 'shape': (${values.length},), }`;
  const length = Math.ceil((10 + described.length + 1) / 64) * 64;
  const head = Buffer.from(`\x93NUMPY\x01\x00..${described.padEnd(length - 11)}\n`, 'latin1');
  head.writeUInt16LE(length - 10, 8);
  return Buffer.concat([head, new Uint8Array(BigInt64Array.from(values, BigInt).buffer)]);
}
