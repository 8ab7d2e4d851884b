import fs from 'node:fs/promises';
import path from 'node:path';
import { type Reporter, silent } from '../../src/base/progress.js';
import { readChecked } from '../../src/checkpoint/content-sum.js';
import { readRunConfig, runPaths, tokenFile } from '../../src/checkpoint/run.js';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.js';
import { copyWeights, latestCheckpoint, loadModel, readState } from '../../src/checkpoint/store.js';
import type { Config } from '../../src/config/schema.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { loadModels, priorClasses, priorFor } from '../../src/stage2-transformer/model.js';
import { canvasOf, labelled } from '../../src/stage2-transformer/sequences.js';
import { priorEvaluation } from '../../src/stage2-transformer/step.js';
import { trainPrior } from '../../src/stage2-transformer/train.js';
import { readTokens } from '../../src/tokenize/token-file.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import type { Budget } from '../../src/train/budget.js';
import { readMetrics } from '../../src/train/metrics.js';
import { saveTokenizer, temporaryFolder, tinyConfig } from '../support/run.js';

let root: string;
let device: Device;
const settings = {
  steps: 4,
  log_every: 2,
  eval_every: 2,
  checkpoint_every: 2,
  schedule: 'constant',
  dropout: 0.1,
  batch_size: 3,
};
const config = tinyConfig({ ...settings, pkeep: 0.9 });

beforeAll(async () => {
  root = await temporaryFolder();
  device = await openDevice({ device: 'tfjs', reporter: silent });
  await tokenized('origin', config);
});
afterAll(() => fs.rm(root, { recursive: true }));

async function tokenized(name: string, of: Config): Promise<string> {
  const run = path.join(root, name);
  await saveTokenizer(run, of);
  await tokenize({ run, device, reporter: silent });
  return run;
}

/** A copy of the run whose tokens are ready. */
async function copyOfRun(name: string): Promise<string> {
  const run = path.join(root, name);
  await fs.cp(path.join(root, 'origin'), run, { recursive: true });
  return run;
}

const train = (
  run: string,
  o: {
    config?: Config;
    resume?: boolean;
    budget?: Budget;
    reporter?: Reporter;
    signal?: AbortSignal;
  } = {},
) => trainPrior({ config, run, resume: false, device, reporter: silent, ...o });

function stopper() {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}

const weights = (run: string) =>
  readSafetensors(path.join(runPaths(run).prior, 'step-00000004', 'model.safetensors'));

test('trains, validates, saves, and says how good it is', async () => {
  const run = await copyOfRun('whole');
  const notes: string[] = [];
  const result = await train(run, { reporter: { ...silent, note: (line) => notes.push(line) } });
  expect(result).toMatchObject({ step: 4, stopped: false });
  const lines = await readMetrics(path.join(runPaths(run).prior, 'metrics.jsonl'));
  expect(lines.map(({ step, split }) => `${step} ${split}`)).toEqual([
    '1 train',
    '2 train',
    '2 val',
    '4 train',
    '4 val',
  ]);
  for (const line of lines) {
    expect(line.bits_per_token as number).toBeCloseTo((line.loss as number) / Math.LN2, 3);
    expect('tokens_per_second' in line).toBe(line.split === 'train');
  }
  expect(notes.join('\n')).toMatch(/4\.00 bits per token \(log₂ of 16 codes\)/);
  expect(notes.join('\n')).toMatch(/entropy of their histogram/);
  expect((await train(run)).step).toBe(4); // finished: says so and does nothing
});

test('with a budget the config has the steps that were planned', async () => {
  const run = await copyOfRun('planned');
  const { signal, abort } = stopper();
  const note = (line: string) => {
    if (line.startsWith('Planned for 20 s: ')) abort();
  };
  const budget = { seconds: 20, spent: () => -1000 };
  const { stopped } = await train(run, { budget, signal, reporter: { ...silent, note } });
  expect(stopped).toBe(true);
  const { steps, eval_every, checkpoint_every } = readRunConfig(run).prior;
  expect(steps).toBeGreaterThanOrEqual(20);
  const tenth = Math.ceil(steps / 10);
  expect([eval_every, checkpoint_every]).toEqual([tenth, tenth]);
});

