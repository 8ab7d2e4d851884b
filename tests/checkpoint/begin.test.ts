import fs from 'node:fs/promises';
import path from 'node:path';
import { version } from '../../src/base/root.js';
import { float32 } from '../../src/base/tensor.js';
import { beginStage, differences } from '../../src/checkpoint/begin.js';
import { readRunConfig, type StageName, writeRunConfig } from '../../src/checkpoint/run.js';
import { latestCheckpoint, saveCheckpoint } from '../../src/checkpoint/store.js';
import { parseConfig } from '../../src/config/layers.js';
import type { Config } from '../../src/config/schema.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const config = (o: { stage1?: object; prior?: object; seed?: number } = {}): Config =>
  parseConfig(
    { seed: o.seed ?? 0, stage1: { steps: 100, ...o.stage1 }, prior: { steps: 50, ...o.prior } },
    'test',
  );

/** A run whose stage stands at a step. */
async function runAt(stage: StageName, step?: number, validated = step): Promise<string> {
  const run = await freshFolder();
  await writeRunConfig(run, config());
  if (step === undefined) return run;
  const state = { step, seconds: 0, validated: validated!, best: null, metrics: null };
  await saveCheckpoint(path.join(run, stage), { 'model.w': float32([1]) }, state, 2);
  return run;
}

const begin = (run: string, o: { stage?: StageName; config?: Config; resume?: boolean } = {}) => {
  const { stage = 'stage1' } = o;
  const newest = latestCheckpoint(path.join(run, stage));
  return beginStage({ run, stage, config: config(), resume: false, newest, ...o });
};

test('config.json carries the version and comes back', async () => {
  const run = await runAt('stage1');
  expect(JSON.parse(await fs.readFile(path.join(run, 'config.json'), 'utf8')).vqgen).toBe(version);
  expect(readRunConfig(run)).toEqual(config());
});

test('what a run of before a key had, it keeps: 32 groups, GELU', async () => {
  const run = await runAt('stage1');
  const file = path.join(run, 'config.json');
  const saved = JSON.parse(await fs.readFile(file, 'utf8'));
  delete saved.stage1.norm_groups;
  delete saved.prior.mlp;
  await fs.writeFile(file, JSON.stringify(saved));
  const { stage1, prior } = readRunConfig(run);
  expect([stage1.norm_groups, prior.mlp]).toEqual([32, 'gelu']);
  expect([config().stage1.norm_groups, config().prior.mlp]).toEqual([8, 'relu2']);
  // Keys of other kinds were saved too, with their defaults of then.
  for (const [kind, mlp] of [
    ['pixelcnn', 'relu2'],
    ['maskgit', 'gelu'],
  ]) {
    await fs.writeFile(file, JSON.stringify({ ...saved, prior: { ...saved.prior, kind, mlp: 'gelu' } }));
    expect(readRunConfig(run).prior).toMatchObject({ kind, mlp });
  }
});

test('no run, no config, a damaged config', async () => {
  const run = await freshFolder();
  expect(() => readRunConfig(path.join(run, 'none'))).toThrow(
    /which does not exist\. .*Train a tokenizer first/,
  );
  expect(() => readRunConfig(run)).toThrow(/which holds no config\.json\. .*Train a tokenizer first/);
  await fs.writeFile(path.join(run, 'config.json'), '{');
  expect(() => readRunConfig(run)).toThrow('Expected the JSON that vqgen saved');
  expect(() => begin(path.join(run, 'none'), { stage: 'prior' })).toThrow('which does not exist');
});

