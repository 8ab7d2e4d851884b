import { entry, last, nth, only, pairs, picked, transposed } from '../../src/base/entries.js';

test('what is there is found', () => {
  const record = { a: 1, b: 0, c: 3 };
  expect(entry(record, 'b')).toBe(0);
  expect(picked(record, ['c', 'a'])).toEqual({ c: 3, a: 1 });
  expect([nth([5, 6], 1), last(Int32Array.of(7, 8)), only(['x'])]).toEqual([6, 8, 'x']);
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
  [() => picked({ a: 1 }, ['a', 'b']), 'internal: b is missing'],
  [() => nth([1], -1), 'internal: nothing at -1 of 1'],
  [() => last([]), 'internal: nothing at -1 of 0'],
  [() => only([1, 2]), 'internal: one was expected of 2'],
  [() => pairs([1], [1, 2]), 'internal: 1 and 2 make no pairs'],
  [() => transposed([[1, 2], [3]]), 'internal: 2 and 1 make no pairs'],
])('what is not is an error of its own: %#', (look, message) => {
  expect(look).toThrow(message);
});
