/** `vqgen export --to torch`: a run as a small PyTorch project, which trains it on over many processes. */
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../../base/errors.js';
import { writeFolderAtomic } from '../../base/files.js';
import { fileInTheWay, isWithin, obstacleIn } from '../../base/obstacles.js';
import type { Reporter } from '../../base/progress.js';
import { resumable, tellOfDamage } from '../../checkpoint/integrity.js';
import {
  exportFolder,
  notTrained,
  partsOf,
  readRunConfig,
  runPaths,
  type StageName,
  tokenFile,
  writeRunConfig,
} from '../../checkpoint/run.js';
import { sha256, writeSafetensors } from '../../checkpoint/safetensors.js';
import { modelFile } from '../../checkpoint/step-folder.js';
import {
  allDamaged,
  type Checkpoint,
  hasCheckpoint,
  loadModel,
  saveCheckpoint,
} from '../../checkpoint/store.js';
import type { Config } from '../../config/schema.js';
import { loadPerceptual } from '../../perceptual/load.js';
import { gridsOf } from '../../stage1-vqgan/model.js';
import { chosenClasses } from '../../stage2-transformer/conditions.js';
import { priorSettings } from '../../stage2-transformer/index.js';
import { priorFor, recordClasses, recordTokenizer, tokensFor } from '../../stage2-transformer/model.js';
import { priorStart } from '../../stage2-transformer/step.js';
import type { Tokens } from '../../tokenize/token-file.js';
import { sizeOfFolder } from '../out-folder.js';
import { unknownPrior, unknownTokenizer } from './known.js';
import { copyStage, perceptualFile, writeSources } from './project.js';
import { readme } from './readme.js';

export interface TorchSummary {
  readonly run: string;
  readonly to: 'torch';
  readonly out: string;
  readonly files: readonly string[];
  /** The step that each stage goes on from; 0: a prior that begins. */
  readonly steps: Readonly<Partial<Record<StageName, number>>>;
  readonly bytes: number;
}

const splits = ['train', 'val'] as const;

/**
 * A prior goes along as it is, or where there are tokens but no prior yet, as it begins.
 *
 * @throws UserError, having written nothing, for a run without a tokenizer, one of a kind that the project has not, and
 *   where `out` is not new
 */
export async function exportTorch(o: {
  readonly run: string;
  /** A folder; the run's `torch` unless given. */
  readonly out?: string;
  readonly reporter: Reporter;
}): Promise<TorchSummary> {
  const { run, reporter } = o;
  const out = path.resolve(o.out ?? exportFolder(run, 'torch'));
  const config = readRunConfig(run);
  const paths = runPaths(run);
  const unknown = unknownTokenizer(config, run);
  if (unknown) throw unknown;
  if (!hasCheckpoint(paths.stage1)) throw notTrained(run, 'stage1');
  checkNew(out, run);
  const tokenizer = await newest(run, 'stage1', reporter);
  const begun = hasCheckpoint(paths.prior);
  const coded = splits.every((split) => existsSync(tokenFile(run, split)));
  const without = begun || coded ? unknownPrior(config) : undefined;
  const tokens = coded && !without ? await presentTokens(run, config, reporter) : undefined;
  if (without) reporter.warn(`Without the prior: ${without}.`);
  const prior = begun && !without ? await newest(run, 'prior', reporter) : undefined;
  const begins = !begun && tokens !== undefined;
  const perceptual = await loadPerceptual(config);

  const steps = { stage1: tokenizer.step, ...(prior ? { prior: prior.step } : begins && { prior: 0 }) };
  let files: string[] = [];
  await writeFolderAtomic(
    out,
    async (folder) => {
      files = await writeSources(folder);
      const to = runPaths(folder);
      await writeRunConfig(folder, config, out);
      if (existsSync(paths.pictures)) await fs.copyFile(paths.pictures, to.pictures);
      await copyStage(paths.stage1, to.stage1, tokenizer.step);
      if (prior) await copyStage(paths.prior, to.prior, prior.step);
      if (begins) await beginPrior(folder, config, { tokens, tokenizer });
      for (const split of tokens ? splits : []) {
        await fs.mkdir(to.tokens, { recursive: true });
        await fs.copyFile(tokenFile(run, split), tokenFile(folder, split));
      }
      if (perceptual) {
        const { constants, pooling } = perceptual;
        await writeSafetensors(path.join(folder, perceptualFile), constants, pooling ? { pooling } : {});
      }
      await fs.writeFile(
        path.join(folder, 'README.md'),
        readme(config, { run, steps, tokens: tokens !== undefined }),
      );
    },
    { fresh: true },
  );
  return { run, to: 'torch', out, files, steps, bytes: await sizeOfFolder(out) };
}

/** Trained on, such a folder holds work: nothing is replaced. */
function checkNew(out: string, run: string): void {
  const file = fileInTheWay(out);
  if (file) throw expected('a folder', '--out', `${out}, where ${file} is a file`, 'Name another --out.');
  const next = 'What was trained there would be lost: name another --out, or remove it.';
  if (existsSync(out)) throw expected('a new folder', '--out', `${out}, which exists`, next);
  const part = partsOf(run).find((part) => isWithin(out, part));
  if (part)
    throw expected('a folder of its own', '--out', `${out}, which is in ${part}`, 'Name another --out.');
  const obstacle = obstacleIn(path.dirname(out));
  if (obstacle)
    throw expected('a folder that can be written to', '--out', `${out}, ${obstacle}`, 'Name another --out.');
}

async function newest(run: string, stage: StageName, reporter: Reporter): Promise<Checkpoint> {
  const found = await resumable(runPaths(run)[stage], allDamaged(run, stage));
  tellOfDamage(found, reporter);
  if (!found.sound) throw notTrained(run, stage);
  return found.sound.checkpoint;
}

/** Those of training. @throws UserError for tokens of another tokenizer */
async function presentTokens(run: string, config: Config, reporter: Reporter): Promise<Tokens> {
  const { tensors: _, ...tokenizer } = await loadModel(run, 'stage1', { reporter });
  await tokensFor(run, 'val', gridsOf(config), tokenizer);
  return tokensFor(run, 'train', gridsOf(config), tokenizer);
}

/** A prior before its first step, with the notes that `train-prior` would make. */
async function beginPrior(
  folder: string,
  config: Config,
  { tokens, tokenizer }: { tokens: Tokens; tokenizer: Checkpoint },
): Promise<void> {
  const classes = chosenClasses(tokens, config.prior);
  const { seed, keep, precision } = priorSettings(config);
  const state = { step: 0, seconds: 0, validated: 0, best: null, stale: 0, metrics: null };
  const begun = priorStart(priorFor(config, classes), seed, precision);
  await saveCheckpoint(runPaths(folder).prior, begun, state, keep);
  await recordClasses(folder, classes);
  await recordTokenizer(folder, await sha256(modelFile(tokenizer.path)));
}
