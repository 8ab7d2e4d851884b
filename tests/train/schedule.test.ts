import { learningRate } from '../../src/train/schedule.js';

const at = (step: number, o: object = {}, since?: number) =>
  learningRate(step, { lr: 1, warmup: 4, steps: 11, schedule: 'cosine', ...o }, since);

test('rises linearly to lr at the last step of the warm-up', () => {
  expect([1, 2, 3, 4].map((step) => at(step))).toEqual([0.25, 0.5, 0.75, 1]);
});

test('then falls as half a cosine that the step after the last would end at 0', () => {
  // 8 intervals from step 4 to step 12: half-way at step 8, three quarters at step 10.
  expect(at(8)).toBeCloseTo(0.5, 12);
  expect(at(6)).toBeCloseTo((1 + Math.SQRT1_2) / 2, 12);
  expect(at(10)).toBeCloseTo((1 - Math.SQRT1_2) / 2, 12);
  expect(at(11)).toBeGreaterThan(0);
  expect(at(12)).toBeCloseTo(0, 12);
});

test('constant stays; without warm-up it starts at lr; lr scales all', () => {
  expect([4, 7, 11].map((step) => at(step, { schedule: 'constant' }))).toEqual([1, 1, 1]);
  expect(at(1, { schedule: 'constant', warmup: 0, lr: 3e-4 })).toBe(3e-4);
  expect(at(2, { lr: 3e-4 })).toBeCloseTo(1.5e-4, 12);
});

test('a warm-up longer than the run only rises', () => {
  expect(at(10, { warmup: 20, steps: 10 })).toBe(0.5);
});

describe('where moments begin later', () => {
  test('rises anew by as many steps, to what the schedule has there', () => {
    const constant = { schedule: 'constant', lr: 8 };
    expect([101, 102, 103, 104, 105].map((step) => at(step, constant, 100))).toEqual([2, 4, 6, 8, 8]);
    // Half-way down at step 8, two of four steps after 6; three quarters down at step 10, four of four.
    expect(at(8, {}, 6)).toBeCloseTo(0.5 * 0.5, 12);
    expect(at(10, {}, 6)).toBeCloseTo((1 - Math.SQRT1_2) / 2, 12);
    expect(at(11, {}, 6)).toBe(at(11));
  });

  test('rises once where that is within the warm-up; without one not at all', () => {
    expect([3, 4].map((step) => at(step, {}, 2))).toEqual([0.25, 0.5]);
    expect(at(7, { warmup: 0, schedule: 'constant' }, 6)).toBe(1);
  });
});
