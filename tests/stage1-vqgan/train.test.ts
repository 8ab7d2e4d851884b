/** The whole of stage 1 on the built-in pictures, on the engine of the real commands. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type Reporter, silent } from '../../src/base/progress.js';
import { float32, type HostTensors, scalar } from '../../src/base/tensor.js';
import { readRunConfig, writeRunConfig } from '../../src/checkpoint/run.js';
import { readSafetensors, sha256 } from '../../src/checkpoint/safetensors.js';
import {
  copyWeights,
  latestCheckpoint,
  loadModel,
  readState,
  saveCheckpoint,
} from '../../src/checkpoint/store.js';
import { loadConfig } from '../../src/config/load.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { trainStage1 } from '../../src/stage1-vqgan/train.js';
import { readMetrics } from '../../src/train/metrics.js';
import { learningRate } from '../../src/train/schedule.js';
import { preparingOnce } from '../support/prepared.js';
import { writePictures } from '../support/run.js';

/** `tiny` at its smallest, with more keys. */
const tiny = (...keys: string[]) =>
  loadConfig({
    config: 'tiny',
    set: ['data.drawn=40', 'data.size=8', 'stage1.ch_mult=[1]', 'stage1.attn_resolutions=[]', ...keys],
  });

const config = tiny('stage1.disc.start=4');
const cpu = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
const device = preparingOnce(cpu);
let root: string;

