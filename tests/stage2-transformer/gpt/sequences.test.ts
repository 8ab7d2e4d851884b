import { corrupted, sequencesOf, startTokens } from '../../../src/stage2-transformer/gpt/sequences.js';

test('the start token, then all codes but the last; targets are the codes', () => {
  const canvas = { codes: Int32Array.of(20, 21, 22, 23, 0, 1, 2, 3), labels: Int32Array.of(-1, 4) };
  const { ids, targets } = sequencesOf(1000, canvas);
  expect(ids.shape).toEqual([2, 4]);
  expect([...ids.data]).toEqual([1000, 20, 21, 22, 1005, 0, 1, 2]);
  expect([...targets.data]).toEqual([20, 21, 22, 23, 0, 1, 2, 3]);
});

test('a sequence begins with K + 1 + its class, or with K', () => {
  expect([...startTokens(1000, Int32Array.of(1, -1, 0))]).toEqual([1002, 1000, 1001]);
});

test('pkeep replaces a share of the codes, never the start token, by codes that the cell may have', () => {
  const canvas = { codes: new Int32Array(2400).fill(900), labels: new Int32Array(600) };
  const { ids } = sequencesOf(1000, canvas);
  const at = (step: number) =>
    corrupted(ids, { pkeep: 0.75, vocabulary: Int32Array.of(3, 800, 800, 800), seed: 1, step });
  const inputs = [...at(1).data.entries()];
  expect(inputs.filter(([i]) => i % 4 === 0).every(([, id]) => id === 1001)).toBe(true);
  const replaced = inputs.filter(([i, id]) => id !== ids.data[i]);
  expect(replaced.every(([i, id]) => id < (i % 4 === 1 ? 3 : 800))).toBe(true);
  expect(replaced.length / 1800).toBeCloseTo(0.25, 1);
  expect(at(1)).toEqual(at(1));
  expect(at(2)).not.toEqual(at(1));
});
