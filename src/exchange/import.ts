/** `vqgen import`: a checkpoint of taming-transformers → a run, or weights of LPIPS → the file for `lpips-vgg16`. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFolderAtomic } from '../base/files.js';
import { obstacleAt, obstacleIn } from '../base/obstacles.js';
import type { Reporter } from '../base/progress.js';
import { type HostTensors, lastAxis } from '../base/tensor.js';
import { checkPlace } from '../checkpoint/begin.js';
import { runPaths, writeRunConfig } from '../checkpoint/run.js';
import { sha256, writeSafetensors } from '../checkpoint/safetensors.js';
import { saveWeights } from '../checkpoint/store.js';
import { vocabularies } from '../config/bottlenecks.js';
import type { Config, DataConfig } from '../config/schema.js';
import { imageSplits } from '../data/dataset.js';
import { listImages } from '../data/source.js';
import { countParams, initialise, over, specsOf } from '../nn/params.js';
import { modelSpecs, networksOf } from '../stage1-vqgan/model.js';
import { namesIn, recordPictures } from '../stage1-vqgan/same-pictures.js';
import { startsOf } from '../stage1-vqgan/starts.js';
import { recordClasses, recordTokenizer } from '../stage2-transformer/model.js';
import { recordCondition } from '../tokenize/conditions/begun.js';
import { toldRun } from './import-told.js';
import { type Kept, keptOf, writeKept } from './kept.js';
import { gatherLpips, holdsLpips, readLpips } from './lpips.js';
import { openTensors } from './open.js';
import { checkPlaces, fetchAll, type Named, type Place } from './places.js';
import { type Kind, kindOf, type Project, readProject } from './taming-config.js';
import type { PublishedTokenizer } from './taming-names.js';
import type { TensorFile } from './torch-file.js';
import {
  checkTarget,
  type ImportOptions,
  lpipsFile,
  perceptualPrefix,
  stepOf,
  understand,
} from './understand.js';
import { importVqVae2, isVqVae2 } from './vq-vae-2.js';

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
  /** What its prior is told maps of, or pictures. */
  readonly told: DataConfig['pictures'] | null;
}

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
    ...{ discriminator: false, perceptual: false, prior: false, told: null },
  };
}

/** @throws UserError where something lies in the new run's place */
export function checkRun(run: string): void {
  checkPlace({ option: '--run', place: run });
  const obstacle = obstacleIn(path.dirname(existsSync(run) ? realpathSync(run) : path.resolve(run)));
  if (obstacle) throw expected('a new folder', '--run', `${run}, ${obstacle}`, 'Name another --run.');
  if (!existsSync(run)) return;
  if (statSync(run).isDirectory() && readdirSync(run).length === 0) return;
  throw expected('a new folder', '--run', `${run}, which exists`, 'Name another --run, or remove it.');
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
  const { config, places, disc, lpips, other, prior, told } = understood;
  const all = [...places, ...disc, ...(prior?.places ?? []), ...(told?.places ?? [])];
  const asTheyAre = [...lpips, ...other, ...(prior?.masks ?? []), ...(told?.other ?? [])];
  checkPlaces([...all.flatMap(({ theirs }) => theirs), ...asTheyAre], file, {
    file: o.checkpoint,
    what: `a ${kind}${o.config ? ` as ${o.config} describes it` : ''}`,
    next: o.config ? 'Is it the YAML of this checkpoint?' : 'Name its YAML by --config.',
  });
  for (const mask of prior?.masks ?? []) await checkMask(mask, file, o.checkpoint);

  const step = stepOf(file);
  const model = over('model', await fetchAll(places, file));
  const adversary = await discriminatorOf(config, disc, file);
  const perceptual = lpips.length > 0 ? await readLpips(file, prefix + perceptualPrefix) : undefined;
  const gptWeights = over('model', await fetchAll(prior?.places ?? [], file));
  const keptTokenizer: Kept<PublishedTokenizer> = {
    published: understood.published,
    tensors: await keptOf([...places, ...disc], other, file),
  };
  const writeTold = told && (await toldRun(told, file, { size: config.data.size, checkpoint: o.checkpoint }));

  const images = await imageSplits(config.data);
  await writeFolderAtomic(
    o.run,
    async (run) => {
      const folders = runPaths(run);
      await writeRunConfig(run, config, o.run);
      await recordPictures(run, config.data, namesIn(images));
      if (perceptual) await writeSafetensors(path.join(run, lpipsFile), perceptual);
      const saved = await saveWeights(
        folders.stage1,
        { ...model, ...adversary },
        { step, kept: { ...startsOf(config) } },
      );
      await writeKept(folders.stage1, keptTokenizer);
      if (!prior) return;
      const { published } = prior;
      await saveWeights(folders.prior, gptWeights, { step });
      await writeKept(folders.prior, { published, tensors: await keptOf(prior.places, [], file) });
      const labels = Array.from({ length: published.classes }, (_, label) => String(label));
      if (labels.length > 0) await recordClasses(run, labels);
      if (writeTold) await recordCondition(run, await writeTold(folders.condition));
      await recordTokenizer(run, await sha256(path.join(saved.path, 'model.safetensors')));
    },
    { fresh: true },
  );
  const ofPrior = Object.values(gptWeights).reduce((sum, { data }) => sum + data.length, 0);
  const ofTold = told && !told.itself ? countParams(modelSpecs(told.config)) : 0;
  return {
    run: o.run,
    kind,
    tensors: Object.keys(file.entries).length,
    parameters: countParams(modelSpecs(config)) + ofPrior + ofTold,
    step,
    size: config.data.size,
    codes: config.stage1.codes,
    discriminator: disc.length > 0,
    perceptual: perceptual !== undefined,
    prior: prior !== undefined,
    told: told?.config.data.pictures ?? null,
  };
}

const unwrappedNote = (name: string, { unwrapped }: TensorFile): string =>
  `Unwrapped in ${name}: ${unwrapped.join(', ')}.`;

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

/** @throws UserError when the files do not hold LPIPS between them */
export async function importLpips(
  files: readonly string[],
  out: string,
  reporter: Reporter,
): Promise<{ tensors: number; file: string }> {
  if (existsSync(out))
    throw expected('a new file', '--out', `${out}, which exists`, 'Name another, or remove it.');
  const obstacle = obstacleAt(out);
  if (obstacle) throw expected('a new file', '--out', `${out}, ${obstacle}`, 'Name another.');
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
