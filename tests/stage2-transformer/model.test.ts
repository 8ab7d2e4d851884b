/** What a run's prior goes by: the tokenizer that it was trained for, or why that is not there. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { runPaths, tokenFile } from '../../src/checkpoint/run.js';
import { loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import { gridsOf } from '../../src/stage1-vqgan/model.js';
import { loadModels, priorFor, recordTokenizer, tokensFor } from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { openTokenWriter } from '../../src/tokenize/token-file.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer, tinyConfig } from '../support/run.js';

afterAll(removeFolders);

const config = tinyConfig();
const modelOf = (run: string, step: number): string =>
  path.join(runPaths(run).stage1, `step-0000000${step}`, 'model.safetensors');

/** Two checkpoints of a tokenizer, and a prior and tokens of the newer one. */
async function trained(): Promise<string> {
  const run = await freshFolder();
  await saveTokenizer(run, config, { seed: 1, step: 1 });
  await saveTokenizer(run, config, { seed: 2, step: 2 });
  const state = { step: 4, seconds: 0, validated: 4, best: null, metrics: null };
  await saveCheckpoint(runPaths(run).prior, priorStart(priorFor(config), 0), state, 2);
  const { sha256 } = await loadModel(run, 'stage1');
  await recordTokenizer(run, sha256);
  const writer = await openTokenWriter(tokenFile(run, 'train'), gridsOf(config));
  await writer.finish({ tokenizer: sha256, size: 8, names: [], classes: ['all'] }, new Int32Array(0));
  return run;
}

async function flip(file: string): Promise<void> {
  const bytes = await fs.readFile(file);
  bytes[bytes.length - 5]! ^= 16;
  await fs.writeFile(file, bytes);
}

/** What is warned of, and what loading the models, and the tokens, ends with. */
async function told(run: string) {
  const warnings: string[] = [];
  const reporter = { warn: (line: string) => warnings.push(line) };
  const models = await loadModels(run, reporter).then(
    () => '',
    (error: Error) => error.message,
  );
  const tokenizer = await loadModel(run, 'stage1', { reporter: { warn: () => {} } });
  const tokens = await tokensFor(run, 'train', gridsOf(config), tokenizer).catch((e: Error) => e.message);
  return { warnings, models, tokens };
}

test('a damaged tokenizer is what is named, not a prior or tokens to be made anew', async () => {
  const run = await trained();
  expect((await told(run)).models).toBe('');
  await flip(modelOf(run, 2));
  const { warnings, models, tokens } = await told(run);
  const damaged = `${modelOf(run, 2)} is damaged (other bytes than were saved)`;
  expect(warnings).toEqual([`${damaged}: the checkpoint of step 1 is used in its place.`]);
  for (const said of [models, tokens]) {
    expect(said).toContain(`but received another, as ${damaged}. Put back a copy of that file`);
    expect(said).toContain(`or train that step again: vqgen train-stage1 --resume --run ${run}.`);
    expect(said).not.toMatch(/[Rr]emove|trained on after/);
  }
});

test('so it is once a training has set it aside, until it was trained past that step', async () => {
  const run = await trained();
  const { stage1 } = runPaths(run);
  await fs.rename(path.join(stage1, 'step-00000002'), path.join(stage1, 'damaged-step-00000002'));
  const { warnings, models } = await told(run);
  expect(warnings).toEqual([]);
  expect(models).toContain(
    'damaged-step-00000002/model.safetensors is damaged (set aside with its checkpoint)',
  );
  expect(models).toContain('train that step again');
  await saveTokenizer(run, config, { seed: 3, step: 3 });
  expect((await told(run)).models).toMatch(
    /Put back a copy of that file in place of .*step-00000003; else remove/,
  );
});

test('without damage it was trained on; without checksums that is not certain', async () => {
  const run = await trained();
  await saveTokenizer(run, config, { seed: 3, step: 3 });
  const { models, tokens } = await told(run);
  expect(models).toContain(
    `${run}, whose tokenizer was trained on after its prior. Remove ${runPaths(run).prior}`,
  );
  expect(tokens).toContain(`tokens of another one, or of an earlier step. Next: vqgen tokenize --run ${run}`);
  const state = { step: 3, seconds: 0, validated: 3, best: null, metrics: null };
  await fs.writeFile(modelOf(run, 3).replace('model.safetensors', 'state.json'), JSON.stringify(state));
  expect((await told(run)).models).toMatch(
    /trained on after its prior, or whose .*step-00000003.model\.safetensors is damaged: it has no checksum\. If it is, put back/,
  );
});

test('weights of another config are a sentence', async () => {
  const run = await trained();
  const file = runPaths(run).config;
  const saved = await fs.readFile(file, 'utf8');
  await fs.writeFile(file, saved.replace('"codes": 16', '"codes": 32'));
  await expect(loadModels(run)).rejects.toThrow(
    `Expected bottleneck.codebook [32,4] for ${modelOf(run, 2)} but received [16,4]. The run's config.json`,
  );
  await fs.writeFile(file, saved);
  await fs.writeFile(path.join(runPaths(run).prior, 'classes.json'), '["a","b"]');
  await expect(loadModels(run)).rejects.toThrow(
    /^Expected tokens\.weight \[19,8\] for .* but received \[17,8\]/,
  );
});
