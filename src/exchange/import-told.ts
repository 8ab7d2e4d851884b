/** The tokenizer of what a published transformer is told, as a run of its own inside the run. */
import path from 'node:path';
import { only } from '../base/lookup.js';
import { runPaths, writeRunConfig } from '../checkpoint/run.js';
import { sha256 } from '../checkpoint/safetensors.js';
import { saveWeights } from '../checkpoint/store.js';
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
    const { stage1 } = runPaths(run);
    await writeRunConfig(run, config);
    const saved = await saveWeights(stage1, model, {
      step: config.stage1.steps,
      kept: { ...startsOf(config) },
    });
    await writeKept(stage1, { published, tensors });
    const tokenizer = { sha256: await sha256(path.join(saved.path, 'model.safetensors')), pictures, pixels };
    return {
      ...{ kind: 'maps', size, tokenizer },
      grid: { ...grid, name: 'condition' }, // Published priors know no code that says that nothing is told.
      ...(pictures === 'labels' && { labels: labels.map((colour) => ({ colour, share: 0 })) }),
    };
  };
}
