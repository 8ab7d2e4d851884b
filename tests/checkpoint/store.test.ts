import fs from 'node:fs/promises';
import path from 'node:path';
import { float32, type HostTensors, int32 } from '../../src/base/tensor.js';
import { soundCheckpoint } from '../../src/checkpoint/integrity.js';
import { readSafetensors, sha256 } from '../../src/checkpoint/safetensors.js';
import {
  type Best,
  latestCheckpoint,
  listCheckpoints,
  loadCheckpoint,
  loadModel,
  readState,
  type SavedState,
  saveCheckpoint,
  updateState,
} from '../../src/checkpoint/store.js';
import { specsOfTensors } from '../../src/engine/device.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const tensors: HostTensors = {
  'model.w': float32([2], [1, 2]),
  'model.b': float32([1], [3]),
  'ema.w': float32([2], [0.5, 1]),
  'disc.w': float32([1], [9]),
  'adam.m.w': float32([2], [0.1, 0.2]),
  'disc_adam.v.w': float32([1], [0.3]),
  codebook_idle: int32([3], [0, 1, 2]),
};
const stateAt = (step: number, best: Best | null = null): SavedState => ({
  step,
  seconds: 1.5,
  validated: 0,
  best,
  metrics: null,
});
const save = (folder: string, step: number, o: { best?: Best; keep?: number; tensors?: HostTensors } = {}) =>
  saveCheckpoint(folder, o.tensors ?? tensors, stateAt(step, o.best), o.keep ?? 2);
const steps = (folder: string): number[] => listCheckpoints(folder).map(({ step }) => step);

test('a step folder: weights here, optimiser there, state as JSON, named by latest', async () => {
  const folder = path.join(await freshFolder(), 'stage1');
  const checkpoint = await save(folder, 500);
  expect((await fs.readdir(folder)).sort()).toEqual(['latest', 'step-00000500']);
  expect((await fs.readFile(path.join(folder, 'latest'), 'utf8')).trim()).toBe('step-00000500');
  const names = async (file: string) =>
    Object.keys((await readSafetensors(path.join(checkpoint.path, file))).tensors).sort();
  expect(await names('model.safetensors')).toEqual(['disc.w', 'ema.w', 'model.b', 'model.w']);
  expect(await names('optimizer.safetensors')).toEqual(['adam.m.w', 'codebook_idle', 'disc_adam.v.w']);
  expect(readState(checkpoint)).toEqual(stateAt(500));
  expect(await loadCheckpoint(checkpoint, specsOfTensors(tensors))).toEqual(tensors);
});

test('the same weights give the same model.safetensors, whenever and wherever', async () => {
  const [a, b] = [await freshFolder(), await freshFolder()];
  const hashes = await Promise.all(
    [await save(a, 1), await save(b, 2)].map(({ path: p }) => sha256(path.join(p, 'model.safetensors'))),
  );
  expect(hashes[0]).toBe(hashes[1]);
});

