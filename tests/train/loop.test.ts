import fs from 'node:fs/promises';
import path from 'node:path';
import { jest } from '@jest/globals';
import { type Reporter, silent } from '../../src/base/progress.js';
import { soundCheckpoint } from '../../src/checkpoint/integrity.js';
import { latestCheckpoint, listCheckpoints, readState } from '../../src/checkpoint/store.js';
import { chunkPlanner } from '../../src/train/chunks.js';
import { runLoop, type Stage } from '../../src/train/loop.js';
import { readMetrics } from '../../src/train/metrics.js';
import { cadence, fakeStage, outcome, slowClock, validate } from '../support/fake-stage.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);
afterEach(() => jest.restoreAllMocks());

async function uninterrupted() {
  const folder = await freshFolder();
  const stage = fakeStage(folder);
  const result = await runLoop(stage, { reporter: silent });
  return { folder, stage, result, outcome: await outcome(folder) };
}

const resume = (folder: string, stage = fakeStage(folder)) =>
  runLoop(stage, { from: latestCheckpoint(folder), reporter: silent });

describe('a whole run', () => {
  test('writes train and validation lines and checkpoints at their cadences and at the last step', async () => {
    const { folder, outcome, result } = await uninterrupted();
    expect(outcome.lines.map(({ step, split }) => `${split} ${step}`)).toEqual(
      'train 1,train 3,val 4,train 6,val 8,train 9,train 12,val 12,train 15,val 16,train 18,val 20,train 21,train 22,val 22'.split(
        ',',
      ),
    );
    expect(outcome.checkpoints).toEqual([8, 16, 22]);
    expect((await fs.readFile(path.join(folder, 'latest'), 'utf8')).trim()).toBe('step-00000022');
    expect(result).toMatchObject({ step: 22, stopped: false });
    expect(result.metrics.loss).toBe(outcome.lines.at(-1)!.loss);
    expect(result.loss).toBe(outcome.lines.at(-2)!.loss);
  });

  test('shows the losses and the rate', async () => {
    slowClock(2);
    const shown: unknown[] = [];
    const progress = () => ({ update: (_: number, fields?: object) => shown.push(fields), stop() {} });
    await runLoop(fakeStage(await freshFolder()), { reporter: { ...silent, progress } });
    expect(shown).toHaveLength(22);
    expect(shown.at(-1)).toMatchObject({ loss: expect.any(Number), 'images/s': 4 }); // 8 images in 2 s
  });

  test('train lines are means of the steps since the line before', async () => {
    const { folder, outcome } = await uninterrupted();
    const every = await freshFolder();
    await runLoop(fakeStage(every, { cadence: { ...cadence, log_every: 1 } }), { reporter: silent });
    const single = (await readMetrics(path.join(every, 'metrics.jsonl'))).filter((l) => l.split === 'train');
    const mean = (key: string, steps: number[]) =>
      steps.reduce((sum, step) => sum + Number(single[step - 1]![key]), 0) / steps.length;
    const line = (step: number) => outcome.lines.find((l) => l.step === step && l.split === 'train')!;
    expect(line(3).loss).toBeCloseTo(mean('loss', [2, 3]), 4);
    expect(line(9).loss).toBeCloseTo(mean('loss', [7, 8, 9]), 4);
    expect(line(22).loss).toBeCloseTo(mean('loss', [22]), 4);
    expect(line(12).late).toBeCloseTo(mean('late', [11, 12]), 4);
    expect(line(9)).not.toHaveProperty('late');
    expect((await readMetrics(path.join(folder, 'metrics.jsonl')))[1]!.images_per_second).toBeGreaterThan(0);
  });

  test('usage is reported when 64 codes for 4 have come: at the first line with 22 steps', async () => {
    const { outcome } = await uninterrupted();
    const reporting = outcome.lines.filter((l) => 'codebook_usage' in l);
    expect(reporting.map(({ step }) => step)).toEqual([22]);
    expect(reporting[0]).toMatchObject({ codebook_usage: 1 });
  });

  test('of two books usage is reported when 16 codes per code of both have come', async () => {
    const folder = await freshFolder();
    const books = [
      { name: 'bottom', vocab: 4 }, // 64 after 22 steps
      { name: 'top', vocab: 2 }, // 32 after 32, always its second code
    ];
    await runLoop(fakeStage(folder, { books, cadence: { ...cadence, steps: 40 } }), { reporter: silent });
    const reporting = (await outcome(folder)).lines.filter((l) => 'codebook_usage' in l);
    expect(reporting.map(({ step }) => step)).toEqual([33]);
    expect(reporting[0]).toMatchObject({
      ...{ codebook_usage: 0.833333, codebook_usage_bottom: 1, codebook_usage_top: 0.5 },
      perplexity_top: 1,
    });
  });

  test('the best by validation is kept, among validated checkpoints', async () => {
    const folder = await freshFolder();
    const values: Record<number, number> = { 4: 0, 8: 1, 12: 0, 16: 3, 20: 0, 22: 2 };
    const evaluate: Stage['evaluate'] = async (step) => ({ loss: values[step]! });
    await runLoop(fakeStage(folder, { evaluate, cadence: { ...cadence, keep: 1 } }), { reporter: silent });
    expect(listCheckpoints(folder).map(({ step }) => step)).toEqual([8, 22]);
    expect(readState(latestCheckpoint(folder)!).best).toEqual({ step: 8, value: 1 });
  });

  test('inputs that cannot be had end it with the step before saved; a resume ends in the same bits', async () => {
    const whole = await uninterrupted();
    const folder = await freshFolder();
    const stage = fakeStage(folder);
    const { inputs } = stage;
    stage.inputs = async (step, course) => {
      if (step === 14) throw new Error('a.png cannot be read any more (EIO).');
      return inputs(step, course);
    };
    const ended = runLoop(stage, { reporter: silent });
    await expect(ended).rejects.toThrow(
      /^a\.png cannot .* \(EIO\)\. Step \d+ is saved: go on with --resume\.$/,
    );
    expect(latestCheckpoint(folder)!.step).toBeGreaterThan(8);
    await resume(folder);
    expect((await outcome(folder)).lines).toEqual(whole.outcome.lines);
  });

  test('inputs are asked for once a step, in order, ahead of the run', async () => {
    const stage = fakeStage(await freshFolder());
    const asked: number[] = [];
    const { inputs } = stage;
    stage.inputs = (step, course) => {
      asked.push(step);
      return inputs(step, course);
    };
    await runLoop(stage, { reporter: silent });
    expect(asked).toEqual(Array.from({ length: 22 }, (_, i) => i + 1));
  });

  test('entries of one step count as one: they go into one call, and their outputs are observed together', async () => {
    const folder = await freshFolder();
    const stage = fakeStage(folder);
    const { inputs, observe } = stage;
    const entriesOf = (step: number) => (step === 5 ? 4 : 2);
    stage.inputs = async (step, course) =>
      Array.from({ length: entriesOf(step) }, () => inputs(step, course)).reduce(async (all, one) => [
        ...(await all),
        ...(await one),
      ]);
    stage.observe = (step, outputs) => {
      expect([step, outputs.length]).toEqual([step, entriesOf(step)]);
      expect(outputs.map(({ codes }) => codes!.data[0])).toEqual(new Array(outputs.length).fill(step % 4));
      return observe(step, outputs);
    };
    slowClock(2);
    expect(await runLoop(stage, { reporter: silent })).toMatchObject({ step: 22 });
    expect(stage.runner.calls).toEqual(Array.from({ length: 22 }, (_, i) => entriesOf(i + 1)));
    const { outcome: usual } = await uninterrupted();
    const { lines, checkpoints } = await outcome(folder);
    expect(lines.map(({ step }) => step)).toEqual(usual.lines.map(({ step }) => step));
    expect(checkpoints).toEqual(usual.checkpoints);
  });

  test('says once how long it will take', async () => {
    const notes: string[] = [];
    const reporter: Reporter = { ...silent, note: (line) => notes.push(line) };
    slowClock(2);
    await runLoop(fakeStage(await freshFolder()), { reporter });
    expect(notes).toEqual(['About 36 s for the 18 steps to come, 2.0 s each.']);
  });
});