test('the validation loss is the mean over all validation sequences', async () => {
  const run = path.join(root, 'whole');
  const lines = await readMetrics(path.join(runPaths(run).prior, 'metrics.jsonl'));
  const { tensors } = await loadModel(run, 'prior');
  const model = Object.fromEntries(Object.entries(tensors).map(([name, t]) => [`model.${name}`, t]));
  const classes = priorClasses(run);
  expect(classes.length).toBeGreaterThan(5);
  const prior = priorFor(config, classes);
  const one = await device.prepare(priorEvaluation(prior, 1));
  const val = await readTokens(tokenFile(run, 'val'), '');
  const set = labelled(val, classes);
  expect(val.count % config.prior.batch_size).not.toBe(0); // the last batch is padded
  let sum = 0;
  for (let i = 0; i < val.count; i++) {
    const { batched } = prior.feed('eval', i, canvasOf(set, [i]));
    sum += (await one.run({ ...model, ...batched })).loss!.data[0]!;
  }
  expect(lines.at(-1)!.loss as number).toBeCloseTo(sum / val.count, 4);
});

test('a resumed run has the weights of one that was not interrupted', async () => {
  const run = await copyOfRun('in two parts');
  await train(run, { config: tinyConfig({ ...settings, pkeep: 0.9, steps: 2 }) });
  await train(run, { resume: true });
  expect(await weights(run)).toEqual(await weights(path.join(root, 'whole')));
});

test('weights alone are trained on by a rate that rises anew, and by moments that count from there', async () => {
  const run = await copyOfRun('weights alone');
  const rising = (steps: number) => tinyConfig({ ...settings, warmup: 2, steps });
  await train(run, { config: rising(4) });
  const folder = runPaths(run).prior;
  await copyWeights(latestCheckpoint(folder)!, folder);
  const fed: number[][] = [];
  const spying: Device = {
    ...device,
    async prepareStep(program) {
      const runner = await device.prepareStep(program);
      const take = runner.run.bind(runner);
      runner.run = (steps) => {
        fed.push(...steps.map(({ step, lr }) => [step!.data[0]!, lr!.data[0]!]));
        return take(steps);
      };
      return runner;
    },
  };
  const notes: string[] = [];
  const reporter = { ...silent, note: (text: string) => void notes.push(text) };
  for (const steps of [5, 7])
    await trainPrior({ config: rising(steps), run, device: spying, resume: true, reporter });
  expect(notes.filter((note) => note.includes('rises anew'))).toHaveLength(1);
  const lr = Math.fround(0.01);
  expect(fed).toEqual([lr / 2, lr, lr].map((rate, i) => [1 + i, rate]));
  expect(readState(latestCheckpoint(folder)!)).toMatchObject({ step: 7, moments_since: 4 });
});

describe('classes', () => {
  test('without them the prior is as it was before there were any, and a run from then goes on', async () => {
    const run = await copyOfRun('no classes');
    const none = (o: object = {}) => tinyConfig({ ...settings, class_labels: 'none', ...o });
    await train(run, { config: none() });
    expect(priorClasses(run)).toEqual([]);
    expect((await weights(run)).tensors['model.tokens.weight']!.shape).toEqual([17, 8]);

    const old = await copyOfRun('old');
    await train(old, { config: none({ steps: 2 }) });
    await fs.rm(path.join(runPaths(old).prior, 'classes.json'));
    const written = JSON.parse(await fs.readFile(runPaths(old).config, 'utf8'));
    for (const key of ['class_labels', 'class_dropout', 'patience']) delete written.prior[key];
    delete written.tokenize;
    await fs.writeFile(runPaths(old).config, JSON.stringify(written));
    await train(old, { config: tinyConfig(settings), resume: true });
    expect(await weights(old)).toEqual(await weights(run));
    const { prior } = await loadModels(old);
    expect(prior).toMatchObject({ classes: [], model: { condition: { classes: [] } } });
  });

  test('of fewer than two nothing is learned', async () => {
    const run = await copyOfRun('one class');
    const file = tokenFile(run, 'train');
    const { tensors, metadata } = await readChecked(file);
    tensors.labels!.data.fill(0 as never);
    await writeSafetensors(file, tensors, metadata);
    await train(run);
    expect(priorClasses(run)).toEqual([]);
  });

  test('other ones cannot come in later', async () => {
    const run = await copyOfRun('other classes');
    await train(run, { config: tinyConfig({ ...settings, pkeep: 0.9, steps: 2 }) });
    const file = tokenFile(run, 'train');
    const { tensors, metadata } = await readChecked(file);
    const classes = JSON.parse(metadata.classes!).map((name: string) => (name === 'cat' ? 'dog' : name));
    await writeSafetensors(file, tensors, { ...metadata, classes: JSON.stringify(classes) });
    await expect(train(run, { resume: true })).rejects.toThrow(
      /^Expected the classes that the prior began with \(.*cat.*\) for .*train\.safetensors but received dog\. Train another/,
    );
  });
});

