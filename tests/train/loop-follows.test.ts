/**
 * A stage that turns to something else when its steps have shown something: the turn is the same however a run is cut
 * up.
 */
import { jest } from '@jest/globals';
import { type Reporter, silent } from '../../src/base/progress.js';
import { latestCheckpoint } from '../../src/checkpoint/store.js';
import { type Kept, runLoop, type Stage } from '../../src/train/loop.js';
import { cadence, fakeStage, lr, outcome, slowClock } from '../support/fake-stage.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);
afterEach(() => jest.restoreAllMocks());

type Faults = NonNullable<Parameters<typeof fakeStage>[1]>;

/** From the step after 10 on the rate is a tenth; all losses so far are added up. */
function turningStage(folder: string, faults: Faults = {}) {
  const fake = fakeStage(folder, faults);
  const kept: Kept = { turn: 99, sum: 0 };
  const stage: Stage & { runner: (typeof fake)['runner'] } = {
    ...fake,
    kept,
    inputs: (step, course) =>
      fake.inputs(step, { ...course, factor: course.factor / (step >= course.kept.turn! ? 10 : 1) }),
    follows: {
      next: (kept, step) =>
        kept.turn! > step + 1 ? 5 * (Math.floor(step / 5) + 1) : Number.POSITIVE_INFINITY,
      see(kept, step, { loss }) {
        const sum = kept.sum! + loss!;
        const turns = step >= 10 && step % 5 === 0 && kept.turn! > step;
        const after: Kept = { sum, turn: turns ? step + 1 : kept.turn! };
        return turns ? { kept: after, said: `turned after ${step}` } : { kept: after };
      },
    },
  };
  return stage;
}

async function run(o: { faults?: Faults; folder?: string; signal?: AbortSignal } = {}) {
  const folder = o.folder ?? (await freshFolder());
  const stage = turningStage(folder, o.faults);
  const notes: string[] = [];
  const reporter: Reporter = { ...silent, note: (line) => notes.push(line) };
  const ended = runLoop(stage, { from: latestCheckpoint(folder), reporter, signal: o.signal });
  return { stage, folder, notes, ended };
}

test.each([0, 2])(
  'a turn holds from the very next step on, when a look at the clock takes %d s',
  async (seconds) => {
    if (seconds > 0) slowClock(seconds);
    const { stage, notes, ended, folder } = await run();
    await ended;
    expect(notes.filter((line) => /turned/.test(line))).toEqual(['turned after 10']);
    expect(stage.runner.rates).toEqual(
      Array.from({ length: 22 }, (_, i) => [i + 1, expect.closeTo(i < 10 ? lr : lr / 10, 6)]),
    );
    const { state } = await outcome(folder);
    expect(state.kept).toEqual({ turn: 11, sum: expect.any(Number) });
  },
);

test.each([7, 10, 11, 19])(
  'killed at step %d and resumed, a run turns as one that was not',
  async (dieAt) => {
    const whole = await run();
    await whole.ended;
    slowClock(2);
    const killed = await run({ faults: { dieAt } });
    await expect(killed.ended).rejects.toThrow('killed');
    jest.restoreAllMocks();
    await (await run({ folder: killed.folder })).ended;
    expect(await outcome(killed.folder)).toEqual(await outcome(whole.folder));
  },
);

test('stopped right after the turn and resumed, a run goes on turned', async () => {
  const whole = await run();
  await whole.ended;
  slowClock(2);
  const control = new AbortController();
  const onStep = (step: number) => step === 10 && control.abort();
  const stopped = await run({ faults: { onStep }, signal: control.signal });
  await stopped.ended;
  jest.restoreAllMocks();
  expect(latestCheckpoint(stopped.folder)?.step).toBe(10);
  await (await run({ folder: stopped.folder })).ended;
  expect({ ...(await outcome(stopped.folder)), checkpoints: 0 }).toEqual({
    ...(await outcome(whole.folder)),
    checkpoints: 0,
  });
});

test('taken back to before the turn, a run turns again', async () => {
  const faults = { nanAt: 12, safeBelow: 1.01 * (lr / 30), cadence: { ...cadence, log_every: 1 } };
  const { stage, notes, ended, folder } = await run({ faults });
  await ended;
  const { lines, state } = await outcome(folder);
  const losses = lines.filter(({ split }) => split === 'train').map(({ loss }) => Number(loss));
  expect(state.kept!.sum).toBeCloseTo(
    losses.reduce((sum, loss) => sum + loss, 0),
    3,
  );
  expect(notes.filter((line) => /turned/.test(line))).toEqual(['turned after 10', 'turned after 10']);
  const { rates } = stage.runner;
  expect(rates.slice(rates.findLastIndex(([step]) => step === 9))).toEqual(
    Array.from({ length: 14 }, (_, i) => [i + 9, expect.closeTo(i < 2 ? lr / 3 : lr / 30, 6)]),
  );
});
