/** A run folder: where everything lies, the config that was saved in it, and what to type when a part is missing. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expected, type UserError } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { nearest } from '../base/nearest.js';
import { parseConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';

/** Also the names of the stages' folders. */
export type StageName = 'stage1' | 'prior';

export const version: string = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
).version;

export interface RunPaths {
  readonly config: string;
  readonly stage1: string;
  readonly prior: string;
  readonly tokens: string;
  readonly samples: string;
}

export function runPaths(run: string): RunPaths {
  return {
    config: path.join(run, 'config.json'),
    stage1: path.join(run, 'stage1'),
    prior: path.join(run, 'prior'),
    tokens: path.join(run, 'tokens'),
    samples: path.join(run, 'samples'),
  };
}

export const tokenFile = (run: string, split: string): string =>
  path.join(runPaths(run).tokens, `${split}.safetensors`);

export const metricsFile = (stageFolder: string): string => path.join(stageFolder, 'metrics.jsonl');

/** `grids/step-00000500.png` */
export const gridFile = (stageFolder: string, step: number): string =>
  path.join(stageFolder, 'grids', `${stepName(step)}.png`);

/** `step-00000500` */
export const stepName = (step: number): string => `step-${String(step).padStart(8, '0')}`;

/** Saves the resolved config with the vqgen version that wrote it. */
export async function writeRunConfig(run: string, config: Config): Promise<void> {
  await writeFileAtomic(runPaths(run).config, `${JSON.stringify({ vqgen: version, ...config }, null, 2)}\n`);
}

/** The saved config, or nothing where the run has none. @throws UserError when it is damaged */
export function findRunConfig(run: string): Config | undefined {
  const file = runPaths(run).config;
  if (!existsSync(file)) return undefined;
  let saved: Record<string, unknown>;
  try {
    saved = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw expected(
      'the JSON that vqgen saved',
      file,
      'something else',
      'Train again into another --run.',
      cause,
    );
  }
  const { vqgen: _, ...config } = saved;
  return parseConfig(withOwnWeights(withOldNorms(config), run), file);
}

interface Saved {
  stage1?: { perceptual?: { weights?: string | null } };
}

/** A relative path of weights leads on from the run: `export --to run` puts them there. */
function withOwnWeights(saved: Saved, run: string): Saved {
  const weights = saved.stage1?.perceptual?.weights;
  if (!weights) return saved;
  const { stage1 } = saved;
  const perceptual = { ...stage1?.perceptual, weights: path.resolve(run, weights) };
  return { ...saved, stage1: { ...stage1, perceptual } };
}

/** Runs of before `stage1.norm_groups` had 32. */
function withOldNorms(saved: Record<string, unknown>): Record<string, unknown> {
  return { ...saved, stage1: { norm_groups: 32, ...(saved.stage1 as object | undefined) } };
}

/** The saved config. @throws UserError "no such run" */
export function readRunConfig(run: string): Config {
  const config = findRunConfig(run);
  if (!config) throw noSuchRun(run);
  return config;
}

export function noSuchRun(run: string): UserError {
  return expected(
    'a run folder',
    '--run',
    existsSync(run) ? `${run}, which holds no config.json` : `${run}, which does not exist`,
    `${placesNear(run, 'config.json')}Train a tokenizer first: vqgen train-stage1 --run ${run}`,
  );
}

const mostNear = 5;

/**
 * A sentence, and a space, on which folders with this file, such as a run's `config.json`, may be meant by a place that has none: of those in it,
 * beside it and in ./checkpoints. Empty where there are none.
 */
export function placesNear(place: string, file: string): string {
  const inFolder = (folder: string): string[] =>
    subfolders(folder)
      .map((name) => path.join(folder, name))
      .filter((found) => existsSync(path.join(found, file)));
  const found = [place, path.dirname(place), 'checkpoints'].flatMap(inFolder);
  const near = [...new Map(found.map((name) => [path.resolve(name), name])).values()];
  if (near.length === 0) return '';
  const meant = nearest(
    path.basename(place),
    near.map((folder) => path.basename(folder)),
  );
  const likely = near.find((folder) => path.basename(folder) === meant);
  if (likely !== undefined) return `Did you mean ${likely}? `;
  const more = near.length > mostNear ? ` and ${near.length - mostNear} more` : '';
  return `Near it: ${near.slice(0, mostNear).join(', ')}${more}. `;
}

function subfolders(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => !entry.isFile() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort();
  } catch {
    return [];
  }
}

export function notTrained(run: string, stage: StageName): UserError {
  const [what, command] = stage === 'stage1' ? ['tokenizer', 'train-stage1'] : ['prior', 'train-prior'];
  return expected(
    `a trained ${what}`,
    '--run',
    `${run}, which has none yet`,
    `Next: vqgen ${command} --run ${run}`,
  );
}
