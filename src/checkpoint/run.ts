/** A run folder: where everything lies, the config that was saved in it, and what to type when a part is missing. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { expected, type UserError } from '../base/errors.js';
import { settle, writeFileAtomic } from '../base/files.js';
import { nearest } from '../base/nearest.js';
import { asThing, readWhole } from '../base/regular-file.js';
import { version } from '../base/root.js';
import { mapPaths, parseSaved } from '../config/layers.js';
import type { Config } from '../config/schema.js';
import { runAt, shippedName, shippedNames, shippedOutputs } from './shipped.js';

/** Also the names of the stages' folders. */
export type StageName = 'stage1' | 'prior';

export interface RunPaths {
  readonly config: string;
  /** Names of the pictures that it is trained on. */
  readonly pictures: string;
  readonly stage1: string;
  readonly prior: string;
  readonly tokens: string;
  /** A run of its own: the tokenizer of what the prior is told. */
  readonly condition: string;
  /** Of a run that comes with vqgen: in the working folder, by its name. */
  readonly samples: string;
}

export function runPaths(run: string): RunPaths {
  const name = shippedName(run);
  return {
    config: path.join(run, 'config.json'),
    pictures: path.join(run, 'pictures.json'),
    stage1: path.join(run, 'stage1'),
    prior: path.join(run, 'prior'),
    tokens: path.join(run, 'tokens'),
    condition: path.join(run, 'condition'),
    samples: name === undefined ? path.join(run, 'samples') : shippedOutputs(name).samples,
  };
}

/** What a run consists of, whose loss would be one: not what commands draw from it. */
export const partsOf = (run: string): readonly string[] =>
  ['config.json', 'pictures.json', 'stage1', 'prior', 'tokens', 'condition', '.cache'].map((name) =>
    path.join(run, name),
  );

/** Where an export goes, if nowhere else: beside the run's stages, or into the working folder as samples do. */
export function exportFolder(run: string, to: string): string {
  const name = shippedName(run);
  return path.join(name === undefined ? run : shippedOutputs(name).exports, to);
}

export const tokenFile = (run: string, split: string): string =>
  path.join(runPaths(run).tokens, `${split}.safetensors`);

export const metricsFile = (stageFolder: string): string => path.join(stageFolder, 'metrics.jsonl');

/** `grids/step-00000500.png` */
export const gridFile = (stageFolder: string, step: number): string =>
  path.join(stageFolder, 'grids', `${stepName(step)}.png`);

/** `step-00000500` */
export const stepName = (step: number): string => `step-${String(step).padStart(8, '0')}`;

/**
 * Saves the resolved config with the vqgen version that wrote it. Paths into the run are written as `./…`: it may be
 * moved.
 *
 * @param place where the run will stand, when it is written elsewhere
 */
export async function writeRunConfig(run: string, config: Config, place = run): Promise<void> {
  const saved = { vqgen: version, ...mapPaths(config, (file) => fromRun(place, file)) };
  await writeFileAtomic(runPaths(run).config, `${JSON.stringify(saved, null, 2)}\n`);
}

const here = './';

function fromRun(run: string, file: string): string {
  if (!path.isAbsolute(file)) return file;
  const [first = '', ...others] = path.relative(path.resolve(run), file).split(path.sep);
  const inside = first !== '' && first !== '..' && !path.isAbsolute(first);
  return inside ? here + [first, ...others].join('/') : file;
}

/**
 * The saved config, or nothing where the run has none. As every command reads it first, what was being replaced in the
 * run when a command was killed is put right.
 *
 * @throws UserError when it is damaged
 */
export function findRunConfig(run: string): Config | undefined {
  for (const place of [run, runPaths(run).tokens, runPaths(run).condition]) settle(place);
  const saved = readSavedConfig(run);
  return saved && parseSaved(withOwnPaths(saved, run), runPaths(run).config);
}

/** Bytes; it may name the classes of a CVAE. */
const longestConfig = 1 << 24;
const putBack = 'Put back what it was, or train again into another --run.';

/** The same as it was saved: paths may lead nowhere here, and keys may be missing that vqgen did not know then. */
export function readSavedConfig(run: string): Saved | undefined {
  const file = runPaths(run).config;
  if (!existsSync(file)) return undefined;
  const bytes = readWhole(file, longestConfig, (received, cause) =>
    expected('the JSON that vqgen saved', file, asThing(received), putBack, cause),
  );
  return parseSavedConfig(bytes.toString(), file);
}

const text = z.string().nullish();

/** As much as is read of a saved config before its paths are set right; the rest is checked after that. */
const savedSchema = z.looseObject({
  data: z.looseObject({ dir: text, val_dir: text }).optional(),
  stage1: z.looseObject({ perceptual: z.looseObject({ weights: text }).optional() }).optional(),
  prior: z
    .looseObject({
      condition: z.looseObject({ maps: text, val_maps: text, tokenizer: text }).optional(),
    })
    .optional(),
  sample: z.looseObject({}).optional(),
});

type Saved = z.infer<typeof savedSchema>;

/** The text of a `config.json`. @param file what to call it in errors. @throws UserError when it is damaged */
export function parseSavedConfig(text: string, file: string): Saved {
  try {
    const { vqgen: _, ...saved } = savedSchema.parse(JSON.parse(text));
    return saved;
  } catch (cause) {
    throw expected('the JSON that vqgen saved', file, 'something else', putBack, cause);
  }
}

/** Paths into the run lead on from where it stands now. */
function withOwnPaths(saved: Saved, run: string): Saved {
  const own = (file?: string | null) => (file?.startsWith(here) ? path.resolve(run, file) : file);
  const { data, stage1, prior } = saved;
  const { condition } = prior ?? {};
  const weights = stage1?.perceptual?.weights;
  return {
    ...saved,
    ...(data && { data: { ...data, dir: own(data.dir), val_dir: own(data.val_dir) } }),
    ...(condition && {
      prior: {
        ...prior,
        condition: {
          ...condition,
          ...{ maps: own(condition.maps), val_maps: own(condition.val_maps) },
          ...(condition.tokenizer !== undefined && { tokenizer: own(condition.tokenizer) }),
        },
      },
    }),
    ...(weights && {
      stage1: { ...stage1, perceptual: { ...stage1.perceptual, weights: ownWeights(weights, run) } },
    }),
  };
}

/** Any relative one is the run's own. Imports once saved an absolute one, which a moved run has not. */
function ownWeights(weights: string, run: string): string {
  const [file, beside] = [path.resolve(run, weights), path.resolve(run, path.basename(weights))];
  return existsSync(file) || !existsSync(beside) ? file : beside;
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
    whatNext(run),
  );
}

function whatNext(run: string): string {
  if (shippedNames.includes(run))
    return `It comes with vqgen, to be sampled, measured and exported; to train on, copy it: ${runAt(run)}`;
  const meant = nearest(run, shippedNames);
  const near = meant ? `Did you mean ${meant}, which comes with vqgen? ` : placesNear(run, 'config.json');
  return `${near}Train a tokenizer first: vqgen train-stage1 --run ${run}`;
}

const mostNear = 5;

/**
 * A sentence, and a space, on which folders with this file, such as a run's `config.json`, may be meant by a place
 * that has none: of those in it, beside it and in ./checkpoints. Empty where there are none.
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
