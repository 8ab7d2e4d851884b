/** `vqgen import`: a checkpoint of taming-transformers → a run, or weights of LPIPS → the file for `lpips-vgg16`. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFolderAtomic } from '../base/files.js';
import type { Reporter } from '../base/progress.js';
import { type HostTensors, lastAxis } from '../base/tensor.js';
import { checkPlace } from '../checkpoint/begin.js';
import { runPaths, writeRunConfig } from '../checkpoint/run.js';
import { type StoredTensors, sha256, writeSafetensors } from '../checkpoint/safetensors.js';
import { saveWeights } from '../checkpoint/store.js';
import { vocabularies } from '../config/bottlenecks.js';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { imageSplits } from '../data/dataset.js';
import { listImages } from '../data/source.js';
import { countParams, initialise, over, specsOf } from '../nn/params.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { gridsOf, modelSpecs, networksOf } from '../stage1-vqgan/model.js';
import { recordPictures } from '../stage1-vqgan/moved.js';
import { startsOf } from '../stage1-vqgan/starts.js';
import { recordClasses, recordTokenizer } from '../stage2-transformer/model.js';
import { type Kept, writeKept } from './kept.js';
import { gatherLpips, holdsLpips, lpipsNames, readLpips } from './lpips.js';
import { openTensors } from './open.js';
import { checkPlaces, coversAll, fetchPlace, type Named, type Place } from './places.js';
import {
  embeddingsIn,
  firstStage,
  gpt,
  type Kind,
  kindOf,
  type Overrides,
  type Project,
  priorConfig,
  readProject,
  type Section,
  sectionAt,
  shapesOf,
  tokenizerConfig,
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
import type { TensorFile } from './torch-file.js';
import { importVqVae2, isVqVae2 } from './vq-vae-2.js';

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

export interface ImportSummary {
  readonly run: string;
  readonly kind: Kind | 'VQVAE';
  readonly tensors: number;
  readonly parameters: number;
  readonly step: number;
  readonly size: number;
  readonly codes: number;
  readonly discriminator: boolean;
  readonly perceptual: boolean;
  readonly prior: boolean;
}

const perceptualPrefix = 'loss.perceptual_loss.';
const discriminatorPrefix = 'loss.discriminator.';
const lpipsFile = 'lpips-vgg16.safetensors';

/** @throws UserError, having written nothing, for no such checkpoint, one that wants something executed or does not fit */
export async function importCheckpoint(o: ImportOptions): Promise<ImportSummary> {
  checkRun(o.run);
  if (o.data !== undefined) await listImages(o.data);
  const tensors = await openTensors(o.checkpoint);
  try {
    if (isVqVae2(tensors)) return await vqVae2(tensors, o);
    const project = o.config === undefined ? undefined : readProject(o.config);
    return await importTensors(tensors, project, o);
  } finally {
    await tensors.close();
  }
}

async function vqVae2(file: TensorFile, o: ImportOptions): Promise<ImportSummary> {
  const { config, parameters } = await importVqVae2(file, o);
  return {
    ...{ run: o.run, kind: 'VQVAE', tensors: Object.keys(file.entries).length, parameters },
    ...{ step: config.stage1.steps, size: config.data.size, codes: Math.max(...vocabularies(config.stage1)) },
    ...{ discriminator: false, perceptual: false, prior: false },
  };
}

/** @throws UserError where something lies in the new run's place */
export function checkRun(run: string): void {
  checkPlace({ option: '--run', place: run });
  if (!existsSync(run)) return;
  if (statSync(run).isDirectory() && readdirSync(run).length === 0) return;
  throw expected('a new folder', '--run', `${run}, which exists`, 'Name another --run, or remove it.');
}

/** A checkpoint as vqgen understands it. */
interface Understood {
  readonly config: Config;
  readonly tokenizer: PublishedTokenizer;
  readonly prior?: PublishedPrior;
  readonly places: { readonly model: Place[]; readonly disc: Place[]; readonly prior: Place[] };
  readonly lpips: Named[];
  /** Not read, because they follow from the sizes. */
  readonly masks: Named[];
  /** Kept as they are. */
  readonly other: Named[];
}