test('nothing to go on with is an error that names what is near; a run without a checkpoint starts afresh', async () => {
  const run = await runAt('stage1');
  expect(begin(run, { resume: true }).kind).toBe('fresh');
  const near = (name: string) => path.join(path.dirname(run), name);
  const typo = `${run}x`;
  expect(() => begin(typo, { resume: true })).toThrow(
    `Expected a training to go on with for --run but received ${typo}, which does not exist. Did you mean ${run}? To start a new one there, leave --resume out.`,
  );
  const other = await freshFolder();
  const inner = path.join(other, 'runs', 'first');
  await writeRunConfig(inner, config());
  expect(() => begin(path.join(other, 'runs'), { resume: true })).toThrow(
    `which holds no config.json. Near it: ${inner}`,
  );
  await writeRunConfig(path.join(other, 'runs', 'second'), config());
  expect(() => begin(path.join(other, 'runs', 'photographs-64'), { resume: true })).toThrow(
    `which does not exist. Near it: ${inner}, ${path.join(other, 'runs', 'second')}`,
  );
  expect(() => begin(path.join(other, 'runs', 'frist'), { stage: 'prior' })).toThrow(
    `Expected a run folder for --run but received ${path.join(other, 'runs', 'frist')}, which does not exist. Did you mean ${inner}?`,
  );
  expect(() => begin(near('none/at/all'), { resume: true })).toThrow(/does not exist\. .*leave --resume out/);
});

test('a file where the run would be', async () => {
  const file = path.join(await freshFolder(), 'file');
  await fs.writeFile(file, '');
  for (const run of [file, path.join(file, 'a', 'run')]) {
    expect(() => begin(run)).toThrow(`for --run but received ${run}, where ${file} is a file.`);
  }
});

test('a file where the stage would be', async () => {
  const run = await runAt('stage1');
  await fs.writeFile(path.join(run, 'stage1'), '');
  expect(() => begin(run, { resume: true })).toThrow(
    `Expected a folder for --run but received ${path.join(run, 'stage1')}, where ${path.join(run, 'stage1')} is a file.`,
  );
});

describe('a prior that ended early', () => {
  async function early(patience: number): Promise<string> {
    const run = await freshFolder();
    await writeRunConfig(run, config({ prior: { patience } }));
    const state = {
      step: 30,
      seconds: 0,
      validated: 30,
      best: { step: 10, value: 1 },
      stale: 2,
      metrics: null,
    };
    await saveCheckpoint(path.join(run, 'prior'), { 'model.w': float32([1]) }, state, 2);
    return run;
  }

  test('is finished, resumed or not, until it is given more patience', async () => {
    const run = await early(2);
    const at = (patience: number, resume: boolean) =>
      begin(run, { stage: 'prior', config: config({ prior: { patience } }), resume });
    expect(at(2, false).kind).toBe('finished');
    expect(at(2, true).kind).toBe('finished');
    expect(at(3, true).kind).toBe('resume');
    expect(at(0, true).kind).toBe('resume');
    expect(() => at(3, false)).toThrow('a training at step 30 of 50');
  });

  test('is not where its patience was not over', async () => {
    const run = await early(3);
    expect(
      begin(run, { stage: 'prior', config: config({ prior: { patience: 3 } }), resume: true }).kind,
    ).toBe('resume');
  });
});

describe('without --resume', () => {
  test('starts where nothing stands, even with another config', async () => {
    expect(begin(path.join(await freshFolder(), 'none')).kind).toBe('fresh');
    expect(begin(await runAt('stage1'), { config: config({ stage1: { ch: 64 } }) }).kind).toBe('fresh');
    expect(begin(await runAt('stage1', 100), { stage: 'prior' }).kind).toBe('fresh');
  });

  test('reports a finished stage with the same config', async () => {
    expect(begin(await runAt('stage1', 100))).toMatchObject({ kind: 'finished', checkpoint: { step: 100 } });
    expect(begin(await runAt('prior', 50), { stage: 'prior' }).kind).toBe('finished');
  });

  test('another prior config does not matter to stage 1', async () => {
    expect(begin(await runAt('stage1', 100), { config: config({ prior: { width: 64 } }) }).kind).toBe(
      'finished',
    );
  });

  test.each([
    ['unfinished', 60, {}, 'a training at step 60 of 100'],
    ['finished with fewer steps', 100, { stage1: { steps: 200 } }, 'a training at step 100 of 200'],
    [
      'finished with another key',
      100,
      { stage1: { beta: 1 } },
      'a finished training with another stage1.beta',
    ],
    ['finished with another seed', 100, { seed: 5 }, 'a finished training with another seed'],
  ])('refuses what is in the way: %s', async (_, step, change, message) => {
    const run = await runAt('stage1', step);
    const attempt = () => begin(run, { config: config(change) });
    expect(attempt).toThrow(message);
    expect(attempt).toThrow('Go on with it by --resume, or train elsewhere with another --run.');
  });

  test('refuses what was killed before its first checkpoint', async () => {
    const run = await runAt('stage1');
    await fs.mkdir(path.join(run, 'stage1'));
    expect(begin(run).kind).toBe('fresh');
    await fs.writeFile(path.join(run, 'stage1', 'metrics.jsonl'), '');
    expect(() => begin(run)).toThrow('--resume');
    expect(begin(run, { resume: true }).kind).toBe('fresh');
  });
});

