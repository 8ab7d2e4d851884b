/** A run to hand on draws and reconstructs what the whole run does. */
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { silent as reporter } from '../../src/base/progress.js';
import { readRunConfig, runPaths, type StageName, writeRunConfig } from '../../src/checkpoint/run.js';
import { readSafetensors } from '../../src/checkpoint/safetensors.js';
import { latestCheckpoint, loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import type { Config } from '../../src/config/schema.js';
import { openDevice } from '../../src/engine/index.js';
import { exportRunFolder } from '../../src/exchange/share.js';
import { loadTrained } from '../../src/perceptual/load.js';
import { readGiven } from '../../src/sample/like.js';
import { sample } from '../../src/sample/sample.js';
import {
  checkTokenizer,
  priorClasses,
  priorFor,
  recordClasses,
  recordTokenizer,
} from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer, tinyConfig } from '../support/run.js';
import { numbersRun } from './numbers-run.js';

afterAll(removeFolders);

/**
 * A tokenizer and a prior of two classes, of random weights; the prior's second checkpoint is no better than its
 * first.
 */
async function runWithPrior(config: Config): Promise<string> {
  const run = await freshFolder();
  await saveTokenizer(run, config);
  await recordTokenizer(run, (await loadModel(run, 'stage1')).sha256);
  await recordClasses(run, ['a', 'b']);
  for (const step of [1, 2]) {
    const tensors = priorStart(priorFor(config, ['a', 'b']), config.seed + step);
    const saved = { step, seconds: 0, validated: step, best: { step: 1, value: 2 }, metrics: null };
    await saveCheckpoint(runPaths(run).prior, tensors, saved, 2);
  }
  return run;
}

/** Of the only checkpoint, without the file's header. */
function weightBytes(run: string, stage: StageName): number {
  const file = readFileSync(path.join(latestCheckpoint(runPaths(run)[stage])!.path, 'model.safetensors'));
  return file.length - 8 - Number(file.readBigUInt64LE());
}

async function drawn(run: string) {
  const device = await openDevice({ device: 'cpu', reporter });
  const { grid } = await sample({ run, n: 4, device, reporter });
  const { picture, recipe } = await readGiven(grid);
  return { pixels: picture.data, weights: recipe.weights };
}

test('in float32 it draws the same pictures; in half precision nearly the same from half the bytes', async () => {
  const config = tinyConfig({}, { dir: path.join('/somewhere', 'private', 'photos', 'train') });
  const run = await runWithPrior(config);
  const [whole, half] = [await freshFolder(), await freshFolder()];
  await exportRunFolder({ run, out: whole, reporter });
  const small = await exportRunFolder({ run, out: half, precision: 'f16', reporter });
  expect(small).toMatchObject({ to: 'run', prior: true, precision: 'f16' });
  for (const stage of ['stage1', 'prior'] as const)
    expect(weightBytes(half, stage) / weightBytes(whole, stage)).toBe(0.5);

  const exact = await drawn(whole);
  expect(exact).toEqual(await drawn(run));

  const near = await drawn(half);
  const farthest = exact.pixels.reduce((most, v, i) => Math.max(most, Math.abs(v - near.pixels[i]!)), 0);
  expect(near.weights).not.toEqual(exact.weights);
  expect(farthest).toBeLessThanOrEqual(2); // of 255; the same codes are drawn

  const written = JSON.parse(readFileSync(runPaths(whole).config, 'utf8'));
  expect(written).toMatchObject({ data: { dir: 'photos/train' }, stage1: { ema: 0 } });
  expect(priorClasses(half)).toEqual(['a', 'b']);
  const tokenizer = await loadModel(half, 'stage1');
  expect(() => checkTokenizer(half, tokenizer)).not.toThrow();
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
  await exportRunFolder({ run, out, reporter });
  await exportRunFolder({ run, out, precision: 'f16', reporter });
  await expect(exportRunFolder({ run: out, out, reporter })).rejects.toThrow(
    'Expected another folder than --run for',
  );
  await expect(exportRunFolder({ run: out, out: run, reporter })).rejects.toThrow(
    /prior, which holds step-0+2\./,
  );
  for (const left of ['stage1/metrics.jsonl', 'prior/grids', 'tokens', 'samples']) {
    mkdirSync(path.join(out, left));
    const refused = exportRunFolder({ run, out, reporter });
    await expect(refused).rejects.toThrow(`which holds ${path.basename(left)}. Name another --out.`);
    rmdirSync(path.join(out, left));
  }
});

test('a perceptual network from a file goes along; where the file is gone, vqgen’s own takes its place', async () => {
  const config = tinyConfig();
  const file = path.join(await freshFolder(), 'private.safetensors');
  copyFileSync('checkpoints/perceptual/perceptual.safetensors', file);
  const run = await runWithPrior(config);
  const own = { ...config.stage1, perceptual: { kind: 'vqgen' as const, weight: 1, weights: file } };
  await writeRunConfig(run, { ...config, stage1: own });
  const moved = path.join(await freshFolder(), 'moved');
  const first = path.join(await freshFolder(), 'out');
  await exportRunFolder({ run, out: first, precision: 'f16', reporter });
  renameSync(first, moved);
  expect(readFileSync(runPaths(moved).config, 'utf8')).not.toContain('private');
  const shared = readRunConfig(moved);
  expect(shared.stage1.perceptual.weights).toBe(path.join(moved, 'perceptual.safetensors'));
  expect((await loadTrained(shared.stage1.perceptual.weights!)).weights).toEqual(
    (await loadTrained()).weights,
  );

  rmSync(file);
  const warnings: string[] = [];
  const large = tinyConfig({}, { size: 16 });
  const other = await runWithPrior(large);
  for (const kind of ['vqgen', 'lpips-vgg16'] as const) {
    await writeRunConfig(other, {
      ...large,
      stage1: { ...own, perceptual: { ...own.perceptual, kind } },
    });
    await exportRunFolder({
      run: other,
      out: first,
      reporter: { ...reporter, warn: (line) => void warnings.push(line) },
    });
    expect(readRunConfig(first).stage1.perceptual).toEqual({ kind: 'vqgen', weight: 1, weights: null });
  }
  expect(warnings).toEqual(
    Array(2).fill(expect.stringContaining('private.safetensors, which does not exist')),
  );
});

test.each(['ae', 'mae', 'vae', 'cvae vector'])(
  '%s: a run without a prior draws the same pictures',
  async (name) => {
    const { run } = await numbersRun(await freshFolder(), name);
    const out = await freshFolder();
    expect(await exportRunFolder({ run, out, reporter })).toMatchObject({ prior: false });
    expect(await drawn(out)).toEqual(await drawn(run));
    const half = await freshFolder();
    await exportRunFolder({ run, out: half, precision: 'f16', reporter });
    await drawn(half);
  },
);

test('an autoencoder of a folder that is not there says how it draws', async () => {
  const { run } = await numbersRun(await freshFolder(), 'ae', { data: { dir: '/somewhere/photos/train' } });
  const out = await freshFolder();
  await exportRunFolder({ run, out, reporter });
  await expect(drawn(out)).rejects.toThrow(
    /photos\/train, which does not exist\. Where they are now is told by/,
  );
});