describe('chunks', () => {
  test('reach to the next step with something to do, at most 64, and fill 3 s', () => {
    const planner = chunkPlanner({ ...cadence, steps: 1000, eval_every: 100, checkpoint_every: 250 });
    expect(planner.length(0)).toBe(1);
    planner.took(0.1);
    expect(planner.length(1)).toBe(30);
    expect(planner.length(90)).toBe(10);
    expect(planner.length(245)).toBe(5);
    expect(planner.length(998)).toBe(2);
    expect(planner.length(1000)).toBe(0);
    planner.took(0.001);
    expect(planner.length(101)).toBe(64);
    planner.took(20);
    expect(planner.length(101)).toBe(1);
  });

  test('change no result', async () => {
    const { outcome: long, stage } = await uninterrupted();
    expect(Math.max(...stage.runner.calls)).toBeGreaterThan(1);
    const folder = await freshFolder();
    const single = fakeStage(folder);
    slowClock(2);
    await runLoop(single, { reporter: silent });
    expect(single.runner.calls).toEqual(new Array(22).fill(1));
    expect(await outcome(folder)).toEqual(long);
  });
});

describe('patience', () => {
  /** Validations at 4, 8, …, 20 and 22: the best is at 8. */
  const values: Record<number, number> = { 4: 3, 8: 1, 12: 2, 16: 1.5, 20: 1.2, 22: 1.1 };
  const evaluate: Stage['evaluate'] = async (step) => ({ loss: values[step]! });
  const patient = (folder: string, patience: number, o: object = {}) =>
    fakeStage(folder, { evaluate, patience, ...o });

  test('ends a run after so many validations that are no better, saved; the best and what was before stay', async () => {
    const folder = await freshFolder();
    const notes: string[] = [];
    const reporter: Reporter = { ...silent, note: (line) => notes.push(line) };
    const result = await runLoop(patient(folder, 2), { reporter });
    expect(result).toMatchObject({ step: 16, stopped: false, best: { step: 8, value: 1 } });
    expect(listCheckpoints(folder).map(({ step }) => step)).toEqual([8, 16]);
    expect((await soundCheckpoint(folder, { best: true })).sound!.checkpoint.step).toBe(8);
    expect(notes.at(-1)).toBe(
      'Ended early at step 16: 2 validations in a row were no better than that of step 8 (1), whose checkpoint later commands use.',
    );
    const whole = await freshFolder();
    expect(await runLoop(patient(whole, 0), { reporter: silent })).toMatchObject({
      step: 22,
      stopped: false,
    });
    const lines = (await outcome(whole)).lines;
    expect((await outcome(folder)).lines).toEqual(lines.filter(({ step }) => step <= 16));
  });

  test('a validation between two checkpoints that is the best, and the one at which it ends, are saved', async () => {
    const folder = await freshFolder();
    const evaluate: Stage['evaluate'] = async (step) => ({ loss: Math.abs(step - 4) });
    const result = await runLoop(patient(folder, 2, { evaluate }), { reporter: silent });
    expect(result).toMatchObject({ step: 12, best: { step: 4, value: 0 } });
    expect(listCheckpoints(folder).map(({ step }) => step)).toEqual([4, 8, 12]);
  });

  test.each([5, 8, 13, 16])(
    'stopped at step %d and resumed it ends where it would have, with the same lines',
    async (stopAt) => {
      const whole = await freshFolder();
      await runLoop(patient(whole, 2), { reporter: silent });
      const folder = await freshFolder();
      const control = new AbortController();
      const onStep = (step: number) => step === stopAt && control.abort();
      slowClock(2);
      await runLoop(patient(folder, 2, { onStep }), { reporter: silent, signal: control.signal });
      jest.restoreAllMocks();
      expect(await resume(folder, patient(folder, 2))).toMatchObject({ step: 16, stopped: false });
      expect({ ...(await outcome(folder)), checkpoints: 0 }).toEqual({
        ...(await outcome(whole)),
        checkpoints: 0,
      });
    },
  );

  test('turned on at a resume it counts from there: better validations without a checkpoint were none that failed', async () => {
    const folder = await freshFolder();
    const control = new AbortController();
    const better = { evaluate: (async (step) => ({ loss: 30 - step })) as Stage['evaluate'] };
    const rare = { ...better, cadence: { ...cadence, checkpoint_every: 20 } };
    const onStep = (step: number) => step === 18 && control.abort();
    slowClock(2);
    await runLoop(patient(folder, 0, { ...rare, onStep }), { reporter: silent, signal: control.signal });
    jest.restoreAllMocks();
    expect(readState(latestCheckpoint(folder)!)).toMatchObject({ step: 18, best: null });
    const result = await resume(folder, patient(folder, 2, rare));
    expect(result).toMatchObject({ step: 22, stopped: false, best: { step: 22 } });
  });

  test('with more patience it goes on as if it had had it from the beginning', async () => {
    const folder = await freshFolder();
    await runLoop(patient(folder, 1), { reporter: silent });
    expect(latestCheckpoint(folder)!.step).toBe(12);
    expect(await resume(folder, patient(folder, 4))).toMatchObject({ step: 22 });
    const whole = await freshFolder();
    await runLoop(patient(whole, 4), { reporter: silent });
    expect({ ...(await outcome(folder)), checkpoints: 0 }).toEqual({
      ...(await outcome(whole)),
      checkpoints: 0,
    });
  });
});

