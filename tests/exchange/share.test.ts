/** A run to hand on draws and reconstructs what the whole run does. */
import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import { silent } from '../../src/base/progress.js';
import { runPaths } from '../../src/checkpoint/run.js';
import { readSafetensors } from '../../src/checkpoint/safetensors.js';
import { loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import type { Config } from '../../src/config/schema.js';
import { openDevice } from '../../src/engine/index.js';
import { exportRunFolder } from '../../src/exchange/share.js';
import { sample } from '../../src/sample/sample.js';
import {
  checkTokenizer,
  gptSizes,
  priorClasses,
  recordClasses,
  recordTokenizer,
} from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer, tinyConfig } from '../support/run.js';

afterAll(removeFolders);

/** A tokenizer and a prior of two classes, of random weights; the prior's second checkpoint is no better than its first. */
async function runWithPrior(config: Config): Promise<string> {
  const run = await freshFolder();
  await saveTokenizer(run, config);
  await recordTokenizer(run, (await loadModel(run, 'stage1')).sha256);
  await recordClasses(run, ['a', 'b']);
  for (const step of [1, 2]) {
    const tensors = priorStart(gptSizes(config, 2), config.seed + step);
    const saved = { step, seconds: 0, validated: step, best: { step: 1, value: 2 }, metrics: null };
    await saveCheckpoint(runPaths(run).prior, tensors, saved, 2);
  }
  return run;
}

async function drawn(run: string): Promise<Buffer> {
  const device = await openDevice({ device: 'cpu', reporter: silent });
  const { grid } = await sample({ run, n: 4, device, reporter: silent });
  return readFileSync(grid);
}

test('in float32 it draws the same pictures; in half precision it is half as large', async () => {
  const config = tinyConfig({}, { dir: path.join('/somewhere', 'private', 'photos', 'train') });
  const run = await runWithPrior(config);
  const [whole, half] = [await freshFolder(), await freshFolder()];
  const { bytes } = await exportRunFolder({ run, out: whole });
  const small = await exportRunFolder({ run, out: half, precision: 'f16' });
  expect(small).toMatchObject({ to: 'run', prior: true, precision: 'f16' });
  expect(small.bytes).toBeLessThan(bytes);

  expect(await drawn(whole)).toEqual(await drawn(run));
  expect((await drawn(half)).length).toBeGreaterThan(0);

  const written = JSON.parse(readFileSync(runPaths(whole).config, 'utf8'));
  expect(written).toMatchObject({ data: { dir: 'photos/train' }, stage1: { ema: 0 } });
  expect(priorClasses(half)).toEqual(['a', 'b']);
  const tokenizer = await loadModel(half, 'stage1');
  expect(() => checkTokenizer(half, tokenizer.sha256)).not.toThrow();
  expect((await loadModel(half, 'prior')).step).toBe(1);
  const { tensors } = await readSafetensors(path.join(tokenizer.path, 'model.safetensors'));
  const averaged = (await loadModel(run, 'stage1')).tensors;
  expect(Object.keys(tensors)).toEqual(
    expect.arrayContaining(Object.keys(averaged).map((name) => `model.${name}`)),
  );
});

test('an export replaces an export, not a run', async () => {
  const run = await runWithPrior(tinyConfig());
  const out = path.join(await freshFolder(), 'out');
  await exportRunFolder({ run, out });
  await exportRunFolder({ run, out, precision: 'f16' });
  await expect(exportRunFolder({ run: out, out })).rejects.toThrow('Expected another folder than --run for');
  await expect(exportRunFolder({ run: out, out: run })).rejects.toThrow(/prior, which holds step-0+2\./);
  for (const left of ['stage1/metrics.jsonl', 'prior/grids', 'tokens', 'samples']) {
    mkdirSync(path.join(out, left));
    const refused = exportRunFolder({ run, out });
    await expect(refused).rejects.toThrow(`which holds ${path.basename(left)}. Name another --out.`);
    rmdirSync(path.join(out, left));
  }
});