test('the newest stay, and the best', async () => {
  const folder = await freshFolder();
  for (const step of [10, 20, 30, 40]) await save(folder, step, { best: { step: 10, value: 1 } });
  expect(steps(folder)).toEqual([10, 30, 40]);
  await save(folder, 50, { best: { step: 40, value: 0.5 }, keep: 1 });
  expect(steps(folder)).toEqual([40, 50]);
  expect((await fs.readdir(folder)).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('the best by validation, else the newest', async () => {
  const folder = await freshFolder();
  const best = async () => (await soundCheckpoint(folder, { best: true })).sound?.checkpoint.step;
  expect(await best()).toBeUndefined();
  await save(folder, 10);
  await save(folder, 20);
  expect(await best()).toBe(20);
  await save(folder, 30, { best: { step: 20, value: 1 } });
  expect(await best()).toBe(20);
  await fs.rm(path.join(folder, 'step-00000020'), { recursive: true });
  expect(await best()).toBe(30);
});

test('the newest complete folder counts, whatever latest says and a crash left', async () => {
  const folder = await freshFolder();
  await save(folder, 10);
  await save(folder, 20);
  await fs.mkdir(path.join(folder, '.step-00000030.1-0.partial'));
  await fs.mkdir(path.join(folder, 'step-00000040'));
  await fs.writeFile(path.join(folder, 'latest'), 'step-00000010\n');
  expect(latestCheckpoint(folder)?.step).toBe(20);
  await fs.rm(path.join(folder, 'latest'));
  expect(latestCheckpoint(folder)?.step).toBe(20);
  expect(latestCheckpoint(path.join(folder, 'none'))).toBeUndefined();
});

test('state can be replaced in a saved checkpoint', async () => {
  const checkpoint = await save(await freshFolder(), 10);
  await updateState(checkpoint, { ...stateAt(10), validated: 10 });
  expect(readState(checkpoint).validated).toBe(10);
});

describe('strict loading names the tensor and both shapes', () => {
  const load = async (change: HostTensors, without: string[] = []) => {
    const checkpoint = await save(await freshFolder(), 10);
    const wanted = Object.entries({ ...tensors, ...change }).filter(([name]) => !without.includes(name));
    return loadCheckpoint(checkpoint, specsOfTensors(Object.fromEntries(wanted)));
  };
  test.each([
    ['shape', { 'model.w': float32([3]) }, [], /^Expected model\.w float32 \[3\] for .* float32 \[2\]\./],
    ['type', { 'adam.m.w': int32([2]) }, [], /^Expected adam\.m\.w int32 \[2\] for .* float32 \[2\]\./],
    [
      'missing',
      { 'model.new': float32([3]) },
      [],
      /^Expected model\.new float32 \[3\] for .* no such tensor\./,
    ],
    ['left over', {}, ['disc.w'], /^Expected no other tensor for .* but received disc\.w\./],
  ])('%s', async (_, change, without, message) => {
    await expect(load(change as HostTensors, without)).rejects.toThrow(message);
  });
});

describe('loadModel', () => {
  test('takes running averages where there are any, and the hash of the file', async () => {
    const run = await freshFolder();
    await save(path.join(run, 'stage1'), 10, { tensors: { 'model.w': float32([1], [7]) } });
    const { path: folder } = await save(path.join(run, 'stage1'), 20);
    const model = await loadModel(run, 'stage1');
    expect(model.tensors).toEqual({ w: tensors['ema.w'], b: tensors['model.b'] });
    expect(model).toMatchObject({ step: 20, path: folder });
    expect(model.sha256).toBe(await sha256(path.join(folder, 'model.safetensors')));
  });

  test('refuses a value that is not finite, whoever made the run', async () => {
    const run = await freshFolder();
    const checkpoint = await save(path.join(run, 'stage1'), 7, {
      tensors: { ...tensors, 'model.b': float32([1], [Number.NEGATIVE_INFINITY]) },
    });
    const file = path.join(checkpoint.path, 'model.safetensors');
    const sentence = `Expected finite numbers for the tensor model.b in ${file} but received -Infinity at place 0 of 1.`;
    await expect(loadModel(run, 'stage1')).rejects.toThrow(sentence);
    await expect(loadCheckpoint(checkpoint, specsOfTensors(tensors))).rejects.toThrow(sentence);
  });

  test("refuses an optimiser's value that is not finite, with which a training would only be taken back", async () => {
    const checkpoint = await save(await freshFolder(), 7, {
      tensors: { ...tensors, 'adam.m.w': float32([2], [0, Number.NaN]) },
    });
    await expect(loadCheckpoint(checkpoint, specsOfTensors(tensors))).rejects.toThrow(
      /finite numbers for the tensor adam\.m\.w in .*optimizer\.safetensors but received NaN at place 1 of 2\./,
    );
  });

  test('says what to type when there is nothing', async () => {
    const run = await freshFolder();
    const none = path.join(run, 'none');
    const missing = loadModel(none, 'stage1');
    await expect(missing).rejects.toThrow(
      `Expected a run folder for --run but received ${none}, which does not exist. `,
    );
    await expect(missing).rejects.toThrow(` Train a tokenizer first: vqgen train-stage1 --run ${none}`);
    await expect(loadModel(run, 'stage1')).rejects.toThrow(`Next: vqgen train-stage1 --run ${run}`);
    await expect(loadModel(run, 'prior')).rejects.toThrow(
      `Expected a trained prior for --run but received ${run}, which has none yet. Next: vqgen train-prior --run ${run}`,
    );
  });
});
