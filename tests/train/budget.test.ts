import { silent } from '../../src/base/progress.js';
import { scalar } from '../../src/base/tensor.js';
import { planSteps, timeSteps } from '../../src/train/budget.js';

const budget = { seconds: 1000, spent: () => 50 };
const each = (seconds: number) => (steps: number) => seconds * steps;
const plan = (o: object = {}) =>
  planSteps(budget, { secondsOf: each(0.5), validation: 4, warmup: 100, reporter: silent, ...o });

test('what is left, less a twentieth and ten validations, is steps', () => {
  // 950 − 50 − 40 = 860 seconds.
  expect(plan()).toEqual({ steps: 1720, eval_every: 172, checkpoint_every: 172 });
});

test('steps may take longer from some share of them on', () => {
  // Half of them take 0.5 s, half 1.5 s: 1 s each.
  const secondsOf = (steps: number) => 0.5 * Math.ceil(steps / 2) + 1.5 * Math.floor(steps / 2);
  expect(plan({ secondsOf }).steps).toBe(860);
});

test('a budget that is too short says which would do, and it does', () => {
  const secondsOf = each(5);
  expect(() => plan({ secondsOf })).toThrow(
    'Expected at least 20m for --budget but received 1000s. A step takes 5.0 s here, and 200 are the fewest with these sizes and this warm-up.',
  );
  const longer = { ...budget, seconds: 20 * 60 };
  const { steps } = planSteps(longer, { secondsOf, validation: 4, warmup: 100, reporter: silent });
  expect(steps).toBe(210); // 1140 − 50 − 40 = 1050 seconds
  expect(plan({ secondsOf, warmup: 10 }).steps).toBe(172);
});

test('a step is timed on the state given, after one that does not count', async () => {
  const loaded: unknown[] = [];
  const ran: unknown[] = [];
  const runner = {
    load: (state: unknown) => loaded.push(state),
    run: async (inputs: unknown) => {
      ran.push(inputs);
      await new Promise((resolve) => setTimeout(resolve, ran.length === 1 ? 200 : 5));
      return [];
    },
    read: async () => ({}),
    dispose: async () => {},
  };
  const state = { w: scalar(1) };
  const inputs = [{ step: scalar(1) }];
  const seconds = await timeSteps(runner as never, { state, inputs, budget: { seconds: 1, spent: () => 0 } });
  expect(loaded).toEqual([state]);
  expect(ran.length).toBeGreaterThan(1);
  expect(ran.every((given) => given === inputs)).toBe(true);
  expect(seconds).toBeGreaterThan(0);
  const signal = AbortSignal.abort();
  await expect(timeSteps(runner as never, { state, inputs, budget, signal })).rejects.toThrow();
});
