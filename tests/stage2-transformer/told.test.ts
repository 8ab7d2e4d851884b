import { drawerOf } from '../../src/stage2-transformer/drawer.js';
import { withAndWithout } from '../../src/stage2-transformer/maskgit/passes-drawer.js';
import { trainingCanvases } from '../../src/stage2-transformer/sequences.js';
import { drawTold, untoldCodes, withTold } from '../../src/stage2-transformer/told.js';

const condition = { name: 'condition', height: 1, width: 2, vocab: 4 };
const grids = [condition, { name: 'codes', height: 1, width: 2, vocab: 3 }];

test('codes that are told come first in each row', () => {
  const canvas = withTold([1, 2, 3, 0], { codes: Int32Array.of(-1, 7, 8, -1), labels: Int32Array.of(0, 1) });
  expect([...canvas.codes]).toEqual([1, 2, -1, 7, 3, 0, 8, -1]);
  expect([...untoldCodes([condition])]).toEqual([3, 3]);
});

test('guidance: one half is told, the other told nothing, and both go on alike', async () => {
  const asked: number[][] = [];
  const model = {
    async nextLogits(ids: Int32Array) {
      asked.push([...ids]);
      return new Float32Array(4 * ids.length);
    },
    async dispose() {},
  };
  const prior = { grids, condition: { classes: [], grids: [condition] } };
  const drawer = drawerOf(model, { grids, given: [condition], cfgScale: 2, starts: (labels) => labels });
  const known = { codes: Int32Array.of(-1, -1), labels: Int32Array.of(1) };
  const o = { choice: { temperature: 1, topK: 0, topP: 1 }, random: [{ uniform: () => 0.9 }] };
  expect([...(await drawTold(drawer, prior, known, { ...o, told: Int32Array.of(1, 0) }))]).toEqual([2, 2]);
  expect(asked).toEqual([
    [1, -1],
    [1, 3],
    [0, 3],
    [2, 2],
  ]);
  asked.length = 0;
  await drawTold(drawer, prior, known, o);
  expect(asked.slice(1, 3)).toEqual([
    [3, 3],
    [3, 3],
  ]);
  const both = withAndWithout(
    { codes: Int32Array.of(1, 0, -1, 2), labels: Int32Array.of(1) },
    untoldCodes([condition]),
  );
  expect([...both.codes]).toEqual([1, 0, -1, 2, 3, 3, -1, 2]);
});

test('guidance grows over the cells that are drawn, not over those that are told', async () => {
  const model = {
    async nextLogits(ids: Int32Array) {
      const half = ids.length / 2;
      return Float32Array.from([...ids].flatMap((_, i) => [1.5, i < half ? 1 : 0, 0, 0]));
    },
    async dispose() {},
  };
  const drawer = drawerOf(model, { grids, given: [condition], cfgScale: 3, starts: (labels) => labels });
  const prior = { grids, condition: { classes: [], grids: [condition] } };
  const known = { codes: Int32Array.of(-1, -1), labels: Int32Array.of(1) };
  const o = { choice: { temperature: 1, topK: 1, topP: 1 }, random: [{ uniform: () => 0 }] };
  // Code 1 has s beside 1.5 of code 0: s is 1 at the first cell and 3 at the last.
  expect([...(await drawTold(drawer, prior, known, { ...o, growth: 'linear' }))]).toEqual([0, 1]);
  expect([...(await drawTold(drawer, prior, known, o))]).toEqual([1, 1]);
});

test('in training some are told neither, some the class alone, some all but the class', () => {
  const rows = 400;
  const tokens = {
    ...{ tokenizer: '', size: 8, names: [], classes: ['a'], codings: 1, grids: grids.slice(1), count: rows },
    codes: new Uint16Array(2 * rows).fill(1),
    told: new Uint16Array(2 * rows).fill(2),
    labels: new Int32Array(rows),
    condition: { kind: 'edges', size: 8, grid: condition } as const,
  };
  const set = { tokens, labels: tokens.labels };
  const { codes, labels } = trainingCanvases(set, { batchSize: rows, seed: 1, classDropout: 0.1 })(1);
  const counts: Record<string, number> = {};
  for (const [row, label] of labels.entries()) {
    const [first, second, third, fourth] = codes.subarray(4 * row, 4 * row + 4);
    expect([second, third, fourth]).toEqual([first, 1, 1]);
    const kind = `${label === 0 ? 'class' : 'none'} ${first === 2 ? 'told' : 'untold'}`;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  expect(counts['class told']! / rows).toBeCloseTo(0.7, 1);
  for (const kind of ['none untold', 'none told', 'class untold'])
    expect(counts[kind]! / rows).toBeCloseTo(0.1, 1);
});