async function importTensors(
  file: TensorFile,
  project: Project | undefined,
  o: ImportOptions,
): Promise<ImportSummary> {
  const { kind, prefix } = kindOf(file, o.checkpoint);
  checkTarget(kind, project, o);
  if (file.unwrapped.length > 0) o.reporter.note(unwrappedNote(o.checkpoint, file));
  const understood = await understand(file, prefix, project, o);
  const { config, places, lpips, masks, other } = understood;
  const all = [...places.model, ...places.disc, ...places.prior];
  checkPlaces([...all.flatMap(({ theirs }) => theirs), ...lpips, ...masks, ...other], file, {
    file: o.checkpoint,
    what: `a ${kind}${o.config ? ` as ${o.config} describes it` : ''}`,
    next: o.config ? 'Is it the YAML of this checkpoint?' : 'Name its YAML by --config.',
  });
  for (const mask of masks) await checkMask(mask, file, o.checkpoint);

  const step = stepOf(file);
  const model = over('model', await fetchAll(places.model, file));
  const disc = await discriminatorOf(config, places.disc, file);
  const perceptual = lpips.length > 0 ? await readLpips(file, prefix + perceptualPrefix) : undefined;
  const gptWeights = over('model', await fetchAll(places.prior, file));
  const kept = (parts: Place[], others: Named[]) => keptOf(parts, others, file);
  const keptTokenizer: Kept<PublishedTokenizer> = {
    published: understood.tokenizer,
    tensors: await kept([...places.model, ...places.disc], other),
  };
  const keptPrior = understood.prior && {
    published: understood.prior,
    tensors: await kept(places.prior, []),
  };

  const images = await imageSplits(config.data);
  await writeFolderAtomic(o.run, async (run) => {
    const folders = runPaths(run);
    await writeRunConfig(run, config, o.run);
    await recordPictures(run, config.data, images);
    if (perceptual) await writeSafetensors(path.join(run, lpipsFile), perceptual);
    const saved = await saveWeights(
      folders.stage1,
      { ...model, ...disc },
      { step, kept: { ...startsOf(config) } },
    );
    await writeKept(folders.stage1, keptTokenizer);
    if (!keptPrior) return;
    await saveWeights(folders.prior, gptWeights, { step });
    await writeKept(folders.prior, keptPrior);
    const labels = Array.from({ length: keptPrior.published.classes }, (_, label) => String(label));
    if (labels.length > 0) await recordClasses(run, labels);
    await recordTokenizer(run, await sha256(path.join(saved.path, 'model.safetensors')));
  });
  const ofPrior = Object.values(gptWeights).reduce((sum, { data }) => sum + data.length, 0);
  return {
    run: o.run,
    kind,
    tensors: Object.keys(file.entries).length,
    parameters: countParams(modelSpecs(config)) + ofPrior,
    step,
    size: config.data.size,
    codes: config.stage1.codes,
    discriminator: places.disc.length > 0,
    perceptual: perceptual !== undefined,
    prior: keptPrior !== undefined,
  };
}

const unwrappedNote = (name: string, { unwrapped }: TensorFile): string =>
  `Unwrapped in ${name}: ${unwrapped.join(', ')}.`;

function checkTarget(kind: Kind, project: Project | undefined, o: ImportOptions): void {
  const named = project?.target?.split('.').at(-1);
  if (named === undefined || named === kind) return;
  throw expected(`the YAML of a ${kind}`, '--config', `${o.config}, which is that of a ${named}`);
}

async function understand(
  file: TensorFile,
  prefix: string,
  project: Project | undefined,
  o: ImportOptions,
): Promise<Understood> {
  const shape = shapesOf(file);
  const params: Section = project?.params ?? {};
  const isTransformer = prefix === firstStage;
  const stage1: Section = isTransformer
    ? ((sectionAt(params, 'first_stage_config')?.params as Section | undefined) ?? {})
    : params;
  const used = await usedCodes(file, prefix, o.checkpoint);
  const names = Object.keys(file.entries);
  const holds = (part: string) => names.some((name) => name.startsWith(prefix + part));
  const lpips = holds(perceptualPrefix) ? lpipsNames(prefix + perceptualPrefix) : [];
  const step = stepOf(file);
  const overrides: Overrides = {
    ...tokenizerConfig(shape, stage1, { file: o.checkpoint, prefix, size: o.size, used: used?.length }),
    ...perceptualConfig(lpips.length > 0, stage1, o.run),
    ...trainingConfig(project, isTransformer ? 'prior' : 'stage1'),
    'data.dir': o.data ?? null,
    'stage1.steps': step,
  };
  const base = { config: 'imagenet-f16', set: o.set };
  let config = loadConfig({ ...base, overrides: withoutSet(overrides, o.set) });
  let prior: PublishedPrior | undefined;
  if (isTransformer) {
    const found = priorConfig(shape, params, {
      file: o.checkpoint,
      codes: config.stage1.codes,
      tokens: cellsIn(gridsOf(config)),
      heads: headsOf(o.set),
    });
    prior = found.published;
    const more = { ...overrides, ...found.overrides, 'prior.steps': step };
    config = loadConfig({ ...base, overrides: withoutSet(more, o.set) });
    const misfit = gptMisfit(config, 'Published transformers have no other: leave it out of --set.');
    if (misfit) throw misfit;
    if (found.guessed) {
      o.reporter.warn(
        `${config.prior.heads} attention heads, as published transformers of width ${config.prior.width} have: no shape tells. The project's YAML does: --config.`,
      );
    }
  }
  const tokenizer: PublishedTokenizer = { embeddings: embeddingsIn(shape, prefix), ...(used && { used }) };
  const disc = holds(discriminatorPrefix);
  return {
    config,
    tokenizer,
    ...(prior && { prior }),
    places: {
      model: tokenizerPlaces(config, tokenizer, prefix),
      disc: disc ? discriminatorPlaces(config.stage1.disc, prefix) : [],
      prior: prior ? priorPlaces(config, prior, gpt) : [],
    },
    lpips,
    masks: prior ? attentionMasks(config, prior, gpt).filter(({ name }) => shape(name)) : [],
    other: [
      ...(disc ? runningStatistics(config.stage1.disc, prefix) : []),
      ...(used ? [{ name: `${prefix}quantize.used`, shape: [used.length] }] : []),
    ],
  };
}

