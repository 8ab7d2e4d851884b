import { silent } from '../../src/base/progress.js';
import { scalar } from '../../src/base/tensor.js';
import { planSteps, timeSteps } from '../../src/train/budget.js';

const budget = { seconds: 1000, spent: () => 50 };
const plan = (o: object = {}) =>
  planSteps(budget, { step: 0.5, validation: 4, warmup: 100, reporter: silent, ...o });

test('what is left, less a twentieth and ten validations, is steps', () => {
  // 950 − 50 − 40 = 860 seconds.
  expect(plan()).toEqual({ steps: 1720, warmup: 100, eval_every: 172, checkpoint_every: 172 });
});

test('the warm-up is at most a tenth', () => {
  expect(plan({ step: 10 })).toEqual({ steps: 86, warmup: 9, eval_every: 9, checkpoint_every: 9 });
});

test('a budget that is too short says which would do, and it does', () => {
  const step = 50;
  expect(() => plan({ step })).toThrow(
    'Expected at least 20m for --budget but received 16 min 40 s. A step takes 50 s here, with these sizes.',
  );
  const longer = { ...budget, seconds: 20 * 60 };
  expect(planSteps(longer, { step, validation: 4, warmup: 1, reporter: silent }).steps).toBe(21);
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
