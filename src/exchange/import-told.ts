/**
 * The tokenizer of what a published transformer is told, as a run of its own inside the run, where it is not that of
 * the images.
 */
import path from 'node:path';
import { expected } from '../base/errors.js';
import { only } from '../base/lookup.js';
import type { HostTensor } from '../base/tensor.js';
import { runPaths, writeRunConfig } from '../checkpoint/run.js';
import { type StoredTensor, sha256 } from '../checkpoint/safetensors.js';
import { saveWeights } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { over } from '../nn/params.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { startsOf } from '../stage1-vqgan/starts.js';
import type { ConditionRecord } from '../tokenize/conditions/condition.js';
import { keptOf, writeKept } from './kept.js';
import { fetchAll, type Place } from './places.js';
import { condStage, firstStage } from './taming-config.js';
import type { TensorFile } from './torch-file.js';
import type { Told } from './understand.js';

/**
 * Reads it.
 *
 * @param o.size side of the pictures of which it is told. @param o.checkpoint where it is read, for errors
 * @returns what writes it into a new folder, if need be, and says what it tells
 * @throws UserError for one that should be that of the images, and is not
 */
export async function toldRun(
  { config, published, places, other, itself }: Told,
  file: TensorFile,
  { size, checkpoint }: { size: number; checkpoint: string },
): Promise<(run: string) => Promise<ConditionRecord>> {
  const model = over('model', await fetchAll(places, file));
  const tensors = await keptOf(places, other, file);
  const { size: pixels, pictures, labels } = config.data;
  const grid = only(gridsOf(config));
  const cells = { ...grid, name: 'condition' }; // Published priors know no code that says that nothing is told.
  if (itself) {
    await checkTwice(places, file, checkpoint);
    return async () => ({ kind: 'lowres', size, grid: cells, tokenizer: { pictures, pixels } });
  }
  return async (run) => {
    const known = await writeToldRun(run, config, { weights: model, step: config.stage1.steps });
    await writeKept(runPaths(run).stage1, { published, tensors });
    return {
      ...{ kind: 'maps', size, grid: cells, tokenizer: { sha256: known, pictures, pixels } },
      // How frequent they were was not noted.
      ...(pictures === 'labels' && { labels: labels.map((colour) => ({ colour, share: 0 })) }),
    };
  };
}

/** @throws UserError where tensors are not those of the images' tokenizer */
async function checkTwice(places: readonly Place[], { read }: TensorFile, checkpoint: string): Promise<void> {
  for (const { name } of places.flatMap(({ theirs }) => theirs)) {
    const [own, again] = [await read(name.replace(condStage, firstStage)), await read(name)];
    if (own.data.every((value, i) => Object.is(value, again.data[i]))) continue;
    const next = 'Its cond_stage_config is __is_first_stage__: is it the YAML of this checkpoint?';
    throw expected(`${name} as in ${firstStage}*`, checkpoint, 'another tensor', next);
  }
}

/** @param weights under `model.…`. @returns what the run's prior knows it by */
export async function writeToldRun(
  run: string,
  config: Config,
  { weights, step }: { weights: Record<string, HostTensor | StoredTensor>; step: number },
): Promise<string> {
  await writeRunConfig(run, config);
  const saved = await saveWeights(runPaths(run).stage1, weights, { step, kept: { ...startsOf(config) } });
  return sha256(path.join(saved.path, 'model.safetensors'));
}

/** What a prior is told, by the name that its tokenizer has after it was written anew. */
export const toldBy = (told: ConditionRecord | undefined, sha256: string): ConditionRecord | undefined =>
  told?.tokenizer && { ...told, tokenizer: { ...told.tokenizer, sha256 } };

/**
 * A run's config that names its own copy of the tokenizer, not a folder elsewhere.
 *
 * @param run where it will stand
 */
export function toldCopied(config: Config, run: string): Config {
  const { prior } = config;
  if (prior.condition.kind !== 'maps' || prior.condition.tokenizer === null) return config;
  const tokenizer = runPaths(path.resolve(run)).condition;
  return { ...config, prior: { ...prior, condition: { ...prior.condition, tokenizer } } };
}
