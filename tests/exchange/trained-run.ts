import path from 'node:path';
import { runPaths } from '../../src/checkpoint/run.js';
import { loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import { parseConfig } from '../../src/config/layers.js';
import { type Config, configSchema } from '../../src/config/schema.js';
import { priorFor, recordClasses, recordTokenizer } from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { saveTokenizer, tinyConfig } from '../support/run.js';

const state = { step: 3, seconds: 0, validated: 3, best: null, metrics: null };

/** A run with random weights in both stages; the prior's large enough that its logits differ. */
export async function trainedRun(
  root: string,
  name: string,
  o: { stage1?: object; prior?: object; sample?: object; classes?: readonly string[] } = {},
): Promise<{ run: string; config: Config }> {
  const { classes = [] } = o;
  const { kind } = configSchema.parse({ prior: o.prior }).prior;
  const base = tinyConfig({ layers: 2, ...(kind === 'gpt' && { mlp: 'gelu' }), ...o.prior }); // as published
  const config = parseConfig(
    {
      ...base,
      stage1: { ...base.stage1, attn_resolutions: [4], ...o.stage1 },
      sample: { ...base.sample, ...o.sample },
    },
    name,
  );
  const run = path.join(root, name);
  await saveTokenizer(run, config);
  const prior = priorStart(priorFor(config, classes), 0);
  for (const [name, { data }] of Object.entries(prior)) {
    if (name.endsWith('weight')) for (const [i, x] of data.entries()) data[i] = 10 * x;
    if (name.endsWith('told.classes')) for (const i of data.keys()) data[i] = Math.sin(i + 1); // they begin as zeros
  }
  if (config.prior.kind === 'maskgit') {
    const places = prior['model.positions']?.data ?? []; // they begin as zeros, where no cell differs from another
    for (const i of places.keys()) places[i] = 0.2 * Math.sin(i + 1);
  }
  await saveCheckpoint(runPaths(run).prior, prior, state, 1);
  if (classes.length > 0) await recordClasses(run, classes);
  await recordTokenizer(run, (await loadModel(run, 'stage1')).sha256);
  return { run, config };
}
