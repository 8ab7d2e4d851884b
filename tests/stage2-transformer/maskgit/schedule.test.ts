import {
  type MaskSchedule,
  maskedShare,
  stillMasked,
} from '../../../src/stage2-transformer/maskgit/schedule.js';

const schedules: MaskSchedule[] = ['cosine', 'linear', 'square', 'arccos'];

/** Cells that each pass fills. */
function filled(schedule: MaskSchedule, cells: number, steps: number): number[] {
  const counts: number[] = [];
  for (let step = 1, masked = cells; step <= steps; step++) {
    const left = stillMasked(schedule, { step, steps, cells, masked });
    counts.push(masked - left);
    masked = left;
  }
  return counts;
}

test('cells filled by pass, of 64 in 8', () => {
  // floor(64·cos(πr/2)) at r = 1/8 … 1: 62 59 53 45 35 24 12 0.
  expect(filled('cosine', 64, 8)).toEqual([2, 3, 6, 8, 10, 11, 12, 12]);
  expect(filled('arccos', 64, 8)).toEqual([6, 5, 5, 6, 6, 7, 9, 20]);
  expect(filled('linear', 64, 8)).toEqual([8, 8, 8, 8, 8, 8, 8, 8]);
  expect(filled('square', 64, 8)).toEqual([1, 3, 5, 7, 9, 11, 13, 15]);
});

test.each(schedules)('%s: all cells in the end, one at least in each pass that finds any', (schedule) => {
  expect(maskedShare(schedule, 0)).toBeCloseTo(1);
  expect(maskedShare(schedule, 1)).toBeCloseTo(0);
  for (const cells of [1, 2, 3, 7, 64, 1000])
    for (const steps of [1, 2, 5, 8, 12, 70]) {
      const counts = filled(schedule, cells, steps);
      expect(counts.reduce((sum, n) => sum + n, 0)).toBe(cells);
      let left = cells;
      for (const count of counts) {
        expect(count).toBeGreaterThanOrEqual(Math.min(1, left));
        left -= count;
      }
      // Nothing is left to do before the last pass only where there are fewer cells than passes.
      if (cells >= steps) expect(Math.min(...counts)).toBeGreaterThan(0);
    }
});
