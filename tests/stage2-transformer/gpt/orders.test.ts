import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensor } from '../../../src/base/tensor.js';
import { configSchema, type PriorConfig } from '../../../src/config/schema.js';
import { initialise, specsOf, treeOf } from '../../../src/nn/params.js';
import { gptLogits, gptSpecs } from '../../../src/stage2-transformer/gpt/gpt.js';
import { gptPrior, gptSizes } from '../../../src/stage2-transformer/gpt/index.js';
import { ordersOf, randomShare, reordered } from '../../../src/stage2-transformer/gpt/orders.js';
import { sequencesOf } from '../../../src/stage2-transformer/gpt/sequences.js';
import { expectClose } from '../../support/close.js';

const grids = [{ name: 'codes', height: 2, width: 3, vocab: 5 }];
const settings = (o: Partial<PriorConfig> = {}) => ({
  ...configSchema.parse({}).prior,
  ...{ layers: 2, heads: 2, width: 16, dropout: 0, order: 'annealed' as const, steps: 1000 },
  ...o,
  seed: 3,
});

test('random orders with a probability of 1 for half of the steps, falling to 0 at three quarters', () => {
  const at = (step: number) => randomShare(step, 1000);
  expect([1, 500, 501, 626, 751, 1000].map(at)).toEqual([1, 1, 1, 0.5, 0, 0]);
  const isRandom = (order: Int32Array) => order.some((cell, i) => cell !== i);
  const share = (share: number): number => {
    const orders = ordersOf([{ ...grids[0]!, height: 4, width: 4 }], 400, { share, seed: 1, step: 1 });
    const each = Array.from({ length: 400 }, (_, row) => orders.subarray(16 * row, 16 * (row + 1)));
    expect(each.every((order) => [...order].sort((a, b) => a - b).every((cell, i) => cell === i))).toBe(true);
    return each.filter(isRandom).length / 400;
  };
  expect(share(1)).toBe(1);
  expect(share(0.3)).toBeCloseTo(0.3, 1);
  expect(share(0)).toBe(0);
});

test('an order depends on seed and step; cells of a grid stay behind those of the grids before it', () => {
  const two = [grids[0]!, { name: 'finer', height: 4, width: 4, vocab: 7 }];
  const of = (seed: number, step: number) => ordersOf(two, 8, { share: 1, seed, step });
  expect(of(1, 1)).toEqual(of(1, 1));
  expect(of(1, 2)).not.toEqual(of(1, 1));
  expect(of(2, 1)).not.toEqual(of(1, 1));
  expect(of(1, 1).every((cell, i) => cell < 6 === i % 22 < 6)).toBe(true);
});

test('codes, places and cells to predict, by hand', () => {
  const canvas = { codes: Int32Array.of(10, 11, 12, 20, 21, 22), labels: Int32Array.of(-1, 4) };
  const { canvas: moved, places, next } = reordered(canvas, Int32Array.of(2, 0, 1, 1, 2, 0));
  expect(moved).toEqual({ codes: Int32Array.of(12, 10, 11, 21, 22, 20), labels: canvas.labels });
  expect([...places.data]).toEqual([0, 3, 1, 0, 2, 3]);
  expect([...next.data]).toEqual([2, 0, 1, 1, 2, 0]);
});

test('a step has random orders in the first half, rows in the last quarter, and a validation always', () => {
  const prior = gptPrior(settings(), grids, { classes: [], grids: [] });
  const canvas = { codes: Int32Array.of(0, 1, 2, 3, 4, 0), labels: Int32Array.of(-1) };
  const feed = (step: number) => prior.feed('train', step, canvas).batched!;
  expect([...feed(751).next!.data]).toEqual([0, 1, 2, 3, 4, 5]);
  expect([...feed(751).places!.data]).toEqual([0, 1, 2, 3, 4, 5]);
  expect([...feed(1).next!.data]).not.toEqual([0, 1, 2, 3, 4, 5]);
  expect([...feed(1).targets!.data]).toEqual([...feed(1).next!.data].map((cell) => canvas.codes[cell]));
  expect(Object.keys(feed(1)).sort()).toEqual(Object.keys(prior.inputs('train', 1)).sort());
  expect(prior.feed('eval', 1, canvas).batched).toEqual({ ...sequencesOf(5, canvas) });
});

const tensor = ({ data, shape }: HostTensor) => tf.tensor(data, [...shape], 'int32');

describe.each([
  ['learned positions', { positions: 'learned' }],
  ['rotary positions', { positions: 'rope' }],
] as const)('%s', (_, o) => {
  /** Logits [T, K] for the cells of an order, one after another, or as they are drawn. */
  const logits = (codes: number[], order?: number[], { layers = 2, told = true } = {}): number[][] => {
    const sizes = gptSizes(settings({ ...o, layers }), grids);
    const specs = gptSpecs(sizes);
    const params = Object.entries(initialise(specsOf(specs), 4)).map(([name, { data, shape }]) => {
      const spread = data.map((v, i) => (/gamma$/.test(name) ? v : 10 * v + 0.2 * Math.sin(3 * i)));
      return [name, name === 'targets' && !told ? tf.zeros([...shape]) : tf.tensor(spread, [...shape])];
    });
    const canvas = { codes: Int32Array.from(codes), labels: Int32Array.of(-1) };
    const given = reordered(canvas, Int32Array.from(order ?? codes.keys()));
    const { ids } = sequencesOf(5, given.canvas);
    const where = order && { order: { places: tensor(given.places), next: tensor(given.next) } };
    const all = gptLogits(sizes, treeOf(specs, Object.fromEntries(params)), tensor(ids), where);
    return (all.arraySync() as number[][][])[0]!;
  };
  const codes = [0, 1, 2, 3, 4, 0];
  const order = [3, 5, 0, 4, 1, 2];

  test('each prediction knows the codes before it in the order, and no other', () => {
    const before = logits(codes, order);
    for (const [j, cell] of order.entries()) {
      const after = logits(codes.with(cell, (codes[cell]! + 1) % 5), order);
      const changed = after.map((row, i) => row.some((v, k) => v !== before[i]![k]));
      expect(changed).toEqual(order.map((_, i) => i > j));
    }
  });

  test('a code is known at its own cell, whenever it came', () => {
    // In a single layer, and where earlier tokens are not told what was next, a prediction is of a set of codes and
    // cells.
    const last = (order: number[]) => ({
      shape: [5],
      data: logits(codes, order, { layers: 1, told: false }).at(-1)!,
    });
    const wanted = last([3, 5, 0, 4, 1, 2]);
    for (const order of [
      [0, 3, 4, 5, 1, 2],
      [5, 4, 3, 0, 1, 2],
    ])
      expectClose(last(order), wanted, { atol: 1e-4 });
    expect(() => expectClose(last([0, 3, 4, 1, 5, 2]), wanted, { atol: 1e-2 })).toThrow();
  });

  test('which cell is next makes a difference; the order of the rows is what is drawn', () => {
    const [a, b] = [logits(codes, [0, 1, 2, 3, 4, 5]), logits(codes, [0, 1, 2, 5, 4, 3])];
    expect(b.slice(0, 4).map((row, i) => row.join() === a[i]!.join())).toEqual([true, true, true, false]);
    expectClose({ shape: [30], data: logits(codes).flat() }, a.flat());
  });
});
