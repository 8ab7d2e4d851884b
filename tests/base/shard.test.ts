import fc from 'fast-check';
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
  const sizes = [fc.integer({ min: 1, max: 40 }), fc.nat(500), fc.integer({ min: 1, max: 32 })] as const;
  fc.assert(
    fc.property(...sizes, (count, total, batch) => {
      const all = ranges(count, total, batch);
      let at = 0;
      for (const { from, to } of all) {
        expect(from).toBe(at);
        expect(to).toBeGreaterThanOrEqual(from);
        if (from < total) expect(from % batch).toBe(0);
        at = to;
      }
      expect(at).toBe(total);
      const batches = all.map(({ from, to }) => Math.ceil((to - from) / batch));
      expect(Math.max(...batches) - Math.min(...batches)).toBeLessThanOrEqual(1);
    }),
  );
});

test('is written as --shard takes it', () => {
  expect(shardText({ index: 3, count: 8 })).toBe('3/8');
});
