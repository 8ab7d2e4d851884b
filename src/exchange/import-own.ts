/** `vqgen import` of what `vqgen export --to safetensors` wrote under vqgen's own names: a run again. */
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFolderAtomic } from '../base/files.js';
import type { HostTensors } from '../base/tensor.js';
import { finite } from '../checkpoint/finite.js';
import { runPaths, writeRunConfig } from '../checkpoint/run.js';
import { readSafetensors, sha256, toHost } from '../checkpoint/safetensors.js';
import { saveWeights } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { imageSplits } from '../data/dataset.js';
import { over, type ParamSpec, specsOf } from '../nn/params.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { describeLatent } from '../stage1-vqgan/latent.js';
import { modelSpecs } from '../stage1-vqgan/model.js';
import { namesIn, recordPictures } from '../stage1-vqgan/same-pictures.js';
import { startsOf } from '../stage1-vqgan/starts.js';
import { priorFor, recordClasses, recordTokenizer } from '../stage2-transformer/model.js';
import { recordCondition } from '../tokenize/conditions/begun.js';
import { checkRun, freshDiscriminator } from './import.js';
import { toldBy, toldCopied, writeToldRun } from './import-told.js';
import { classesIn, conditionIn, configIn, rewritten, stepIn } from './metadata-in.js';
import { openTensors } from './open.js';

export interface OwnImportOptions {
  /**
   * `model.safetensors` and, unless its prior is left out, `prior.safetensors` and what else there was, in any order.
   */
  readonly files: readonly string[];
  readonly run: string;
  /** Folder of images, for what comes after. */
  readonly data?: string;
}

export interface OwnImportSummary {
  readonly run: string;
  readonly kind: 'vqgen';
  readonly tensors: number;
  readonly parameters: number;
  readonly step: number;
  readonly size: number;
  /** What an image becomes, for people. */
  readonly latent: string;
  readonly prior: boolean;
}

/** Whether vqgen wrote the file, with the config in it. @throws UserError for a file that holds no tensors */
export async function isOwn(file: string): Promise<boolean> {
  const { notes, close } = await openTensors(file);
  await close();
  return 'vqgen' in notes && 'config' in notes;
}

/**
 * Optimisers start afresh, and so does a discriminator, which such files do not hold.
 *
 * @throws UserError, having written nothing, for files that are not of one export, or not what their config says
 */
export async function importOwn({ files, run, data }: OwnImportOptions): Promise<OwnImportSummary> {
  checkRun(run);
  const parts = await Promise.all(files.map(readPart));
  const [tokenizer, prior, teller] = [
    parts.find(({ metadata }) => metadata.prior === undefined && metadata.tells === undefined),
    parts.find(({ metadata }) => metadata.prior !== undefined),
    parts.find(({ metadata }) => metadata.tells !== undefined),
  ];
  const fits = tokenizer && parts.every((part) => part.metadata.tokenizer === tokenizer.metadata.tokenizer);
  if (!tokenizer || parts.length > [tokenizer, prior, prior && teller].filter(Boolean).length || !fits) {
    throw expected(
      'model.safetensors and at most the prior.safetensors and condition.safetensors of the same export',
      'CHECKPOINT',
      files.join(' and '),
      'For example: vqgen import exported/model.safetensors exported/prior.safetensors --run checkpoints/again',
    );
  }
  const config = ofFile(configIn(tokenizer.metadata, tokenizer.file), data);
  const classes = prior ? classesIn(prior.metadata, prior.file) : [];
  checkTensors(tokenizer, specsOf(modelSpecs(config)));
  const told = prior && conditionIn(prior.metadata, prior.file);
  if (prior) checkTensors(prior, priorFor(config, classes, told).learned);
  if (told?.tokenizer?.sha256 !== teller?.metadata.tells) {
    const next = 'It makes the codes that the prior is told: name it beside prior.safetensors.';
    throw expected('the condition.safetensors of the same export', 'CHECKPOINT', files.join(' and '), next);
  }
  const tellerConfig = teller && ofFile(configIn(teller.metadata, teller.file), undefined);
  if (teller && tellerConfig) checkTensors(teller, specsOf(modelSpecs(tellerConfig)));
  const step = stepIn(tokenizer.metadata, 'tokenizer_step', tokenizer.file);
  const images = await imageSplits(config.data);
  await writeFolderAtomic(
    run,
    async (folder) => {
      const paths = runPaths(folder);
      await writeRunConfig(folder, teller ? toldCopied(config, run) : config, run);
      await recordPictures(folder, config.data, namesIn(images));
      const weights = { ...over('model', tokenizer.tensors), ...freshDiscriminator(config) };
      const saved = await saveWeights(paths.stage1, weights, { step, kept: { ...startsOf(config) } });
      if (!prior) return;
      await saveWeights(paths.prior, over('model', prior.tensors), {
        step: stepIn(prior.metadata, 'prior_step', prior.file),
      });
      if (classes.length > 0) await recordClasses(folder, classes);
      if (told && teller && tellerConfig) {
        const written = {
          weights: over('model', teller.tensors),
          step: stepIn(teller.metadata, 'tokenizer_step', teller.file),
        };
        const known = await writeToldRun(paths.condition, tellerConfig, written);
        await recordCondition(folder, toldBy(told, known));
      } else if (told) await recordCondition(folder, told);
      await recordTokenizer(folder, await sha256(path.join(saved.path, 'model.safetensors')));
    },
    { fresh: true },
  );
  const tensors = parts.flatMap((part) => Object.values(part.tensors));
  return {
    run,
    kind: 'vqgen',
    tensors: tensors.length,
    parameters: tensors.reduce((sum, { data }) => sum + data.length, 0),
    step,
    size: config.data.size,
    latent: describeLatent(bottleneckOf(config).latent),
    prior: prior !== undefined,
  };
}

interface Part {
  readonly file: string;
  readonly tensors: HostTensors;
  readonly metadata: Readonly<Record<string, string>>;
}

async function readPart(file: string): Promise<Part> {
  const { tensors, metadata } = await readSafetensors(file);
  const named = Object.entries(tensors).map(([name, t]) => [name, toHost(finite(t, name, file))] as const);
  return { file, tensors: Object.fromEntries(named), metadata };
}

/** The averages are the weights; pictures, maps and a perceptual network of a file's own lie elsewhere. */
function ofFile(config: Config, data: string | undefined): Config {
  const { prior } = config;
  const { kind, weight, weights } = config.stage1.perceptual;
  return {
    ...config,
    data: { ...config.data, dir: data === undefined ? null : path.resolve(data), val_dir: null },
    stage1: {
      ...config.stage1,
      ema: 0,
      perceptual: { kind: weights ? 'vqgen' : kind, weight, weights: null },
    },
    prior: { ...prior, condition: { ...prior.condition, maps: null, val_maps: null } },
  };
}

function checkTensors({ file, tensors }: Part, specs: Readonly<Record<string, ParamSpec>>): void {
  const next = rewritten;
  for (const [name, { shape }] of Object.entries(specs)) {
    const found = tensors[name]?.shape.join(', ');
    if (found === shape.join(', ')) continue;
    const received = found === undefined ? 'no such tensor' : `[${found}]`;
    throw expected(`${name} [${shape.join(', ')}]`, file, received, next);
  }
  const extra = Object.keys(tensors).find((name) => !Object.hasOwn(specs, name));
  if (extra) throw expected('no other tensor', file, extra, next);
}
