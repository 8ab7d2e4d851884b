/** Checkpoints of a stage: saved whole, pruned, loaded. `<stage>/latest` names the newest one for scripts. */
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { removeFolder, writeFileAtomic, writeFolderAtomic } from '../base/files.js';
import type { Reporter } from '../base/progress.js';
import type { HostTensor, HostTensors } from '../base/tensor.js';
import type { Specs } from '../engine/device.js';
import { finite } from './finite.js';
import { type Damage, damagedOnly, nameLatest, soundCheckpoint, tellOfDamage } from './integrity.js';
import { noSuchRun, notTrained, runPaths, type StageName, stepName } from './run.js';
import {
  openSafetensors,
  readSafetensors,
  type StoredTensor,
  toHost,
  toHosts,
  writeSafetensors,
} from './safetensors.js';
import { type SavedState, stateIn, stateText } from './state.js';
import { type Checkpoint, listCheckpoints, modelFile, optimizerFile, stateFile } from './step-folder.js';

export type { Best, SavedGuard, SavedState } from './state.js';
export { isStale, readState, updateState } from './state.js';
export type { Checkpoint } from './step-folder.js';
export { hasCheckpoint, latestCheckpoint, listCheckpoints } from './step-folder.js';

/** `model.` the weights, `ema.` their running average, `disc.` the discriminator; all else serves the optimiser. */
const isModel = (name: string): boolean => /^(model|ema|disc)\./.test(name);

/**
 * Saves a checkpoint, names it in `latest` and removes all but the `keep` newest, the best and the one to go back to.
 */
export async function saveCheckpoint(
  stageFolder: string,
  tensors: HostTensors,
  state: SavedState,
  keep: number,
): Promise<Checkpoint> {
  const name = stepName(state.step);
  const folder = path.join(stageFolder, name);
  const named = Object.entries(tensors);
  await writeFolderAtomic(folder, async (temporary) => {
    const model = named.filter(([name]) => isModel(name));
    const optimizer = named.filter(([name]) => !isModel(name));
    const checksums = {
      model: await writeSafetensors(modelFile(temporary), Object.fromEntries(model)),
      optimizer: await writeSafetensors(optimizerFile(temporary), Object.fromEntries(optimizer)),
    };
    await fs.writeFile(stateFile(temporary), stateText({ state, checksums }));
  });
  await writeFileAtomic(path.join(stageFolder, 'latest'), `${name}\n`);
  await prune(stageFolder, keep, [state.best?.step, state.guard?.good]);
  return { step: state.step, path: folder };
}

/**
 * Saves weights that were trained elsewhere as the only checkpoint of a stage; its optimiser starts afresh.
 *
 * @param tensors `model.`, and `disc.` where there is a discriminator
 */
export async function saveWeights(
  stageFolder: string,
  tensors: Record<string, HostTensor | StoredTensor>,
  { step, kept }: Pick<SavedState, 'step' | 'kept'>,
): Promise<Checkpoint> {
  const name = stepName(step);
  const folder = path.join(stageFolder, name);
  const state: SavedState = { step, seconds: 0, validated: step, best: null, metrics: null, kept };
  await writeFolderAtomic(folder, async (temporary) => {
    const checksums = {
      model: await writeSafetensors(modelFile(temporary), tensors),
      optimizer: await writeSafetensors(optimizerFile(temporary), {}, { state: fresh }),
    };
    await fs.writeFile(stateFile(temporary), stateText({ state, checksums }));
  });
  await writeFileAtomic(path.join(stageFolder, 'latest'), `${name}\n`);
  return { step, path: folder };
}

/** Another run's weights, byte by byte, as the only checkpoint of a stage. */
export async function copyWeights(from: Checkpoint, stageFolder: string): Promise<void> {
  const name = stepName(from.step);
  const saved = stateIn(from);
  if (typeof saved === 'string') throw expected('the state that vqgen saved', stateFile(from.path), saved);
  const { state, checksums } = saved;
  await writeFolderAtomic(path.join(stageFolder, name), async (temporary) => {
    await fs.copyFile(modelFile(from.path), modelFile(temporary));
    const optimizer = await writeSafetensors(optimizerFile(temporary), {}, { state: fresh });
    const sums = checksums && { ...checksums, optimizer };
    await fs.writeFile(stateFile(temporary), stateText({ state, ...(sums && { checksums: sums }) }));
  });
  await writeFileAtomic(path.join(stageFolder, 'latest'), `${name}\n`);
}

/** Of an optimiser's file without tensors: all of them start as in a run that begins. */
const fresh = 'fresh';

/** Whether it has weights alone, which came from elsewhere. */
export async function isWeightsAlone({ path: folder }: Checkpoint): Promise<boolean> {
  const { metadata, close } = await openSafetensors(optimizerFile(folder));
  await close();
  return metadata.state === fresh;
}

/**
 * All tensors of a checkpoint; of one with weights alone what serves the optimiser is missing.
 *
 * @param mayDiffer names of tensors that may be missing, and then are, or left over
 * @throws UserError naming the first tensor that is missing, left over, of another shape or type, or not finite
 */
