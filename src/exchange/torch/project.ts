/** The folder that `vqgen export --to torch` writes: a run's config, checkpoints and tokens beside Python that trains on. */
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { inPackage } from '../../base/root.js';
import type { StageName } from '../../checkpoint/run.js';
import { listCheckpoints, readState } from '../../checkpoint/store.js';

/** Where the Python files lie in the package. */
const sources = inPackage('pytorch');

export const stages: readonly StageName[] = ['stage1', 'prior'];

/** The weights of the perceptual loss, by their names in vqgen. */
export const perceptualFile = 'perceptual.safetensors';

/** @returns the files' names */
export async function writeSources(folder: string): Promise<string[]> {
  const names = (await fs.readdir(sources)).filter((name) => name.endsWith('.py')).sort();
  for (const name of names) await fs.copyFile(path.join(sources, name), path.join(folder, name));
  return names;
}

export const isProject = (folder: string): boolean =>
  ['train.py', 'store.py', 'config.json'].every((name) => existsSync(path.join(folder, name)));

/**
 * Copies of a stage what a training goes on with, byte for byte: its newest checkpoint, the best, the one that the
 * guard would go back to, its metrics and notes.
 *
 * @param step of the checkpoint to go on from
 */
export async function copyStage(from: string, to: string, step: number): Promise<void> {
  const checkpoints = listCheckpoints(from);
  const newest = checkpoints.find((checkpoint) => checkpoint.step === step);
  if (!newest) throw new Error(`internal: no checkpoint of step ${step} in ${from}`);
  const { best, guard } = readState(newest);
  const wanted = new Set([step, best?.step, guard?.good]);
  await fs.mkdir(to, { recursive: true });
  for (const checkpoint of checkpoints)
    if (wanted.has(checkpoint.step))
      await fs.cp(checkpoint.path, path.join(to, path.basename(checkpoint.path)), { recursive: true });
  await fs.writeFile(path.join(to, 'latest'), `${path.basename(newest.path)}\n`);
  for (const name of ['metrics.jsonl', 'classes.json', 'tokenizer.json', 'condition.json'])
    if (existsSync(path.join(from, name))) await fs.copyFile(path.join(from, name), path.join(to, name));
}
