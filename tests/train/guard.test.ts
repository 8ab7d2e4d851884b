/** What the loop does with a run that goes wrong. */
import { truncateSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { jest } from '@jest/globals';
import { type Reporter, silent } from '../../src/base/progress.js';
import { float32, scalar } from '../../src/base/tensor.js';
import {
  latestCheckpoint,
  listCheckpoints,
  loadCheckpoint,
  readState,
  updateState,
} from '../../src/checkpoint/store.js';
import { specsOfTensors } from '../../src/engine/device.js';
import { infiniteInput, isCalm, jumpOf, startWatch, watchStep } from '../../src/train/guard.js';
import { runLoop, type Stage } from '../../src/train/loop.js';
import { cadence, fakeStage, lr, outcome, slowClock, validate } from '../support/fake-stage.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);
afterEach(() => jest.restoreAllMocks());

/** Below it a fault does not happen: after one, two or three rollbacks. */
const safe = [0, 1, 2, 3].map((n) => 1.01 * (lr / 3 ** n));

function listener() {
  const warnings: string[] = [];
  return { warnings, reporter: { ...silent, warn: (line: string) => warnings.push(line) } as Reporter };
}

async function run(o: Parameters<typeof fakeStage>[1], folder?: string, signal?: AbortSignal) {
  const stage = fakeStage(folder ?? (await freshFolder()), o);
  const { warnings, reporter } = listener();
  const ended = runLoop(stage, { from: latestCheckpoint(stage.folder), reporter, signal });
  return { stage, warnings, ended, folder: stage.folder };
}

/** Fails where a saved tensor is not finite. */
async function expectFinite(folder: string): Promise<void> {
  const specs = specsOfTensors(fakeStage(folder).initialState());
  for (const checkpoint of listCheckpoints(folder)) {
    for (const t of Object.values(await loadCheckpoint(checkpoint, specs))) {
      expect(Array.from(t.data).every(Number.isFinite)).toBe(true);
    }
  }
}

/** The number that is trained after `steps`, at a rate of each step's own. */
async function trained(steps: number, factor: (step: number) => number): Promise<number> {
  const { runner, initialState, inputs } = fakeStage('');
  runner.load(initialState());
  for (let step = 1; step <= steps; step++)
    await runner.run(await inputs(step, { factor: factor(step), since: 0, kept: {} }));
  return (await runner.read())['model.w']!.data[0]!;
}

describe('a loss that is NaN', () => {
  test('takes the run back to the last checkpoint, lowers the rate, says so and goes on', async () => {
    const { stage, warnings, ended, folder } = await run({ nanAt: 11, safeBelow: safe[1] });
    expect(await ended).toMatchObject({ step: 22, stopped: false });
    expect(warnings).toEqual([
      'Step 11: loss is NaN. Back to step 8, and on with 1/3 of the learning rate (1 of at most 3 times).',
    ]);
    const again = stage.runner.rates.findLastIndex(([step]) => step === 9);
    const after = stage.runner.rates.slice(again);
    expect(after.map(([step]) => step)).toEqual(Array.from({ length: 14 }, (_, i) => i + 9));
    for (const [, rate] of after) expect(rate).toBeCloseTo(lr / 3, 6);
    const state = await stage.runner.read();
    expect(state['model.w']!.data[0]).toBe(await trained(22, (step) => (step <= 8 ? 1 : 1 / 3)));
    expect(readState(latestCheckpoint(folder)!).guard).toMatchObject({
      rollbacks: 1,
      factor: 1 / 3,
      good: 22,
    });
  });

  test('leaves no line of a step that was taken back', async () => {
    slowClock(2); // One step a call: the lines up to the failure are written.
    const { ended, folder } = await run({ nanAt: 15, safeBelow: safe[1] });
    await ended;
    const usual = await run({});
    await usual.ended;
    const steps = async (of: string) => (await outcome(of)).lines.map((l) => `${l.split} ${l.step}`);
    expect(await steps(folder)).toEqual(await steps(usual.folder));
    const at = (lines: { step: number; loss?: unknown }[]) => lines.find(({ step }) => step === 12)!.loss;
    expect(at((await outcome(folder)).lines)).not.toBe(at((await outcome(usual.folder)).lines));
  });

  test('before the first checkpoint takes it back to its beginning', async () => {
    const { stage, warnings, ended } = await run({ nanAt: 3, safeBelow: safe[2] });
    await ended;
    expect(warnings.map((line) => line.split(', ')[1])).toEqual([
      'and on with 1/3 of the learning rate (1 of at most 3 times).',
      'and on with 1/9 of the learning rate (2 of at most 3 times).',
    ]);
    expect(warnings[1]).toContain('Step 3: loss is NaN. Back to step 0');
    const state = await stage.runner.read();
    expect(state['model.w']!.data[0]).toBe(await trained(22, () => (1 / 3) * (1 / 3)));
  });

  test('at the fourth time ends the run, naming the step and the last good checkpoint', async () => {
    const { stage, warnings, ended, folder } = await run({ nanAt: 11 });
    await expect(ended).rejects.toThrow(
      'Training stopped at step 11 after 3 rollbacks, each with a lower learning rate: loss is NaN. The last good checkpoint is ' +
        `${path.join(folder, 'step-00000008')}: go on from it by --resume with a lower lr.`,
    );
    expect(warnings).toHaveLength(3);
    const rates = stage.runner.rates.filter(([step]) => step === 11).map(([, rate]) => rate);
    [1, 3, 9, 27].forEach((by, i) => {
      expect(rates[i]).toBeCloseTo(lr / by, 6);
    });
    expect(listCheckpoints(folder).map(({ step }) => step)).toEqual([8]);
    await expect((await run({ nanAt: 3 })).ended).rejects.toThrow('No checkpoint was saved yet');
  });

  test('counts anew when a stopped run is resumed with another rate', async () => {
    const { ended, folder } = await run({ nanAt: 11 });
    await expect(ended).rejects.toThrow('after 3 rollbacks');
    const same = await run({ nanAt: 11 }, folder);
    await expect(same.ended).rejects.toThrow('after 3 rollbacks');
    expect(same.warnings).toEqual([]);
    const lower = await run({ nanAt: 11, lr: lr / 2, safeBelow: lr / 5 }, folder);
    expect(await lower.ended).toMatchObject({ step: 22 });
    expect(lower.warnings).toHaveLength(1);
  });
});

test('weights that are not finite are never saved, nor looked at', async () => {
  const seen: number[] = [];
  const evaluate: Stage['evaluate'] = async (step, state) => {
    seen.push(state['model.w']!.data[0]!);
    return validate(step, state);
  };
  const { warnings, ended, folder } = await run({ nanStateAt: 16, safeBelow: safe[1], evaluate });
  expect(await ended).toMatchObject({ step: 22 });
  expect(warnings).toEqual([expect.stringContaining('Step 16: model.w holds NaN. Back to step 8')]);
  expect(seen.every(Number.isFinite)).toBe(true);
  await expectFinite(folder);
  const hopeless = await run({ nanStateAt: 16, cadence: { ...cadence, eval_every: 5 } });
  await expect(hopeless.ended).rejects.toThrow('model.w holds NaN');
  await expectFinite(hopeless.folder);
  expect(latestCheckpoint(hopeless.folder)?.step).toBe(8);
});

test('a validation that is not finite takes the run back', async () => {
  let first = true;
  const evaluate: Stage['evaluate'] = async (step, state) => {
    const bad = step === 12 && first;
    if (bad) first = false;
    return bad ? { loss: Number.POSITIVE_INFINITY } : validate(step, state);
  };
  const { warnings, ended } = await run({ evaluate });
  expect(await ended).toMatchObject({ step: 22 });
  expect(warnings).toEqual([expect.stringContaining('Step 12: val loss is Infinity. Back to step 8')]);
});

test('a loss that jumps takes the run back, and to no checkpoint of the time when it rose', async () => {
  const often = { ...cadence, steps: 40, checkpoint_every: 2 };
  const { warnings, ended, folder } = await run({ jumpAt: 27, safeBelow: safe[1], cadence: often });
  expect(await ended).toMatchObject({ step: 40 });
  expect(warnings).toEqual([
    expect.stringMatching(/^Step 31: loss jumped to \S+ from \S+ at its best\. Back to step 28,/),
  ]);
  await expectFinite(folder);
});

describe('a run that was taken back, resumed, equals one that was not stopped', () => {
  const faults = { nanAt: 14, safeBelow: safe[2] };
  const wanted = async (o: object = {}) => {
    const { ended, folder } = await run({ ...faults, ...o });
    await ended;
    return outcome(folder);
  };

  test.each([
    ['in calls of many steps', 16],
    ['before it was taken back', 10],
    ['between one rollback and the next checkpoint', 15],
    ['after that', 20],
  ])('killed %s', async (_, dieAt) => {
    const folder = await freshFolder();
    if (dieAt !== 16) slowClock(2);
    await expect((await run({ ...faults, dieAt }, folder)).ended).rejects.toThrow('killed');
    jest.restoreAllMocks();
    await (await run(faults, folder)).ended;
    expect(await outcome(folder)).toEqual(await wanted());
  });

  // 8 is the best checkpoint, which stays anyway; 16 must stay because it is good.
  test.each([
    [10, 14],
    [13, 14],
    [15, 14],
    [18, 20],
  ])('stopped at step %d, NaN at step %d, when but one checkpoint stays', async (stopAt, nanAt) => {
    const o = { ...faults, nanAt, cadence: { ...cadence, keep: 1 } };
    const folder = await freshFolder();
    const control = new AbortController();
    const onStep = (step: number) => step === stopAt && control.abort();
    slowClock(2);
    await (await run({ ...o, onStep }, folder, control.signal)).ended;
    jest.restoreAllMocks();
    expect(latestCheckpoint(folder)?.step).toBe(stopAt);
    await (await run(o, folder)).ended;
    expect({ ...(await outcome(folder)), checkpoints: 0 }).toEqual({
      ...(await wanted(o)),
      checkpoints: 0,
    });
  });

  test('a checkpoint from before there was a guard is good', async () => {
    const { ended, folder } = await run({ cadence: { ...cadence, steps: 8 } });
    await ended;
    const old = latestCheckpoint(folder)!;
    const { guard: _, ...state } = readState(old);
    await updateState(old, state);
    const { warnings, ended: resumed } = await run(faults, folder);
    expect(await resumed).toMatchObject({ step: 22 });
    expect(warnings[0]).toContain('Back to step 8');
  });
});

describe('what is a jump', () => {
  const watched = (errors: number[]) => {
    const watch = startWatch();
    const jumps: (string | undefined)[] = [];
    for (const error of errors) {
      watchStep(watch, error);
      jumps.push(jumpOf('l1', watch));
    }
    return { watch, at: jumps.findIndex((jump) => jump !== undefined) + 1 };
  };
  const fill = (n: number, value: number) => new Array<number>(n).fill(value);

  test('means over 4, 16 and 256 steps', () => {
    const { watch } = watched([1, 2, 6]);
    expect(watch).toMatchObject({ steps: 3, recent: 3, fast: 3, slow: 3, first: 3, best: null });
    const later = watched([...fill(16, 1), 17]).watch;
    expect(later.recent).toBeCloseTo(5, 12);
    expect(later.fast).toBeCloseTo(2, 12);
    expect(later.slow).toBeCloseTo(1 + 16 / 17, 12);
    expect(later).toMatchObject({ first: 1, best: 1 });
  });

  test('the error of the first steps come back is one, half of it is none', () => {
    const fallen = [...fill(16, 0.5), ...fill(600, 0.2)];
    expect(watched([...fallen, ...fill(600, 0.54)]).at).toBe(0);
    expect(watched([...fallen, ...fill(600, 0.6)]).at).toBeGreaterThan(616);
  });

  test('three times the best is one', () => {
    const fallen = [...fill(16, 0.5), ...fill(2000, 0.1)];
    expect(watched([...fallen, ...fill(600, 0.29)]).at).toBe(0);
    expect(watched([...fallen, ...fill(600, 0.32)]).at).toBeGreaterThan(2016);
  });

  test('more than there can be is one from step 16 on, even if it was never less', () => {
    const watch = startWatch();
    const at = Array.from({ length: 20 }, () => {
      watchStep(watch, 5);
      return jumpOf('l1', watch, { most: 2 });
    });
    expect(at.findIndex((jump) => jump !== undefined)).toBe(15);
    expect(at.at(-1)).toBe('l1 is 5.00, where even the worst model has 2');
    expect(jumpOf('l1', watch, { most: 6 })).toBeUndefined();
    expect([isCalm(watch), isCalm(watch, 2)]).toEqual([true, false]);
  });

  test('below the least there is none, however low it was', () => {
    const watch = startWatch();
    for (const error of [...fill(40, 0.5), ...fill(3000, 0.001), ...fill(30, 0.01)]) watchStep(watch, error);
    expect(jumpOf('l1', watch)).toMatch(/jumped to/);
    expect(jumpOf('l1', watch, { least: 0.2 })).toBeUndefined();
  });

  test('the first 16 steps and a single bad batch are none', () => {
    expect(watched([0.1, ...fill(15, 0.9)]).at).toBe(0);
    expect(watched([...fill(16, 0.5), ...fill(100, 0.3), 2, ...fill(50, 0.3)]).at).toBe(0);
  });

  test('an error that rises is not calm, one that falls or stays is', () => {
    expect(isCalm(watched([...fill(16, 0.5), ...fill(50, 0.3)]).watch)).toBe(true);
    expect(isCalm(watched([...fill(100, 0.3), ...fill(10, 0.6)]).watch)).toBe(false);
    expect(isCalm(watched([...fill(100, 0.3), ...fill(600, 0.6)]).watch)).toBe(true);
  });
});

describe('a batch that is not finite', () => {
  test('ends the training with the picture named; checkpoints and rate stay as they are', async () => {
    const folder = await freshFolder();
    const stage = fakeStage(folder);
    const { warnings, reporter } = listener();
    const strange: Stage = {
      ...stage,
      rowName: async (step, row) => `${step}/${row}.png`,
      inputs: async (step, course) => {
        const [entry] = await stage.inputs(step, course);
        const images = float32([3, 2], step === 13 ? [0, 0, 0, 0, Number.NaN, 0] : undefined);
        // The fake network sees a target; with it goes what the batch has.
        const target = step === 13 ? scalar(Number.NaN) : entry!.target!;
        return [{ images, ...entry, target }];
      },
    };
    await expect(runLoop(strange, { reporter })).rejects.toThrow(
      /^Expected finite numbers for the picture 13\/2\.png in step 13 but received NaN\. The data is at fault/,
    );
    expect(warnings).toEqual([]);
    expect(readState(latestCheckpoint(folder)!)).toMatchObject({
      step: 8,
      guard: { factor: 1, rollbacks: 0 },
    });
    const { ended } = await run({}, folder); // With the data in order it goes on as if nothing had been.
    await ended;
    const whole = await run({});
    await whole.ended;
    expect(await outcome(folder)).toEqual(await outcome(whole.folder));
  });

  test('inputs are looked through in their order, micro-batches as one batch', () => {
    const entry = (...values: number[]) => ({ images: float32([2, 1], values), lr: scalar(1) });
    const steps = [
      [entry(0, 1), entry(2, 3)],
      [entry(4, 5), entry(6, Number.POSITIVE_INFINITY)],
    ];
    expect(infiniteInput({ first: 19, steps })).toEqual({
      step: 20,
      name: 'images',
      value: Number.POSITIVE_INFINITY,
      row: 3,
    });
    expect(infiniteInput({ first: 19, steps: steps.slice(0, 1) })).toBeUndefined();
  });
});

test('a run that goes back passes a checkpoint over that was damaged meanwhile', async () => {
  const folder = await freshFolder();
  const { warnings, reporter } = listener();
  const stage = fakeStage(folder, {
    ...{ nanAt: 18, safeBelow: safe[1] },
    cadence: { ...cadence, checkpoint_every: 4 },
    onStep: (step) => {
      if (step === 18) truncateSync(path.join(folder, 'step-00000016', 'optimizer.safetensors'), 9);
    },
  });
  await runLoop(stage, { reporter });
  expect(warnings[0]).toMatch(/step-00000016.optimizer\.safetensors is damaged \(9 bytes of .* set aside/);
  expect(warnings[1]).toMatch(/Back to step 12, and on with 1\/3 of the learning rate/);
  expect(await fs.readdir(folder)).toContain('damaged-step-00000016');
});
