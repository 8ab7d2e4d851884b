/** The tokenizer of what a published transformer is told, as a run of its own inside the run. */
import path from 'node:path';
import { only } from '../base/lookup.js';
import type { HostTensors } from '../base/tensor.js';
import { runPaths, writeRunConfig } from '../checkpoint/run.js';
import { sha256 } from '../checkpoint/safetensors.js';
import { saveWeights } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { over } from '../nn/params.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { startsOf } from '../stage1-vqgan/starts.js';
import type { ConditionRecord } from '../tokenize/conditions/condition.js';
import { keptOf, writeKept } from './kept.js';
import { fetchAll } from './places.js';
import type { TensorFile } from './torch-file.js';
import type { Tokenizer } from './understand.js';

/**
 * Reads it.
 *
 * @param size side of the pictures of which it is told
 * @returns what writes it into a new folder, and says what it tells
 */
export async function toldRun(
  { config, published, places, other }: Tokenizer,
  file: TensorFile,
  size: number,
): Promise<(run: string) => Promise<ConditionRecord>> {
  const model = over('model', await fetchAll(places, file));
  const tensors = await keptOf(places, other, file);
  const { size: pixels, pictures, labels } = config.data;
  const grid = only(gridsOf(config));
  return async (run) => {
    const known = await writeToldRun(run, config, { weights: model, step: config.stage1.steps });
    await writeKept(runPaths(run).stage1, { published, tensors });
    return {
      ...{ kind: 'maps', size, tokenizer: { sha256: known, pictures, pixels } },
      grid: { ...grid, name: 'condition' }, // Published priors know no code that says that nothing is told.
      // How frequent they were was not noted.
      ...(pictures === 'labels' && { labels: labels.map((colour) => ({ colour, share: 0 })) }),
    };
  };
}

/** @param weights under `model.…`. @returns what the run's prior knows it by */
export async function writeToldRun(
  run: string,
  config: Config,
  { weights, step }: { weights: HostTensors; step: number },
): Promise<string> {
  await writeRunConfig(run, config);
  const saved = await saveWeights(runPaths(run).stage1, weights, { step, kept: { ...startsOf(config) } });
  return sha256(path.join(saved.path, 'model.safetensors'));
}