describe('a prior that ended early', () => {
  /** It does not learn, so that no validation is better than the first. */
  const still = { ...settings, steps: 20, dropout: 0, lr: 1e-30, patience: 2 };
  const notes: string[] = [];
  const reporter: Reporter = { ...silent, note: (line) => notes.push(line) };

  test('says so and which step it keeps; a resume says that it is finished', async () => {
    const run = await copyOfRun('early');
    const result = await train(run, { config: tinyConfig(still), reporter });
    expect(result).toMatchObject({ step: 6, stopped: false, best: { step: 2 } });
    expect(notes.join('\n')).toMatch(/Ended early at step 6: 2 validations in a row .* step 2/);
    expect((await fs.readFile(path.join(runPaths(run).prior, 'latest'), 'utf8')).trim()).toBe(
      'step-00000006',
    );
    expect((await loadModels(run)).prior.step).toBe(2);
    notes.length = 0;
    for (const resume of [true, false]) {
      expect(await train(run, { config: tinyConfig(still), resume, reporter })).toMatchObject({ step: 6 });
    }
    expect(notes[0]).toMatch(
      /is finished: it ended early at step 6 of 20, 2 validations after its best at step 2\..*prior\.patience=0/,
    );
    expect(notes).toHaveLength(2);
    expect(await train(run, { config: tinyConfig({ ...still, patience: 0 }), resume: true })).toMatchObject({
      step: 20,
    });
  });
});

test('missing tokens, tokens of another tokenizer, a tokenizer trained on', async () => {
  const run = await copyOfRun('mistakes');
  await train(run, { config: tinyConfig({ ...settings, pkeep: 0.9, steps: 2 }) });

  await saveTokenizer(run, config, { seed: 9, step: 2 });
  await expect(train(run, { resume: true })).rejects.toThrow(
    /Expected tokens of the tokenizer in .* but received tokens of another one.*vqgen tokenize/,
  );
  await tokenize({ run, device, reporter: silent });
  await expect(train(run, { resume: true })).rejects.toThrow(/Expected a prior for the present tokenizer/);

  const ended = tinyConfig({ ...settings, pkeep: 0.9, steps: 2 });
  await expect(train(run, { config: ended, resume: true })).rejects.toThrow(
    /Expected a prior for the present tokenizer/,
  );
  const classes = path.join(runPaths(run).prior, 'classes.json');
  for (const content of ['{', '{}', '[1]']) {
    await fs.writeFile(classes, content);
    expect(() => priorClasses(run)).toThrow(
      /^Expected the JSON that vqgen saved for .*classes\.json but received something else\. .*vqgen train-prior/,
    );
  }

  await fs.rm(runPaths(run).prior, { recursive: true });
  const file = tokenFile(run, 'val');
  const { tensors, metadata } = await readChecked(file);
  await writeSafetensors(file, tensors, { ...metadata, vocab: '32' });
  await expect(train(run)).rejects.toThrow(
    /Expected 2×2 codes of 16 for .*val\.safetensors but received 2×2 codes of 32/,
  );
  await fs.rm(file);
  await expect(train(run)).rejects.toThrow(
    /Expected a token file for .*val\.safetensors but received no such file/,
  );
  expect(await fs.readdir(run)).not.toContain('prior');
});
