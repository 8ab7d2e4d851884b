import '../../support/cpu.js';
import { nearestCode } from '../../../src/stage1-vqgan/bottlenecks/nearest.js';
import { oneGrid } from '../../../src/stage1-vqgan/bottlenecks/one-grid.js';
import { tinyConfig } from '../tiny.js';

const place = { features: 4, side: 2, batch: 1, parts: 1, seed: 0, dims: 48 };
const watch = (grid?: string) =>
  oneGrid(nearestCode(tinyConfig({}).stage1), place, {
    grid,
    codes: 4,
    width: 2,
    remedy: 'Do less.',
  }).watch();

test('a fall of the usage of the one grid is told', () => {
  const see = watch();
  expect(see(1, { codebook_usage: 0.9 })).toBeUndefined();
  expect(see(2, { loss: 1 })).toBeUndefined();
  expect(see(3, { codebook_usage: 0.4 })).toBe(
    'At step 3 only 40 % of the codes are in use, of up to 90 % before. Do less.',
  );
});

test('of several grids each watches its own', () => {
  const line = (top: number, bottom: number) => ({
    ...{ codebook_usage: 0.05, codebook_usage_top: top, codebook_usage_bottom: bottom },
  });
  const [top, bottom] = [watch('top'), watch('bottom')];
  for (const see of [top, bottom]) expect(see(1, line(0.9, 0.9))).toBeUndefined();
  expect(top(2, line(0.04, 0.9))).toBe(
    'At step 2 only 4 % of the codes of grid top are in use, of up to 90 % before. Do less.',
  );
  expect(bottom(2, line(0.04, 0.9))).toBeUndefined();
});
