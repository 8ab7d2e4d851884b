import {
  canvasOf,
  histogramEntropies,
  labelled,
  meanOverCells,
  trainingCanvases,
  uniformEntropy,
  validationRows,
} from '../../src/stage2-transformer/sequences.js';
import type { Tokens } from '../../src/tokenize/token-file.js';

/** Sequence number n is 10n, 10n + 1, 10n + 2, 10n + 3. */
const tokens = (count: number): Tokens => ({
  codes: Uint16Array.from({ length: 4 * count }, (_, i) => 10 * Math.floor(i / 4) + (i % 4)),
  labels: new Int32Array(count),
  count,
  grids: [{ name: 'codes', height: 2, width: 2, vocab: 1000 }],
  tokenizer: 'x',
  codings: 1,
  size: 8,
  names: [],
  classes: [],
});

const set = (count: number, codings = 1) => labelled({ ...tokens(count), codings }, []);

test('rows as canvases, each with its class by the order in which the prior knows them', () => {
  const classed: Tokens = { ...tokens(4), classes: ['a', 'b', 'c'], labels: Int32Array.of(0, 1, 2, 2) };
  const canvas = canvasOf(labelled(classed, ['c', 'a']), [2, 0, 1]);
  expect([...canvas.codes]).toEqual([20, 21, 22, 23, 0, 1, 2, 3, 10, 11, 12, 13]);
  expect([...canvas.labels]).toEqual([0, 1, -1]);
  expect([...labelled(classed, []).labels]).toEqual([-1, -1, -1, -1]);
});

test('each epoch sees every sequence once, in an order of its own, whichever steps are asked for', () => {
  const o = { batchSize: 2, seed: 5, classDropout: 0 };
  const rowsOf = (from: number, to: number): number[] => {
    const at = trainingCanvases(set(6), o);
    const rows: number[] = [];
    for (let step = from; step <= to; step++) {
      const { codes } = at(step);
      rows.push(codes[0]! / 10, codes[4]! / 10);
    }
    return rows;
  };
  const rows = rowsOf(1, 6);
  expect([...rows.slice(0, 6)].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  expect([...rows.slice(6)].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  expect(rows.slice(0, 6)).not.toEqual(rows.slice(6));
  expect(rowsOf(3, 5)).toEqual(rows.slice(4, 10)); // a resumed run
});

test('a share of the training images comes without its class, and everything else stays as it is', () => {
  const classed: Tokens = { ...tokens(6), classes: ['a', 'b', 'c'], labels: Int32Array.of(0, 1, 2, 2, 1, 0) };
  const all = trainingCanvases(labelled(classed, ['c', 'a']), { batchSize: 600, seed: 1, classDropout: 0 });
  const dropping = trainingCanvases(labelled(classed, ['c', 'a']), {
    batchSize: 600,
    seed: 1,
    classDropout: 0.25,
  });
  const [whole, some] = [all(1), dropping(1)];
  expect(some.codes).toEqual(whole.codes);
  const changed = [...whole.labels.entries()].filter(([i, label]) => some.labels[i] !== label);
  expect(changed.every(([i]) => some.labels[i] === -1)).toBe(true);
  expect(changed.length / 400).toBeCloseTo(0.25, 1); // two in three images have a class
  expect(dropping(1)).toEqual(some);
  expect(dropping(2).labels).not.toEqual(some.labels);
});

test('of an image with several codings an epoch sees one, another time another', () => {
  const at = trainingCanvases(set(12, 3), { batchSize: 4, seed: 5, classDropout: 0 });
  const rows = (epoch: number) => [...at(epoch).codes].filter((_, i) => i % 4 === 0).map((code) => code / 10);
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
  const grid = { name: 'codes', height: 1, width: 1, vocab: 8 };
  expect(histogramEntropies({ codes: Uint16Array.from([0, 0, 1, 2]), grids: [grid] })).toEqual([1.5]);
  expect(histogramEntropies({ codes: Uint16Array.from([3, 3]), grids: [grid] })).toEqual([0]);
  expect(uniformEntropy([grid])).toBe(3);
  // Of two grids each has a histogram of its own, and its share of the cells.
  const grids = [grid, { ...grid, name: 'more', width: 3, vocab: 2 }];
  const codes = Uint16Array.from([2, 1, 1, 1, 2, 0, 1, 1]);
  const entropies = histogramEntropies({ codes, grids });
  expect(entropies).toEqual([0, expect.closeTo(0.65, 2)]);
  expect(meanOverCells(grids, entropies)).toBeCloseTo(0.75 * entropies[1]!, 10);
  expect(uniformEntropy(grids)).toBeCloseTo(0.25 * 3 + 0.75, 10);
});
