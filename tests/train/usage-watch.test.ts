import { collapseWarning, watchUsage } from '../../src/train/usage-watch.js';

const seen = (...usages: number[]) => {
  const watch = watchUsage();
  return usages.map((usage, i) => watch.see(i, usage));
};

test('usage below half of the highest is told once for each fall', () => {
  expect(seen(0.6, 0.9, 0.5, 0.44, 0.3, 0.5, 0.44)).toEqual([
    ...[undefined, undefined, undefined, 0.9, undefined, undefined],
    undefined, // 0.5 was no recovery
  ]);
  expect(seen(0.9, 0.4, 0.6, 0.4)).toEqual([undefined, 0.9, undefined, 0.9]);
});

test('usage below a tenth is told at once', () => {
  expect(seen(0.05, 0.06, 0.11, 0.13, 0.08)).toEqual([0.05, undefined, undefined, undefined, 0.13]);
});

test('usage that was never high and stays is not', () => {
  expect(seen(0.12, 0.11, 0.15, 0.1)).toEqual([undefined, undefined, undefined, undefined]);
});

test('what steps that were taken back had shown is forgotten', () => {
  const watch = watchUsage();
  watch.see(10, 0.5);
  watch.see(20, 0.95);
  expect(watch.see(30, 0.45)).toBe(0.95);
  expect(watch.see(20, 0.45)).toBeUndefined(); // not below half of 0.5, nor low before
  expect(watch.see(30, 0.2)).toBe(0.5);
});

test('codes that are nearly all the same one are told at once, however few there are', () => {
  const watch = watchUsage();
  expect(watch.see(1, 0.125, 1.001)).toBe(0.125); // one of eight
  expect(watch.see(2, 0.5, 1.01)).toBeUndefined(); // told already: several are in use, hardly ever
  expect(watch.see(3, 0.5, 3.2)).toBeUndefined();
  expect(watch.see(4, 0.5, 1)).toBe(0.5);
});

test('of measures, which grid has collapsed', () => {
  expect(collapseWarning({ perplexity: 24, codebook_usage: 1 })).toBeUndefined();
  expect(collapseWarning({})).toBeUndefined();
  expect(collapseWarning({ perplexity: 1 })).toMatch(/^The codes have collapsed: .*perplexity 1\.00/);
  expect(collapseWarning({ perplexity: 5, perplexity_top: 1.02, perplexity_bottom: 7 })).toMatch(
    /^The codes of grid top have collapsed/,
  );
});