/** Keys that `--set` names are the user's own. */
function withoutSet(overrides: Overrides, set: readonly string[] = []): Overrides {
  const own = set.map((item) => item.split('=')[0]);
  return Object.fromEntries(Object.entries(overrides).filter(([key]) => !own.includes(key)));
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
function stepOf({ notes }: TensorFile): number {
  const { global_step: step } = notes;
  return Number.isSafeInteger(step) && (step as number) > 0 ? (step as number) : 1;
}

/** The codes that a tokenizer's transformer knows, by their numbers in the whole codebook. */
async function usedCodes(file: TensorFile, prefix: string, name: string): Promise<number[] | undefined> {
  const shape = shapesOf(file);
  if (!shape(`${prefix}quantize.used`)) return undefined;
  const { data } = await file.read(`${prefix}quantize.used`);
  const used = Array.from(data as ArrayLike<number | bigint>, Number);
  const codes = embeddingsIn(shape, prefix);
  const known = used.every((code) => Number.isInteger(code) && code >= 0 && code < codes);
  if (used.length === 0 || !known || new Set(used).size < used.length) {
    throw expected('the numbers of different codes', `quantize.used in ${name}`, 'something else');
  }
  return used;
}

/** @throws UserError where a mask hides something else than what comes later */
async function checkMask({ name, shape }: Named, file: TensorFile, checkpoint: string): Promise<void> {
  const block = lastAxis({ shape });
  const { data } = await file.read(name);
  for (let i = 0; i < data.length; i++) {
    const sees = i % block <= Math.floor(i / block);
    if (Number(data[i]) === (sees ? 1 : 0)) continue;
    throw expected(
      'a transformer whose tokens see what comes before them',
      checkpoint,
      `another mask, ${name}`,
      'Tokens that see each other (n_unmasked) have no place here.',
    );
  }
}

async function fetchAll(places: readonly Place[], { read }: TensorFile): Promise<HostTensors> {
  const found: HostTensors = {};
  for (const place of places) found[place.ours.name] = await fetchPlace(place, read);
  return found;
}

/** Of a config with a discriminator; one that the checkpoint lacks starts from the seed. */
async function discriminatorOf(
  config: Config,
  places: readonly Place[],
  file: TensorFile,
): Promise<HostTensors> {
  if (config.stage1.disc.weight === 0 || places.length === 0) return freshDiscriminator(config);
  return over('disc', await fetchAll(places, file));
}

/** From the seed; nothing where the config has none. */
export function freshDiscriminator(config: Config): HostTensors {
  const { adversary } = networksOf(config);
  const { seed } = config;
  return adversary ? over('disc', initialise(specsOf(adversary.specs), seed)) : {};
}

/** What vqgen holds only in part, or not at all, so that an export gives it back. */
async function keptOf(
  places: readonly Place[],
  other: readonly Named[],
  { read }: TensorFile,
): Promise<StoredTensors> {
  const kept: StoredTensors = {};
  const partial = places.filter((place) => !coversAll(place)).flatMap(({ theirs }) => theirs);
  for (const { name } of [...partial, ...other]) kept[name] = await read(name);
  return kept;
}

/** @throws UserError when the files do not hold LPIPS between them */
export async function importLpips(
  files: readonly string[],
  out: string,
  reporter: Reporter,
): Promise<{ tensors: number; file: string }> {
  if (existsSync(out))
    throw expected('a new file', '--out', `${out}, which exists`, 'Name another, or remove it.');
  const opened: { file: string; tensors: TensorFile }[] = [];
  try {
    for (const file of files) opened.push({ file, tensors: await openTensors(file) });
    for (const { file, tensors } of opened)
      if (tensors.unwrapped.length > 0) reporter.note(unwrappedNote(file, tensors));
    const weights = await gatherLpips(opened);
    await writeSafetensors(out, weights);
    return { tensors: Object.keys(weights).length, file: out };
  } finally {
    for (const { tensors } of opened) await tensors.close();
  }
}

/** Whether a file is a part of LPIPS rather than a checkpoint. */
export async function isLpips(file: string): Promise<boolean> {
  const tensors = await openTensors(file);
  try {
    return holdsLpips(tensors);
  } finally {
    await tensors.close();
  }
}
