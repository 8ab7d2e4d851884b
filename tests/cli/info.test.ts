import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeRunConfig } from '../../src/checkpoint/run.js';
import { sha256, writeSafetensors } from '../../src/checkpoint/safetensors.js';
import { saveCheckpoint } from '../../src/checkpoint/store.js';
import { describeRun } from '../../src/cli/info.js';
import { loadConfig } from '../../src/config/load.js';
import { recordClasses, recordTokenizer } from '../../src/stage2-transformer/model.js';

let run: string;
beforeEach(async () => {
  run = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-info-'));
  await writeRunConfig(run, loadConfig({ set: ['stage1.steps=8', 'prior.steps=8'] }));
});
afterEach(() => fs.rmSync(run, { recursive: true }));

const next = async (): Promise<string> => (await describeRun(run)).lines.at(-1)!;

const train = (stage: 'stage1' | 'prior', step: number, seconds = 61) =>
  saveCheckpoint(
    path.join(run, stage),
    { 'model.x': { dtype: 'float32', shape: [1], data: Float32Array.of(step) } },
    { step, seconds, validated: step, best: null, metrics: null },
    1,
  );

const tokenize = (tokenizer: string) =>
  writeSafetensors(
    path.join(run, 'tokens/train.safetensors'),
    {
      codes: { dtype: 'U16', shape: [3, 1, 2], data: new Uint16Array(6) },
      labels: { dtype: 'I32', shape: [3], data: new Int32Array(3) },
    },
    { tokenizer, vocab: '4' },
  );

test('the next command follows from what is there', async () => {
  expect(await next()).toBe(`Next: vqgen train-stage1 --resume --run ${run}`);
  await train('stage1', 4);
  expect(await next()).toBe(`Next: vqgen train-stage1 --resume --run ${run}`);
  const { path: folder } = await train('stage1', 8);
  expect(await next()).toBe(`Next: vqgen tokenize --run ${run}`);

  const present = await sha256(path.join(folder, 'model.safetensors'));
  fs.mkdirSync(path.join(run, 'tokens'));
  await tokenize(present);
  expect(await next()).toBe(`Next: vqgen train-prior --run ${run}`);
  await train('prior', 4);
  await recordTokenizer(run, present);
  expect(await next()).toBe(`Next: vqgen train-prior --resume --run ${run}`);
  await train('prior', 8);
  expect(await next()).toBe(`Next: vqgen sample --n 16 --run ${run}`);

  fs.rmSync(path.join(run, 'tokens'), { recursive: true });
  expect((await describeRun(run)).summary).toMatchObject({ next: `vqgen sample --n 16 --run ${run}` });

  await recordTokenizer(run, 'of another tokenizer');
  fs.mkdirSync(path.join(run, 'tokens'));
  await tokenize(present);
  const stale = await describeRun(run);
  expect(stale.lines.at(-1)).toBe(
    `Next: remove ${path.join(run, 'prior')}, then vqgen train-prior --run ${run}`,
  );
  expect(stale.lines).toContain('prior      step 8 of 8, 1 min 01 s (of an earlier tokenizer)');
  expect(stale.lines).not.toContainEqual(expect.stringMatching(/^\s*$/));
  expect(stale.summary).toMatchObject({ prior: { outdated: true }, next: `vqgen train-prior --run ${run}` });

  await tokenize('of another tokenizer');
  const { lines, summary } = await describeRun(run);
  expect(lines.at(-1)).toBe(`Next: vqgen tokenize --run ${run}`);
  expect(lines).toContain('tokens     train: 3 images (of an earlier tokenizer)');
  expect(summary).toMatchObject({ tokens: [{ split: 'train', images: 3, vocab: 4, outdated: true }] });
});

test('classes of the prior, which checkpoint is used, and several codings as one image', async () => {
  await writeRunConfig(run, loadConfig({ set: ['stage1.steps=8', 'prior.steps=8', 'prior.patience=2'] }));
  await train('stage1', 8);
  await train('prior', 2);
  await recordClasses(run, ['cat', 'dog']);
  const state = { step: 6, seconds: 61, validated: 6, best: { step: 2, value: 1 }, stale: 2, metrics: null };
  const tensors = { 'model.x': { dtype: 'float32', shape: [1], data: Float32Array.of(1) } } as const;
  await saveCheckpoint(path.join(run, 'prior'), tensors, state, 1);
  fs.mkdirSync(path.join(run, 'tokens'), { recursive: true });
  await writeSafetensors(
    path.join(run, 'tokens/train.safetensors'),
    {
      codes: { dtype: 'U16', shape: [6, 1, 2], data: new Uint16Array(12) },
      labels: { dtype: 'I32', shape: [6], data: new Int32Array(6) },
    },
    { tokenizer: 'x', vocab: '4', codings: '2' },
  );
  const { lines, summary } = await describeRun(run);
  expect(lines).toContain('prior      step 6 of 8, 1 min 01 s; the best, which is used, is of step 2');
  expect(lines).toContain('           2 classes: cat, dog');
  expect(summary).toMatchObject({
    classes: ['cat', 'dog'],
    tokens: [{ images: 3 }],
    prior: { step: 6, used: 2, finished: true },
  });
});

test('several grids of codes, by their names', async () => {
  const set = ['stage1.bottleneck.kind=hierarchy', 'stage1.bottleneck.levels=[{codes: 4}, {codes: 8}]'];
  await writeRunConfig(run, loadConfig({ set }));
  const [top, bottom] = [
    { name: 'top', height: 4, width: 4, vocab: 4 },
    { name: 'bottom', height: 8, width: 8, vocab: 8 },
  ];
  const zeros = (side: number) =>
    ({ dtype: 'U16', shape: [3, side, side], data: new Uint16Array(3 * side ** 2) }) as const;
  fs.mkdirSync(path.join(run, 'tokens'), { recursive: true });
  await writeSafetensors(
    path.join(run, 'tokens/train.safetensors'),
    {
      'codes.top': zeros(4),
      'codes.bottom': zeros(8),
      labels: { dtype: 'I32', shape: [3], data: new Int32Array(3) },
    },
    { tokenizer: 'x', grids: JSON.stringify([top, bottom]) },
  );
  const { lines, summary } = await describeRun(run);
  expect(lines[0]).toMatch(/4 × 4 tokens of 4 codes \(top\) and 8 × 8 tokens of 8 codes \(bottom\)$/);
  const tokens = [{ images: 3, vocab: 8, height: 8, width: 8, grids: [top, bottom] }];
  expect(summary).toMatchObject({ tokens });
});

test('a run that was handed on: whose folder of images it was, and no time', async () => {
  const file = path.join(run, 'config.json');
  const config = JSON.parse(fs.readFileSync(file, 'utf8'));
  const saveDir = (dir: string | null) =>
    fs.writeFileSync(file, JSON.stringify({ ...config, data: { ...config.data, dir } }));
  const first = async () => (await describeRun(run)).lines[0];
  saveDir('photos/train');
  expect(await first()).toContain(`${run}: images of photos/train, where it was trained, 32 × 32 pixels`);
  saveDir('/photos/train');
  expect(await first()).toContain(`${run}: /photos/train, 32 × 32 pixels`);
  saveDir(null);
  expect(await first()).toContain(`${run}: built-in pictures, 32 × 32 pixels`);

  await train('stage1', 8, 0);
  expect((await describeRun(run)).lines).toContain('tokenizer  step 8 of 8');
});
