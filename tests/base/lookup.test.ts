import { must, select, take, zip } from '../../src/base/lookup.js';

test('what is there comes back, falsy values too', () => {
  expect(must(0, 'number')).toBe(0);
  expect(take(['a', 'b', 'c'], Int32Array.of(2, 0, 2))).toEqual(['c', 'a', 'c']);
  expect(take(new Float32Array([0.5, 0]), [1])).toEqual([0]);
  expect(Object.entries(select({ a: 1, b: 2, c: 3 }, ['c', 'a']))).toEqual([
    ['c', 3],
    ['a', 1],
  ]);
  expect(zip(['a', 'b'], Int32Array.of(1, 2))).toEqual([
    ['a', 1],
    ['b', 2],
  ]);
});

test('what is missing is an internal error that names it', () => {
  expect(() => must(undefined, 'shape of x')).toThrow('internal: no shape of x');
  expect(() => take(['a'], [1])).toThrow('internal: no entry 1 of 1');
  expect(() => select<string, number>({ a: 1 }, ['b'])).toThrow('internal: no b');
  expect(() => zip([1, 2], [1])).toThrow('internal: 2 entries beside 1');
});