export async function loadCheckpoint(
  checkpoint: Checkpoint,
  specs: Specs,
  mayDiffer: (name: string) => boolean = () => false,
): Promise<HostTensors> {
  const read = async (file: string) => {
    const stored = await readSafetensors(file);
    for (const [name, t] of Object.entries(stored.tensors)) finite(t, name, file);
    return stored;
  };
  const model = await read(modelFile(checkpoint.path));
  const optimizer = await read(optimizerFile(checkpoint.path));
  const saved = toHosts({ ...model.tensors, ...optimizer.tensors });
  const mayMiss = (name: string) => mayDiffer(name) || (optimizer.metadata.state === fresh && !isModel(name));
  const next = 'The config is not the one that this run was trained with.';
  const tensors: HostTensors = {};
  for (const [name, spec] of Object.entries(specs)) {
    const t = saved[name];
    const what = `${name} ${spec.dtype} [${spec.shape}]`;
    if (!t && mayMiss(name)) continue;
    if (!t) throw expected(what, checkpoint.path, 'no such tensor', next);
    if (t.dtype !== spec.dtype || t.shape.join() !== spec.shape.join()) {
      throw expected(what, checkpoint.path, `${t.dtype} [${t.shape}]`, next);
    }
    tensors[name] = t;
  }
  const extra = Object.keys(saved).find((name) => !(name in specs) && !mayDiffer(name));
  if (extra) throw expected('no other tensor', checkpoint.path, extra, next);
  return tensors;
}

/** A trained model's weights for inference. */
export interface TrainedModel {
  /** Dotted parameter name → values, all finite; the running averages where there are any. */
  readonly tensors: HostTensors;
  readonly step: number;
  /** The step folder that they come from. */
  readonly path: string;
  /** Of `model.safetensors`, hexadecimal: what token files and priors name their tokenizer by. */
  readonly sha256: string;
  /** Checkpoints that would have been used, were they not damaged. */
  readonly damaged: readonly Damage[];
  /** Whether its files carry checksums, which fit. */
  readonly checked: boolean;
}

/**
 * A stage's weights as they were saved.
 *
 * @param o.best of the best checkpoint by validation, not of the newest
 * @param o.reporter is warned of damaged checkpoints, for which an earlier one is used; without one that is an error
 * @throws UserError naming the command that trains the stage, what is damaged where nothing else is left, or a tensor
 *   with a value that is not finite
 */
export async function loadModel(
  run: string,
  stage: StageName,
  o: { best?: boolean; reporter?: Pick<Reporter, 'warn'> } = {},
): Promise<TrainedModel> {
  if (!existsSync(run)) throw noSuchRun(run);
  const found = await soundCheckpoint(runPaths(run)[stage], { best: o.best });
  const { sound, damaged } = found;
  const [first] = damaged;
  if (!sound) throw first ? damagedOnly(damaged, allDamaged(run, stage)) : notTrained(run, stage);
  if (first && !o.reporter) throw damagedOnly([first], 'Put back a copy of it.');
  if (o.reporter) tellOfDamage(found, o.reporter);
  const { checkpoint, sha256, checked } = sound;
  const file = modelFile(checkpoint.path);
  const opened = await openSafetensors(file);
  const tensors: HostTensors = {};
  try {
    for (const name of Object.keys(opened.entries).filter((name) => name.startsWith('model.'))) {
      const parameter = name.slice('model.'.length);
      const average = `ema.${parameter}`;
      const used = average in opened.entries ? average : name;
      tensors[parameter] = toHost(finite(await opened.read(used), used, file));
    }
  } finally {
    await opened.close();
  }
  return { tensors, ...checkpoint, sha256, damaged, checked };
}

/**
 * The weights, where they are those of a model with these parameters.
 *
 * @throws UserError naming the first that is missing, or of another shape
 */
export function fitting<M extends TrainedModel>(
  model: M,
  parameters: Readonly<Record<string, { readonly shape: readonly number[] }>>,
): M {
  for (const [name, { shape }] of Object.entries(parameters)) {
    const found = model.tensors[name]?.shape;
    if (found?.join() === shape.join()) continue;
    const received = found ? `[${found}]` : 'no such tensor';
    throw expected(`${name} [${shape}]`, modelFile(model.path), received, anotherConfig);
  }
  return model;
}

const anotherConfig =
  "The run's config.json, or what is noted beside its prior, is not what it was trained with: put back what it was.";

/** What to do about a stage of which no checkpoint is left. */
export function allDamaged(run: string, stage: StageName): string {
  const again =
    stage === 'stage1'
      ? 'train another tokenizer elsewhere: vqgen train-stage1 --run DIR'
      : `train the prior again: remove ${runPaths(run).prior}, then vqgen train-prior --run ${run}`;
  return `No checkpoint is left: put back a copy of that file, or ${again}`;
}

/** Removes the checkpoints of steps that are taken back. */
export async function removeAfter(stageFolder: string, step: number): Promise<void> {
  const later = listCheckpoints(stageFolder).filter((checkpoint) => checkpoint.step > step);
  if (later.length === 0) return;
  for (const checkpoint of later.reverse()) await removeFolder(checkpoint.path);
  await nameLatest(stageFolder);
}

async function prune(
  stageFolder: string,
  keep: number,
  needed: readonly (number | undefined)[],
): Promise<void> {
  for (const checkpoint of listCheckpoints(stageFolder).slice(0, -keep)) {
    if (!needed.includes(checkpoint.step)) await removeFolder(checkpoint.path);
  }
}
