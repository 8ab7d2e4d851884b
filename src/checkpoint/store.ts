/**
 * Checkpoints of a stage: `<stage>/step-00000500/{model,optimizer}.safetensors` and `state.json`. A folder of that
 * name is always complete; `<stage>/latest` names the newest one for scripts, and vqgen itself looks at the folders.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { removeFolder, writeFileAtomic, writeFolderAtomic } from '../base/files.js';
import { float32, type HostTensor, type HostTensors } from '../base/tensor.js';
import type { Specs } from '../engine/device.js';
import { finite } from './finite.js';
import { noSuchRun, notTrained, type StageName, stepName } from './run.js';
import {
  openSafetensors,
  readSafetensors,
  type StoredTensor,
  sha256,
  toHost,
  toHosts,
  writeSafetensors,
} from './safetensors.js';

export interface Checkpoint {
  readonly step: number;
  /** The step folder. */
  readonly path: string;
}

/** Step and value of the best validation so far, among steps that have a checkpoint. */
export interface Best {
  readonly step: number;
  readonly value: number;
}

/** `state.json`: all that a resumed run needs beside the tensors. */
export interface SavedState {
  readonly step: number;
  /** Training time up to here, all sessions together. */
  readonly seconds: number;
  /** The last validated step; 0 before the first. */
  readonly validated: number;
  readonly best: Best | null;
  /** Running means and the usage window, which train/metrics.ts understands. */
  readonly metrics: unknown;
  /** What the stage resolved when the run began and keeps (stage 1: the first steps of its phases). */
  readonly kept?: Readonly<Record<string, number>>;
  /**
   * Validations in a row without a new best, 0 without patience; checkpoints of vqgen before early stopping have none.
   */
  readonly stale?: number;
  /** Checkpoints of vqgen before the guard have none. */
  readonly guard?: SavedGuard;
}

/** Whether a run has ended early. @param stale validations in a row without a new best */
export const isStale = (stale = 0, patience = 0): boolean => patience > 0 && stale >= patience;

/** How a run that went wrong was taken back so far. */
export interface SavedGuard {
  /** The highest learning rate of the schedule, and what the rollbacks multiply it by. */
  readonly lr: number;
  readonly factor: number;
  readonly rollbacks: number;
  /** The step to go back to: its checkpoint is not removed; 0 is the beginning. */
  readonly good: number;
  /** Means that train/guard.ts understands. */
  readonly watch: unknown;
}

/** `model.` the weights, `ema.` their running average, `disc.` the discriminator; all else serves the optimiser. */
const isModel = (name: string): boolean => /^(model|ema|disc)\./.test(name);

const modelFile = (folder: string): string => path.join(folder, 'model.safetensors');
const optimizerFile = (folder: string): string => path.join(folder, 'optimizer.safetensors');
const stateFile = (folder: string): string => path.join(folder, 'state.json');

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
    await writeSafetensors(modelFile(temporary), Object.fromEntries(model));
    await writeSafetensors(optimizerFile(temporary), Object.fromEntries(optimizer));
    await fs.writeFile(stateFile(temporary), toJson(state));
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
    await writeSafetensors(modelFile(temporary), tensors);
    await writeSafetensors(optimizerFile(temporary), {}, { state: fresh });
    await fs.writeFile(stateFile(temporary), toJson(state));
  });
  await writeFileAtomic(path.join(stageFolder, 'latest'), `${name}\n`);
  return { step, path: folder };
}

/** Another run's weights, byte by byte, as the only checkpoint of a stage. */
export async function copyWeights({ step, path: from }: Checkpoint, stageFolder: string): Promise<void> {
  const name = stepName(step);
  await writeFolderAtomic(path.join(stageFolder, name), async (temporary) => {
    await fs.copyFile(modelFile(from), modelFile(temporary));
    await fs.copyFile(stateFile(from), stateFile(temporary));
    await writeSafetensors(optimizerFile(temporary), {}, { state: fresh });
  });
  await writeFileAtomic(path.join(stageFolder, 'latest'), `${name}\n`);
}

/** Of an optimiser's file without tensors: all of them start at 0. */
const fresh = 'fresh';

/** Replaces the state of a saved checkpoint whose tensors stay. */
export async function updateState(checkpoint: Checkpoint, state: SavedState): Promise<void> {
  await writeFileAtomic(stateFile(checkpoint.path), toJson(state));
}

const toJson = (state: SavedState): string => `${JSON.stringify(state)}\n`;

/** All complete checkpoints, oldest first. */
export function listCheckpoints(stageFolder: string): Checkpoint[] {
  if (!existsSync(stageFolder)) return [];
  return readdirSync(stageFolder)
    .filter((name) => /^step-\d{8,}$/.test(name))
    .map((name) => ({ step: Number(name.slice('step-'.length)), path: path.join(stageFolder, name) }))
    .filter(({ path: folder }) =>
      [modelFile(folder), optimizerFile(folder), stateFile(folder)].every((file) => existsSync(file)),
    )
    .sort((a, b) => a.step - b.step);
}

export function latestCheckpoint(stageFolder: string): Checkpoint | undefined {
  return listCheckpoints(stageFolder).at(-1);
}

/** The best by validation; the newest where none has been validated. */
export function bestCheckpoint(stageFolder: string): Checkpoint | undefined {
  const newest = latestCheckpoint(stageFolder);
  const best = newest && readState(newest).best;
  return (best && listCheckpoints(stageFolder).find(({ step }) => step === best.step)) ?? newest;
}

export function readState(checkpoint: Checkpoint): SavedState {
  const file = stateFile(checkpoint.path);
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw expected('the JSON that vqgen saved', file, 'something else', removeIt(checkpoint.path), cause);
  }
}

/**
 * All tensors of a checkpoint.
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
  const startsFresh = (name: string) => optimizer.metadata.state === fresh && !isModel(name);
  const next = 'The config is not the one that this run was trained with.';
  const tensors: HostTensors = {};
  for (const [name, spec] of Object.entries(specs)) {
    const t = saved[name] ?? (startsFresh(name) ? float32(spec.shape) : undefined);
    const what = `${name} ${spec.dtype} [${spec.shape}]`;
    if (!t && mayDiffer(name)) continue;
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
}

/**
 * A checkpoint's weights.
 *
 * @param checkpoint the newest unless given
 * @throws UserError naming the command that trains the stage, or a tensor with a value that is not finite
 */
export async function loadModel(
  run: string,
  stage: StageName,
  checkpoint = latestCheckpoint(path.join(run, stage)),
): Promise<TrainedModel> {
  if (!existsSync(run)) throw noSuchRun(run);
  if (!checkpoint) throw notTrained(run, stage);
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
  return { tensors, step: checkpoint.step, path: checkpoint.path, sha256: await sha256(file) };
}

/** Removes the checkpoints of steps that are taken back. */
export async function removeAfter(stageFolder: string, step: number): Promise<void> {
  const later = listCheckpoints(stageFolder).filter((checkpoint) => checkpoint.step > step);
  if (later.length === 0) return;
  for (const checkpoint of later.reverse()) await removeFolder(checkpoint.path);
  const newest = latestCheckpoint(stageFolder);
  const latest = path.join(stageFolder, 'latest');
  if (newest) await writeFileAtomic(latest, `${stepName(newest.step)}\n`);
  else await fs.rm(latest, { force: true });
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

const removeIt = (folder: string): string => `Remove ${folder} to go on from the checkpoint before it.`;
