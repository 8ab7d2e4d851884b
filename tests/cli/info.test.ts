import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeRunConfig } from '../../src/checkpoint/run.js';
import { writeSafetensors } from '../../src/checkpoint/safetensors.js';
import { saveCheckpoint } from '../../src/checkpoint/store.js';
import { describeRun } from '../../src/cli/info.js';
import { loadConfig } from '../../src/config/load.js';

let run: string;
beforeEach(async () => {
  run = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-info-'));
  await writeRunConfig(run, loadConfig({ set: ['stage1.steps=8', 'prior.steps=8'] }));
});
afterEach(() => fs.rmSync(run, { recursive: true }));

const next = async (): Promise<string> => (await describeRun(run)).lines.at(-1)!;

const train = (stage: 'stage1' | 'prior', step: number) =>
  saveCheckpoint(
    path.join(run, stage),
    { 'model.x': { dtype: 'float32', shape: [1], data: Float32Array.of(step) } },
    { step, seconds: 61, validated: step, best: null, metrics: null },
    1,
  );

const tokenize = (tokenizer: string) =>
  writeSafetensors(
    path.join(run, 'tokens/train.safetensors'),
    { codes: { dtype: 'U16', shape: [3, 1, 2], data: new Uint16Array(6) } },
    { tokenizer, vocab: '4' },
  );

test('the next command follows from what is there', async () => {
  expect(await next()).toBe(`Next: vqgen train-stage1 --resume --run ${run}`);
  await train('stage1', 4);
  expect(await next()).toBe(`Next: vqgen train-stage1 --resume --run ${run}`);
  const { path: folder } = await train('stage1', 8);
  expect(await next()).toBe(`Next: vqgen tokenize --run ${run}`);

  const { createHash } = await import('node:crypto');
  const model = fs.readFileSync(path.join(folder, 'model.safetensors'));
  fs.mkdirSync(path.join(run, 'tokens'));
  await tokenize(createHash('sha256').update(model).digest('hex'));
  expect(await next()).toBe(`Next: vqgen train-prior --run ${run}`);
  await train('prior', 4);
  expect(await next()).toBe(`Next: vqgen train-prior --resume --run ${run}`);
  await train('prior', 8);
  expect(await next()).toBe(`Next: vqgen sample --n 16 --run ${run}`);

  await tokenize('of another tokenizer');
  const { lines, summary } = await describeRun(run);
  expect(lines.at(-1)).toBe(`Next: vqgen tokenize --run ${run}`);
  expect(lines).toContain('tokens     train: 3 images (of an earlier tokenizer)');
  expect(summary).toMatchObject({ tokens: [{ split: 'train', images: 3, vocab: 4, outdated: true }] });
});
