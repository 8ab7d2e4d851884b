import { entry, last, must, nth, only, pairs, picked, take, transposed } from '../../src/base/lookup.js';

test('what is there is found, falsy values too', () => {
  const record = { a: 1, b: 0, c: 3 };
  expect([must(0, 'number'), entry(record, 'b')]).toEqual([0, 0]);
  expect(Object.entries(picked(record, ['c', 'a']))).toEqual([
    ['c', 3],
    ['a', 1],
  ]);
  expect([nth([5, 6], 1), last(Int32Array.of(7, 8)), only(['x'])]).toEqual([6, 8, 'x']);
  expect(take(['a', 'b', 'c'], Int32Array.of(2, 0, 2))).toEqual(['c', 'a', 'c']);
  expect(pairs([1, 2], Int32Array.of(3, 4))).toEqual([
    [1, 3],
    [2, 4],
  ]);
  expect(
    transposed([
      [1, 2, 3],
      [4, 5, 6],
    ]),
  ).toEqual([
    [1, 4],
    [2, 5],
    [3, 6],
  ]);
});

test.each([
  [() => must(undefined, 'shape of x'), 'internal: no shape of x'],
  [() => picked({ a: 1 }, ['a', 'b']), 'internal: no b'],
  [() => nth([1], -1), 'internal: no entry -1 of 1'],
  [() => take(['a'], [1]), 'internal: no entry 1 of 1'],
  [() => last([]), 'internal: no entry -1 of 0'],
  [() => only([1, 2]), 'internal: one was expected of 2'],
  [() => pairs([1], [1, 2]), 'internal: 1 and 2 make no pairs'],
  [() => transposed([[1, 2], [3]]), 'internal: 2 and 1 make no pairs'],
])('what is not is an error of its own: %#', (look, message) => {
  expect(look).toThrow(message);
});