describe('with --resume', () => {
  const resume = (run: string, change: Parameters<typeof config>[0] = {}, stage: StageName = 'stage1') =>
    begin(run, { stage, config: config(change), resume: true });

  test('starts, goes on, or reports the end', async () => {
    expect(resume(await runAt('stage1')).kind).toBe('fresh');
    expect(resume(await runAt('stage1', 60))).toMatchObject({ kind: 'resume', checkpoint: { step: 60 } });
    expect(resume(await runAt('stage1', 100)).kind).toBe('finished');
    expect(resume(await runAt('stage1', 100), { stage1: { steps: 80 } }).kind).toBe('finished');
  });

  test('goes on to a larger total, with other cadences and rate', async () => {
    const cadence = { log_every: 1, eval_every: 2, checkpoint_every: 3, keep: 4 };
    const change = { steps: 200, lr: 1e-5, accumulate: 2, ...cadence };
    expect(resume(await runAt('stage1', 100), { stage1: change }).kind).toBe('resume');
    expect(resume(await runAt('prior', 50), { prior: change }, 'prior').kind).toBe('resume');
  });

  test('goes on when the last step is saved but not validated', async () => {
    expect(resume(await runAt('stage1', 100, 50)).kind).toBe('resume');
  });

  test.each([
    ['stage1', { stage1: { ch: 64 } }, 'Expected 32, as in', 'for stage1.ch but received 64.'],
    ['stage1', { seed: 3 }, 'Expected 0, as in', 'for seed but received 3.'],
    ['stage1', { stage1: { disc: { start: 0.9 } } }, 'Expected 0.', 'for stage1.disc.start'],
    ['prior', { prior: { width: 128 } }, 'Expected 256, as in', 'for prior.width but received 128.'],
  ] as const)('refuses another meaning: %s %j', async (stage, change, wanted, received) => {
    const run = await runAt(stage, 40);
    const attempt = () => resume(run, change, stage);
    expect(attempt).toThrow(wanted);
    expect(attempt).toThrow(received);
  });
});

test("the refusal names what the stage may change: patience is the prior's", async () => {
  const rest = 'lr, accumulate, precision, log_every, checkpoint_every, eval_every, keep';
  const [stage1, prior] = [await runAt('stage1', 40), await runAt('prior', 40)];
  const given = config({ seed: 3 });
  expect(() => begin(stage1, { config: given, resume: true })).toThrow(
    `--resume changes only steps, ${rest}.`,
  );
  const other = config({ prior: { width: 128 } });
  expect(() => begin(prior, { stage: 'prior', config: other, resume: true })).toThrow(
    `--resume changes only steps, patience, ${rest}.`,
  );
});

test('the prior refuses a config of another tokenizer', async () => {
  const run = await runAt('stage1', 100);
  expect(() => begin(run, { stage: 'prior', config: config({ stage1: { codes: 512 } }) })).toThrow(
    /^Expected 256, which the tokenizer in .* was trained with, for stage1\.codes but received 512\./,
  );
});

test('differences are dotted leaves; lists are leaves', () => {
  expect(differences({ a: { b: 1, c: [1, 2] }, d: null }, { a: { b: 1, c: [1, 3] }, d: 'x' })).toEqual([
    { key: 'a.c', saved: [1, 2], given: [1, 3] },
    { key: 'd', saved: null, given: 'x' },
  ]);
});
