import {
  histogramEntropy,
  sequencesOf,
  startTokens,
  trainingSequences,
  validationRows,
} from '../../src/stage2-transformer/sequences.js';
import type { Tokens } from '../../src/tokenize/token-file.js';

/** Sequence number n is 10n, 10n + 1, 10n + 2, 10n + 3. */
const tokens = (count: number): Tokens => ({
  codes: Uint16Array.from({ length: 4 * count }, (_, i) => 10 * Math.floor(i / 4) + (i % 4)),
  labels: new Int32Array(count),
  count,
  height: 2,
  width: 2,
  tokenizer: 'x',
  vocab: 1000,
  codings: 1,
  size: 8,
  names: [],
  classes: [],
});

test('the start token, then all codes but the last; targets are the codes', () => {
  const { ids, targets } = sequencesOf(tokens(3), [2, 0]);
  expect(ids.shape).toEqual([2, 4]);
  expect([...ids.data]).toEqual([1000, 20, 21, 22, 1000, 0, 1, 2]);
  expect([...targets.data]).toEqual([20, 21, 22, 23, 0, 1, 2, 3]);
});

test('each epoch sees every sequence once, in an order of its own, whichever steps are asked for', () => {
  const o = { batchSize: 2, pkeep: 1, seed: 5 };
  const rowsOf = (from: number, to: number): number[] => {
    const at = trainingSequences(tokens(6), o);
    const rows: number[] = [];
    for (let step = from; step <= to; step++) {
      const { data } = at(step).targets;
      rows.push(data[0]! / 10, data[4]! / 10);
    }
    return rows;
  };
  const rows = rowsOf(1, 6);
  expect([...rows.slice(0, 6)].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  expect([...rows.slice(6)].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  expect(rows.slice(0, 6)).not.toEqual(rows.slice(6));
  expect(rowsOf(3, 5)).toEqual(rows.slice(4, 10)); // a resumed run
});

test('pkeep replaces a share of the input codes, never the start token or a target', () => {
  const at = trainingSequences(tokens(6), { batchSize: 600, pkeep: 0.75, seed: 1 });
  const whole = trainingSequences(tokens(6), { batchSize: 600, pkeep: 1, seed: 1 });
  const { ids, targets } = at(1);
  const kept = whole(1);
  expect(targets).toEqual(kept.targets);
  const inputs = [...ids.data.entries()];
  expect(inputs.filter(([i]) => i % 4 === 0).every(([, id]) => id === 1000)).toBe(true);
  const replaced = inputs.filter(([i, id]) => id !== kept.ids.data[i]);
  expect(replaced.every(([, id]) => id < 1000)).toBe(true);
  expect(replaced.length / 1800).toBeCloseTo(0.25, 1);
  expect(at(1)).toEqual({ ids, targets });
  expect(at(2).ids).not.toEqual(ids);
});

describe('classes', () => {
  const classed: Tokens = { ...tokens(6), classes: ['a', 'b', 'c'], labels: Int32Array.of(0, 1, 2, 2, 1, 0) };
  const starts = startTokens(classed, ['c', 'a']);

  test("a sequence begins with its class, by the prior's order of names; without one that the prior knows, with K", () => {
    expect([...starts]).toEqual([1002, 1000, 1001, 1001, 1000, 1002]);
    const { ids } = sequencesOf(classed, [2, 0, 1], starts);
    expect([...ids.data]).toEqual([1001, 20, 21, 22, 1002, 0, 1, 2, 1000, 10, 11, 12]);
    expect([...startTokens(classed, [])]).toEqual(new Array(6).fill(1000));
  });

  test('a share of the training sequences begins without, and everything else stays as it is', () => {
    const o = { batchSize: 600, pkeep: 0.9, seed: 1, starts };
    const dropping = trainingSequences(classed, { ...o, classDropout: 0.25 });
    const [some, all] = [dropping(1), trainingSequences(classed, o)(1)];
    expect(some.targets).toEqual(all.targets);
    const changed = [...all.ids.data.entries()].filter(([i, id]) => some.ids.data[i] !== id);
    expect(changed.every(([i, id]) => i % 4 === 0 && id > 1000 && some.ids.data[i] === 1000)).toBe(true);
    expect(changed.length / 400).toBeCloseTo(0.25, 1); // two in three images have a class
    expect(dropping(1)).toEqual(some);
    expect([...dropping(2).ids.data].filter((_, i) => i % 4 === 0)).not.toEqual(
      [...some.ids.data].filter((_, i) => i % 4 === 0),
    );
  });
});

test('of an image with several codings an epoch sees one, another time another', () => {
  const at = trainingSequences({ ...tokens(12), codings: 3 }, { batchSize: 4, pkeep: 1, seed: 5 });
  const rows = (epoch: number) =>
    [...at(epoch).targets.data].filter((_, i) => i % 4 === 0).map((code) => code / 10);
  const epochs = Array.from({ length: 30 }, (_, i) => rows(i + 1));
  for (const epoch of epochs) expect(epoch.map((row) => Math.floor(row / 3)).sort()).toEqual([0, 1, 2, 3]);
  expect(new Set(epochs.flat()).size).toBe(12);
});

test('validation looks at a fixed random choice', () => {
  const rows = validationRows(1000, 10);
  expect(rows).toEqual(validationRows(1000, 10));
  expect(new Set(rows).size).toBe(10);
  expect(Math.max(...rows)).toBeGreaterThan(300);
  expect(validationRows(4, 10).sort()).toEqual(Int32Array.from([0, 1, 2, 3]));
});

test('entropy of the histogram in bits', () => {
  expect(histogramEntropy({ codes: Uint16Array.from([0, 0, 1, 2]), vocab: 8 })).toBeCloseTo(1.5, 10);
  expect(histogramEntropy({ codes: Uint16Array.from([3, 3]), vocab: 8 })).toBe(0);
});
