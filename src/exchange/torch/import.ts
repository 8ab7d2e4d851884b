/** `vqgen import DIR` of a PyTorch project that `vqgen export --to torch` wrote: a run again. */
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../../base/errors.js';
import { writeFolderAtomic } from '../../base/files.js';
import type { Reporter } from '../../base/progress.js';
import { damagedOnly, soundCheckpoint, tellOfDamage } from '../../checkpoint/integrity.js';
import { readRunConfig, runPaths, type StageName, tokenFile, writeRunConfig } from '../../checkpoint/run.js';
import { type Checkpoint, hasCheckpoint, loadCheckpoint } from '../../checkpoint/store.js';
import type { Config } from '../../config/schema.js';
import type { Specs } from '../../engine/device.js';
import { over, tensorSpecs } from '../../nn/params.js';
import { networksOf } from '../../stage1-vqgan/model.js';
import { stage1State } from '../../stage1-vqgan/state.js';
import { priorClasses, priorFor } from '../../stage2-transformer/model.js';
import { isLossScale } from '../../train/loss-scale.js';
import { adamSpecs } from '../../train/optimizer.js';
import { checkRun } from '../import.js';
import { copyStage, stages } from './project.js';

export interface TorchImportSummary {
  readonly run: string;
  readonly kind: 'torch';
  /** The step of each stage. */
  readonly steps: Readonly<Partial<Record<StageName, number>>>;
}

/**
 * Everything is as it is there, optimisers too: training goes on from where it stands. A stage that was not begun is
 * left out.
 *
 * @param o.data folder of images, for what comes after; that of the project's config unless given
 * @throws UserError, having written nothing, for a checkpoint that is damaged or not of the config
 */
export async function importTorch(o: {
  readonly folder: string;
  readonly run: string;
  readonly data?: string;
  readonly reporter: Reporter;
}): Promise<TorchImportSummary> {
  const { folder, run, data, reporter } = o;
  checkRun(run);
  const saved = readRunConfig(folder);
  const config = data === undefined ? saved : withData(saved, path.resolve(data));
  const checkpoints: Partial<Record<StageName, Checkpoint>> = {};
  for (const stage of stages) {
    const checkpoint = await newest(folder, stage, reporter);
    if (!checkpoint) continue;
    await loadCheckpoint(checkpoint, specsOf(stage, config, folder), isLossScale);
    if (checkpoint.step > 0) checkpoints[stage] = checkpoint;
  }
  if (!checkpoints.stage1) {
    const next = 'Name the folder that vqgen export --to torch wrote.';
    throw expected('a project with a trained tokenizer', 'CHECKPOINT', folder, next);
  }
  await writeFolderAtomic(
    run,
    async (temporary) => {
      const [from, to] = [runPaths(folder), runPaths(temporary)];
      await writeRunConfig(temporary, config, run);
      if (existsSync(from.pictures)) await fs.copyFile(from.pictures, to.pictures);
      for (const [stage, { step }] of Object.entries(checkpoints) as [StageName, Checkpoint][])
        await copyStage(from[stage], to[stage], step);
      for (const split of ['train', 'val']) {
        if (!existsSync(tokenFile(folder, split))) continue;
        await fs.mkdir(to.tokens, { recursive: true });
        await fs.copyFile(tokenFile(folder, split), tokenFile(temporary, split));
      }
    },
    { fresh: true },
  );
  const steps = Object.fromEntries(Object.entries(checkpoints).map(([stage, { step }]) => [stage, step]));
  return { run, kind: 'torch', steps };
}

async function newest(folder: string, stage: StageName, reporter: Reporter): Promise<Checkpoint | undefined> {
  const place = runPaths(folder)[stage];
  if (!hasCheckpoint(place)) return undefined;
  const found = await soundCheckpoint(place, { whole: true });
  if (!found.sound) throw damagedOnly(found.damaged, 'Put back a copy of it.');
  tellOfDamage(found, reporter);
  return found.sound.checkpoint;
}

/** What a checkpoint of the stage holds. */
function specsOf(stage: StageName, config: Config, folder: string): Specs {
  if (stage === 'stage1') return stage1State(networksOf(config), config.stage1);
  const learned = tensorSpecs(priorFor(config, priorClasses(folder)).learned);
  return { ...over('model', learned), ...adamSpecs(learned) };
}

const withData = (config: Config, dir: string): Config => ({
  ...config,
  data: { ...config.data, dir, val_dir: null },
});
