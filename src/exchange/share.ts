/** `vqgen export --to run`: a run to hand on: what later commands need, without what only its training did. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { writeFolderAtomic } from '../base/files.js';
import type { StoredPrecision } from '../base/half.js';
import type { Reporter } from '../base/progress.js';
import type { HostTensors } from '../base/tensor.js';
import { readChecked, writeWithSum } from '../checkpoint/content-sum.js';
import { exportFolder, readRunConfig, runPaths, writeRunConfig } from '../checkpoint/run.js';
import { inHalves, readSafetensors, sha256, toHosts } from '../checkpoint/safetensors.js';
import { type Checkpoint, listCheckpoints, readState, saveWeights } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { folderOf } from '../data/own-folders.js';
import { over } from '../nn/params.js';
import { trainedFile } from '../perceptual/load.js';
import { loadTrainedParts, recordClasses, recordTokenizer } from '../stage2-transformer/model.js';
import { recordCondition } from '../tokenize/conditions/begun.js';
import { loadTold } from './export-told.js';
import { toldBy, toldCopied, writeToldRun } from './import-told.js';
import { checkOut, notAnExport, sizeOfFolder } from './out-folder.js';

export interface ShareSummary {
  readonly run: string;
  readonly to: 'run';
  readonly out: string;
  readonly bytes: number;
  readonly precision: StoredPrecision;
  readonly prior: boolean;
}

const weightsFile = 'perceptual.safetensors';

/**
 * @throws UserError where a run would be replaced: of a stage an export has one checkpoint and nothing that a training
 * or a later command left
 */
async function checkOutRun(run: string, out: string): Promise<void> {
  const ours = ['config.json', weightsFile, 'stage1', 'prior', 'condition'];
  const isExport = async (folder: string) => (await folderOf(folder)) === 'a run of vqgen';
  await checkOut({ run, out, to: 'run' }, { isOurs: (name) => ours.includes(name), isExport });
  for (const stage of [runPaths(out).stage1, runPaths(out).prior]) {
    const [first] = listCheckpoints(stage);
    const own = [
      'latest',
      'classes.json',
      'condition.json',
      'tokenizer.json',
      first && path.basename(first.path),
    ];
    const other = existsSync(stage) && readdirSync(stage).find((name) => !own.includes(name));
    if (other) throw notAnExport(`${stage}, which holds ${other}`);
  }
}

/**
 * Averaged weights take the place of the last ones, the prior is its best checkpoint, the discriminator stays for
 * training on; optimisers start afresh, metrics, grids, tokens and samples are left out. Of the data folder's path the
 * last two names stay; a perceptual network from a file goes along. So does the tokenizer of what the prior is told.
 *
 * @throws UserError, having written nothing, for a run without a tokenizer, or without that of what its prior is told
 */
export async function exportRunFolder(o: {
  readonly run: string;
  /** A folder; the run's `run` unless given. */
  readonly out?: string;
  /** `f32` unless given. */
  readonly precision?: StoredPrecision;
  readonly reporter: Reporter;
}): Promise<ShareSummary> {
  const { run, precision = 'f32', reporter } = o;
  const out = path.resolve(o.out ?? exportFolder(run, 'run'));
  const config = readRunConfig(run);
  await checkOutRun(run, out);
  const { tokenizer, prior } = await loadTrainedParts(run, reporter);
  const told = await loadTold(run, prior, reporter);
  const stored = (tensors: HostTensors) =>
    precision === 'f32'
      ? tensors
      : Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, inHalves(t)]));
  const weights = perceptualWeights(config);
  if (weights && !existsSync(weights)) {
    reporter.warn(`Without ${weights}, which does not exist: vqgen's own network takes its place.`);
  }
  const disc = await discriminatorIn(tokenizer.path);
  await writeFolderAtomic(out, async (folder) => {
    const paths = runPaths(folder);
    const shared = toShare(config, weights && existsSync(weights) ? weightsFile : null);
    await writeRunConfig(folder, told ? toldCopied(shared, out) : shared, out);
    if (weights && existsSync(weights)) {
      const { tensors, metadata } = await readChecked(weights);
      await writeWithSum(path.join(folder, weightsFile), stored(toHosts(tensors)), metadata);
    }
    const saved = await saveWeights(
      paths.stage1,
      { ...stored(over('model', tokenizer.tensors)), ...stored(disc) },
      { step: tokenizer.step, kept: keptOf(tokenizer) },
    );
    if (!prior) return;
    await saveWeights(paths.prior, stored(over('model', prior.tensors)), { step: prior.step });
    if (prior.classes.length > 0) await recordClasses(folder, prior.classes);
    if (told) {
      const { model, config } = told;
      const written = { weights: stored(over('model', model.tensors)), step: model.step };
      const known = await writeToldRun(paths.condition, toShare(config), written);
      await recordCondition(folder, toldBy(prior.told, known));
    } else if (prior.told) await recordCondition(folder, prior.told);
    await recordTokenizer(folder, await sha256(path.join(saved.path, 'model.safetensors')));
  });
  const bytes = await sizeOfFolder(out);
  return { run, to: 'run', out, bytes, precision, prior: prior !== undefined };
}

const keptOf = (checkpoint: Checkpoint) => readState(checkpoint).kept;

async function discriminatorIn(folder: string): Promise<HostTensors> {
  const { tensors } = await readSafetensors(path.join(folder, 'model.safetensors'));
  return Object.fromEntries(Object.entries(toHosts(tensors)).filter(([name]) => name.startsWith('disc.')));
}

/** The file of the perceptual network, where the run has one of its own. */
function perceptualWeights({ stage1: { perceptual } }: Config): string | undefined {
  const { kind, weights } = perceptual;
  if (!weights || !['vqgen', 'lpips-vgg16'].includes(kind)) return undefined;
  const isFolder = kind === 'vqgen' && existsSync(weights) && statSync(weights).isDirectory();
  return isFolder ? path.join(weights, trainedFile) : weights;
}

/** @param weights of its perceptual network, where they go along */
function toShare(config: Config, weights: string | null = null): Config {
  const last = (dir: string | null) => dir?.split(path.sep).slice(-2).join('/') ?? null;
  const { data, stage1, prior } = config;
  const { maps, val_maps, tokenizer } = prior.condition;
  const { kind, weight } = stage1.perceptual;
  const own = perceptualWeights(config) !== undefined && weights === null;
  const perceptual = { kind: own ? 'vqgen' : kind, weight, weights };
  return {
    ...config,
    data: { ...data, dir: last(data.dir), val_dir: last(data.val_dir) },
    stage1: { ...stage1, ema: 0, perceptual },
    prior: {
      ...prior,
      condition: {
        ...prior.condition,
        ...{ maps: last(maps), val_maps: last(val_maps), tokenizer: last(tokenizer) },
      },
    },
  };
}
