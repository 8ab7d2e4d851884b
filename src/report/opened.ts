/** What of a run a report can be made from: its models, its pictures, its tokens. */
import { existsSync } from 'node:fs';
import type { Reporter } from '../base/progress.js';
import { readRunConfig, readSavedConfig, runPaths } from '../checkpoint/run.js';
import { hasCheckpoint, type TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { everyImage, readableSplits, type Subset } from '../data/dataset.js';
import { listImages } from '../data/source.js';
import type { Device } from '../engine/device.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import type { Latent } from '../stage1-vqgan/latent.js';
import { type FolderKey, folderKeys } from '../stage1-vqgan/same-pictures.js';
import { loadTokenizer } from '../stage1-vqgan/trained.js';
import { loadModels, type TrainedPrior } from '../stage2-transformer/model.js';
import { attempted, isMissing, type Part } from './part.js';

export interface ReportOptions {
  /** Folders. */
  readonly runs: readonly string[];
  /** Folder of unseen images, for all runs; each run's own validation images unless given. */
  readonly data?: string;
  /** Samples that are drawn to be measured, at most. */
  readonly n: number;
  /** Each run's own unless given. */
  readonly seed?: number;
  /** In the first run unless given. */
  readonly out?: string;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

export interface Opened extends Omit<ReportOptions, 'runs' | 'seed' | 'out'> {
  readonly run: string;
  readonly config: Config;
  readonly seed: number;
  readonly latent: Latent;
  readonly tokenizer: Part<TrainedModel>;
  readonly prior: Part<TrainedPrior>;
  readonly unseen: Part<Subset>;
  readonly training: Part<Subset>;
}

/** @throws UserError where there is no run, and for a folder `data` without images */
export async function openRun(run: string, o: ReportOptions): Promise<Opened> {
  const config = readRunConfig(run);
  const { reporter, signal, data } = o;
  const { latent } = bottleneckOf(config);
  const tokenizer = hasCheckpoint(runPaths(run).stage1)
    ? await attempted('The tokenizer cannot be looked at', () => loadTokenizer(run, config, { reporter }))
    : { missing: 'The run has no tokenizer yet.' };
  const gone = folderKeys.find((key) => !existsSync(config.data[key] ?? '.'));
  const splits = gone
    ? { missing: `Its own pictures are not here: ${trainedOn(run, config, gone)} does not exist.` }
    : await attempted('Its own pictures are not to be had', () =>
        readableSplits(config.data, 'data.dir', { reporter, signal }),
      );
  const unseen =
    data === undefined
      ? isMissing(splits)
        ? { missing: `${splits.missing} With --data FOLDER others are shown.` }
        : splits.val
      : everyImage(await listImages(data, '--data', { reporter, data: config.data }));
  return {
    ...{ run, config, latent, tokenizer, unseen },
    ...{ data, n: o.n, device: o.device, reporter, signal },
    seed: o.seed ?? config.seed,
    prior: isMissing(tokenizer) ? tokenizer : await priorOf(run, latent, reporter),
    training: isMissing(splits) ? splits : splits.train,
  };
}

/** The folder as the run was saved with it: of a run that was handed on a part of its path. */
export function trainedOn(run: string, config: Config, key: FolderKey = 'dir'): string {
  return readSavedConfig(run)?.data?.[key] ?? config.data[key] ?? 'the built-in drawings';
}

async function priorOf(run: string, latent: Latent, reporter: Reporter): Promise<Part<TrainedPrior>> {
  if (latent.kind !== 'codes') return { missing: 'Latents are numbers, which need no prior.' };
  if (!hasCheckpoint(runPaths(run).prior)) return { missing: 'The run has no prior yet.' };
  return attempted('The prior cannot be looked at', async () => (await loadModels(run, reporter)).prior);
}
