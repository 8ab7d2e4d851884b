import { rangeOf, shardText } from '../../src/base/shard.js';

const ranges = (count: number, total: number, batch: number) =>
  Array.from({ length: count }, (_, i) => rangeOf({ index: i + 1, count }, total, batch));

test('ranges are whole batches, as many in each as can be', () => {
  expect(ranges(3, 100, 16)).toEqual([
    { from: 0, to: 32 },
    { from: 32, to: 64 },
    { from: 64, to: 100 },
  ]);
  expect(ranges(1, 5, 16)).toEqual([{ from: 0, to: 5 }]);
  expect(ranges(3, 17, 16).map(({ from, to }) => to - from)).toEqual([0, 16, 1]);
});

test('of any number they are all things once, in order, each from a batch on, none a batch larger than another', () => {
  for (const count of [1, 2, 3, 7, 16])
    for (const total of [0, 1, 15, 16, 17, 33, 100])
      for (const batch of [1, 4, 16]) {
        const all = ranges(count, total, batch);
        expect(all.map(({ from }) => from)).toEqual([0, ...all.slice(0, -1).map(({ to }) => to)]);
        expect(all.at(-1)?.to).toBe(total);
        expect(all.every(({ from, to }) => to >= from && (from === total || from % batch === 0))).toBe(true);
        const batches = all.map(({ from, to }) => Math.ceil((to - from) / batch));
        expect(Math.max(...batches) - Math.min(...batches)).toBeLessThanOrEqual(1);
      }
});

test('is written as --shard takes it', () => {
  expect(shardText({ index: 3, count: 8 })).toBe('3/8');
});