beforeAll(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'vqgen-stage1-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const train = (run: string, resume: boolean, reporter: Reporter = silent, signal?: AbortSignal) =>
  trainStage1({ config, run, resume, device, reporter, signal });

/** Ends a training at the step, and not already the reading of images, which a busy machine shows as well. */
function stopAt(step: number): { reporter: Reporter; signal: AbortSignal } {
  const stop = new AbortController();
  const progress: Reporter['progress'] = ({ label }) => ({
    update: (done) => {
      if (label === 'Stage 1' && done >= step) stop.abort();
    },
    stop() {},
  });
  return { reporter: { ...silent, progress }, signal: stop.signal };
}

/** Lines without what depends on the clock. */
const lines = async (run: string) =>
  (await readMetrics(path.join(run, 'stage1', 'metrics.jsonl'))).map(
    ({ time_s: _, images_per_second: __, ...line }) => line,
  );

test('a run stopped before the discriminator acts and resumed equals one that was not stopped', async () => {
  const [whole, parts] = [path.join(root, 'whole'), path.join(root, 'parts')];
  const result = await train(whole, false);
  expect(result).toMatchObject({ step: 8, stopped: false });

  const { reporter, signal } = stopAt(2);
  const first = await train(parts, false, reporter, signal);
  expect(first.stopped).toBe(true);
  expect(first.step).toBeLessThan(4);
  await train(parts, true);

  const models = await Promise.all([whole, parts].map((run) => loadModel(run, 'stage1')));
  expect(models[1]!.sha256).toBe(models[0]!.sha256);
  expect(await lines(parts)).toEqual(await lines(whole));
});

test('taken back to before the discriminator acted and killed later, a resumed run equals one that was not killed', async () => {
  const later = tiny('stage1.disc.start=6');
  const rate = learningRate(7, later.stage1);
  /** The device, but for a loss that is NaN at step 7 at the full rate, and a death at step 8. */
  const faulty = (o: { dies: boolean }): Device => ({
    ...{ name: device.name, description: device.description, prepare: (program) => device.prepare(program) },
    prepareStep: async (program) => {
      const runner = await device.prepareStep(program);
      return {
        load: (state) => runner.load(state),
        read: () => runner.read(),
        dispose: () => runner.dispose(),
        async run(steps) {
          const lowered = steps.every(({ lr, step }) => step!.data[0]! < 7 || lr!.data[0]! < 0.9 * rate);
          if (o.dies && lowered && steps.some(({ step }) => step!.data[0] === 8)) throw new Error('killed');
          const outputs = await runner.run(steps);
          return outputs.map((output, i) =>
            steps[i]!.step!.data[0] === 7 && !lowered ? { ...output, loss: scalar(Number.NaN) } : output,
          );
        },
      };
    },
  });
  const runs = ['taken-back', 'killed', 'sound'].map((name) => path.join(root, name));
  const trainOn = (run: string, device: Device, resume = false) =>
    trainStage1({ config: later, run, resume, device, reporter: silent });
  await trainOn(runs[0]!, faulty({ dies: false }));
  await expect(trainOn(runs[1]!, faulty({ dies: true }))).rejects.toThrow('killed');
  await trainOn(runs[1]!, faulty({ dies: false }), true);
  await trainOn(runs[2]!, device);

  const [takenBack, killed, sound] = await Promise.all(runs.map((run) => loadModel(run, 'stage1')));
  expect(killed!.sha256).toBe(takenBack!.sha256);
  expect(sound!.sha256).not.toBe(takenBack!.sha256);
  expect(await lines(runs[1]!)).toEqual(await lines(runs[0]!));
  const { guard } = readState(latestCheckpoint(path.join(runs[1]!, 'stage1'))!);
  expect(guard).toMatchObject({ rollbacks: 1, factor: 1 / 3, good: 8 });
});

test('a discriminator that starts when the error is flat, with spectral norm: stopped twice, a run equals one that was not', async () => {
  const flat = tiny(
    ...['steps=44', 'lr=1e-9', 'disc={start: flat, norm: spectral, lecam: 0.3}'].map(
      (set) => `stage1.${set}`,
    ),
    ...['log_every=8', 'eval_every=20', 'checkpoint_every=20', 'codebook.warmup=2'].map(
      (set) => `stage1.${set}`,
    ),
  );
  const device = preparingOnce(cpu);
  const notes: string[] = [];
  const trainTo = (run: string, step: number, resume: boolean) => {
    const { reporter, signal } = stopAt(step);
    const noting: Reporter = { ...reporter, note: (line) => notes.push(line) };
    return trainStage1({ config: flat, run, resume, device, reporter: noting, signal });
  };
  const [whole, parts] = [path.join(root, 'flat'), path.join(root, 'flat-in-parts')];
  await trainTo(whole, 99, false);
  // Windows of 16 steps after the two of warm-up: 3 to 18, 19 to 34.
  expect(notes.filter((line) => /the discriminator/.test(line))).toEqual([
    expect.stringMatching(
      /^The reconstruction error .* over the last 16 steps: the discriminator starts at step 35\.$/,
    ),
    'From here on the discriminator acts; a step takes longer.',
  ]);
  const saved = (run: string) => readState(latestCheckpoint(path.join(run, 'stage1'))!).kept;
  await trainTo(parts, 20, false); // in the middle of a window
  expect(saved(parts)).toMatchObject({ quantised: 3, adversarial: 36, flat_window: 16 });
  await trainTo(parts, 40, true);
  expect(saved(parts)).toMatchObject({ adversarial: 35, flat_latest: 36 });
  await trainTo(parts, 99, true);

  const sums = await Promise.all(
    [whole, parts].flatMap((run) =>
      ['model', 'optimizer'].map((file) =>
        sha256(path.join(latestCheckpoint(path.join(run, 'stage1'))!.path, `${file}.safetensors`)),
      ),
    ),
  );
  expect(sums.slice(2)).toEqual(sums.slice(0, 2));
  expect(await lines(parts)).toEqual(await lines(whole));
  expect((await lines(whole)).at(-1)).toMatchObject({ step: 44, adaptive_weight: expect.any(Number) });
});

test('weights alone are trained on by a rate that rises anew, and by moments that count from there, stopped or not', async () => {
  const more = (steps: number) =>
    tiny(
      'stage1.disc.start=4',
      'stage1.betas=[0.5,0.9]',
      'stage1.schedule=constant',
      `stage1.steps=${steps}`,
    );
  const [begun, whole, parts] = ['begun', 'alone', 'alone-in-parts'].map((name) => path.join(root, name));
  await trainStage1({ config: more(8), run: begun!, resume: false, device, reporter: silent });
  const newest = (run: string) => latestCheckpoint(path.join(run, 'stage1'))!;
  const fed: number[][] = [];
  const spying: Device = {
    ...device,
    prepareStep: async (program) => {
      const runner = await device.prepareStep(program);
      const seen = (step: HostTensors) =>
        ['step', 'updates', 'disc_step', 'lr'].map((name) => step[name]!.data[0]!);
      return {
        ...runner,
        run(steps) {
          fed.push(...steps.map(seen));
          return runner.run(steps);
        },
      };
    },
  };
  const trainTo = async (run: string, step: number) => {
    const o = { config: more(12), run, resume: true, device: spying, ...stopAt(step) };
    expect(await trainStage1(o)).toMatchObject({ step });
  };
  for (const run of [whole!, parts!]) {
    await writeRunConfig(run, more(8));
    await copyWeights(newest(begun!), path.join(run, 'stage1'));
  }
  await trainTo(whole!, 12);
  const { lr } = more(12).stage1;
  const rising = [lr / 2, lr, lr, lr].map(Math.fround);
  expect(fed).toEqual(rising.map((rate, i) => [9 + i, 1 + i, 6 + i, rate]));

  await trainTo(parts!, 9);
  const valuesOf = async (run: string, part: string) => {
    const { tensors } = await readSafetensors(path.join(newest(run).path, 'model.safetensors'));
    return Object.keys(tensors).flatMap((name) =>
      name.startsWith(part) ? Array.from(tensors[name]!.data as Float32Array) : [],
    );
  };
  for (const part of ['model.encoder.', 'model.decoder.', 'disc.']) {
    const [before, after] = [await valuesOf(begun!, part), await valuesOf(parts!, part)];
    const moved = before.map((value, i) => Math.abs(value - after[i]!));
    expect(Math.max(...moved) / rising[0]!).toBeCloseTo(1, 2);
  }
  expect(readState(newest(parts!)).moments_since).toBe(8);
  await trainTo(parts!, 12);
  expect(fed.slice(4)).toEqual(fed.slice(0, 4));
  const models = await Promise.all([whole!, parts!].map((run) => loadModel(run, 'stage1')));
  expect(models[1]!.sha256).toBe(models[0]!.sha256);
  expect(await lines(parts!)).toEqual(await lines(whole!));
});

test('stopped before the first step it leaves the run as it was', async () => {
  const run = path.join(root, 'none');
  const stop = new AbortController();
  const stopper: Reporter = { ...silent, note: () => stop.abort() }; // the first note comes when the images are read
  await expect(train(run, false, stopper, stop.signal)).rejects.toThrow('aborted');
  expect(readdirSync(run)).toEqual(['.cache']);
});

test.each([
  [
    null,
    [
      /^Images: 11 for training, 1 for validation, 2 classes/,
      /\/images has the folders train and val: .*--set data\.val_dir=/,
    ],
  ],
  [
    'val',
    [/^Left out of .*val\/ \(for validation, data\.val_dir\)/, /^Images: 6 for training, 6 for validation/],
  ],
] as const)('folders of a split are told of, with data.val_dir %s they are not', async (val, said) => {
  const dir = path.join(root, 'images');
  for (const part of ['train', 'val']) await writePictures(path.join(dir, part), 6);
  const stop = new AbortController();
  const notes: string[] = [];
  const note = (line: string): void => {
    notes.push(line);
    if (line.startsWith('Images')) stop.abort();
  };
  const data = { ...config.data, dir, val_dir: val && path.join(dir, val) };
  const options = { config: { ...config, data }, run: path.join(root, 'split'), resume: false };
  const training = trainStage1({ ...options, device, reporter: { ...silent, note }, signal: stop.signal });
  await expect(training).rejects.toThrow('aborted');
  for (const line of said) expect(notes).toContainEqual(expect.stringMatching(line));
  expect(notes.some((line) => line.includes('If they are a split'))).toBe(val === null);
});

test('a prior that is trained keeps its section of the config', async () => {
  const run = path.join(root, 'parts');
  const saved = { ...config, prior: { ...config.prior, layers: 5 } };
  await writeRunConfig(run, saved);
  const longer = tiny('stage1.disc.start=4', 'stage1.steps=9');
  const state = { step: 1, seconds: 0, validated: 1, best: null, metrics: null };
  await saveCheckpoint(path.join(run, 'prior'), { 'model.w': float32([1]) }, state, 1);
  await trainStage1({ config: longer, run, resume: true, device, reporter: silent });
  expect(readRunConfig(run)).toEqual({ ...longer, prior: saved.prior });
});

test('metrics have the contract’s keys, grids and the average lie in the run', async () => {
  const run = path.join(root, 'whole');
  const written = await lines(run);
  const keys = 'loss l1 perceptual codebook commitment generator discriminator adaptive_weight'.split(' ');
  const [first, last] = [written[0]!, written.findLast(({ split }) => split === 'train')!];
  for (const key of keys) expect(first).toHaveProperty(key);
  expect([first.step, first.discriminator, first.generator, first.adaptive_weight]).toEqual([1, 0, 0, 0]);
  expect(last.discriminator).toBeGreaterThan(0);
  expect(last).toHaveProperty('codebook_usage');
  const val = written.at(-1)!;
  expect(val).toMatchObject({ step: 8, split: 'val' });
  expect(val.psnr).toBeGreaterThan(5);
  expect(existsSync(path.join(run, 'stage1', 'grids', 'step-00000008.png'))).toBe(true);
  const { tensors } = await loadModel(run, 'stage1');
  expect(tensors['bottleneck.codebook']!.shape).toEqual([32, 8]);
});

test('a finished run says so and changes nothing', async () => {
  const run = path.join(root, 'whole');
  const before = readFileSync(path.join(run, 'stage1', 'metrics.jsonl'), 'utf8');
  const notes: string[] = [];
  const result = await train(run, true, { ...silent, note: (line) => notes.push(line) });
  expect(result).toMatchObject({ step: 8, stopped: false });
  expect(notes).toEqual([expect.stringContaining('is finished at step 8. Next: vqgen tokenize')]);
  expect(readFileSync(path.join(run, 'stage1', 'metrics.jsonl'), 'utf8')).toBe(before);
});