describe('a resumed run has the weights, the metrics and the state of one that was not stopped', () => {
  test.each([2, 9, 14, 16, 17, 21])('killed at step %d', async (dieAt) => {
    const { outcome: wanted } = await uninterrupted();
    const folder = await freshFolder();
    const dying = fakeStage(folder, { dieAt });
    await expect(runLoop(dying, { reporter: silent })).rejects.toThrow('killed');
    expect(latestCheckpoint(folder)?.step).toBe(dieAt > 16 ? 16 : dieAt > 8 ? 8 : undefined);
    await resume(folder);
    expect(await outcome(folder)).toEqual(wanted);
  });

  test('killed with lines past the checkpoint and one half written', async () => {
    const { outcome: wanted } = await uninterrupted();
    const folder = await freshFolder();
    slowClock(2); // One step a call, so that lines come right up to the kill.
    await expect(runLoop(fakeStage(folder, { dieAt: 14 }), { reporter: silent })).rejects.toThrow('killed');
    jest.restoreAllMocks();
    const file = path.join(folder, 'metrics.jsonl');
    expect((await readMetrics(file)).at(-1)).toMatchObject({ step: 12, split: 'val' });
    await fs.appendFile(file, '{"step":14,"split":"tra');
    await resume(folder);
    expect(await outcome(folder)).toEqual(wanted);
  });

  test.each([1, 5, 8, 12, 16, 19, 22])('stopped by the signal at step %d', async (stopAt) => {
    const { outcome: wanted } = await uninterrupted();
    const folder = await freshFolder();
    const control = new AbortController();
    const onStep = (step: number) => step === stopAt && control.abort();
    slowClock(2);
    const stopped = await runLoop(fakeStage(folder, { onStep }), {
      reporter: silent,
      signal: control.signal,
    });
    jest.restoreAllMocks();
    expect(stopped).toMatchObject({ step: stopAt, stopped: true });
    expect(latestCheckpoint(folder)?.step).toBe(stopAt);
    const result = await resume(folder);
    expect(result).toMatchObject({ step: 22, stopped: false });
    // A stop adds a checkpoint, which may push an older one out: all else is equal.
    expect({ ...(await outcome(folder)), checkpoints: 0 }).toEqual({ ...wanted, checkpoints: 0 });
  });

  test('stopped while it validated', async () => {
    const { outcome: wanted } = await uninterrupted();
    const folder = await freshFolder();
    const control = new AbortController();
    const evaluate: Stage['evaluate'] = async (step, state) => {
      if (step === 8) {
        setTimeout(() => control.abort(), 1);
        await new Promise((done) => setTimeout(done, 20));
      }
      return validate(step, state);
    };
    const stage = fakeStage(folder, { evaluate });
    const stopped = await runLoop(stage, { reporter: silent, signal: control.signal });
    expect(stopped).toMatchObject({ step: 8, stopped: true });
    expect(readState(latestCheckpoint(folder)!).validated).toBe(4);
    await resume(folder);
    expect(await outcome(folder)).toEqual(wanted);
  });

  test('stopped while the state was read for a validation', async () => {
    const { outcome: wanted } = await uninterrupted();
    const folder = await freshFolder();
    const control = new AbortController();
    const evaluate: Stage['evaluate'] = async (step, state, signal) =>
      signal?.aborted ? {} : validate(step, state);
    const stage = fakeStage(folder, { evaluate });
    const { read } = stage.runner;
    let reads = 0;
    stage.runner.read = async () => {
      if (++reads === 2) {
        await new Promise((done) => setTimeout(done, 1));
        control.abort();
      }
      return read();
    };
    const stopped = await runLoop(stage, { reporter: silent, signal: control.signal });
    expect(stopped).toMatchObject({ step: 8, stopped: true });
    expect(readState(latestCheckpoint(folder)!).validated).toBe(4);
    await resume(folder);
    expect(await outcome(folder)).toEqual(wanted);
  });

  test.each([12, 16])('ended by a validation that failed at step %d, saved before', async (failAt) => {
    const { outcome: wanted } = await uninterrupted();
    const folder = await freshFolder();
    const evaluate: Stage['evaluate'] = async (step, state) => {
      if (step === failAt) throw new Error('no memory');
      return validate(step, state);
    };
    await expect(runLoop(fakeStage(folder, { evaluate }), { reporter: silent })).rejects.toThrow('no memory');
    expect(readState(latestCheckpoint(folder)!)).toMatchObject({ step: failAt, validated: failAt - 4 });
    await resume(folder);
    expect({ ...(await outcome(folder)), checkpoints: 0 }).toEqual({ ...wanted, checkpoints: 0 });
  });

  test('time goes on counting', async () => {
    const folder = await freshFolder();
    slowClock(2);
    await expect(runLoop(fakeStage(folder, { dieAt: 14 }), { reporter: silent })).rejects.toThrow('killed');
    const before = readState(latestCheckpoint(folder)!).seconds;
    const { seconds } = await resume(folder);
    expect(before).toBeGreaterThan(0);
    expect(seconds).toBeGreaterThan(before);
    const times = (await readMetrics(path.join(folder, 'metrics.jsonl'))).map((l) => l.time_s);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  test('a signal before the first step leaves nothing behind', async () => {
    const folder = await freshFolder();
    const result = await runLoop(fakeStage(folder), { reporter: silent, signal: AbortSignal.abort() });
    expect(result).toMatchObject({ step: 0, stopped: true });
    expect(latestCheckpoint(folder)).toBeUndefined();
  });

  test('a larger total goes on from the end', async () => {
    const { folder } = await uninterrupted();
    const longer = fakeStage(folder, { cadence: { ...cadence, steps: 30 } });
    expect(await resume(folder, longer)).toMatchObject({ step: 30, stopped: false });
    expect(latestCheckpoint(folder)?.step).toBe(30);
  });
});
