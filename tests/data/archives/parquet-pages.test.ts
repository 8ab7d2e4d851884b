import { type Column, pagesOf, structAt } from '../../../src/data/archives/parquet-pages.js';

/** A page of data in the first form: three values, of which each may be missing. */
function page(o: { runs?: number[]; count?: number; size?: number } = {}): Uint8Array {
  const { runs = [6, 1], count = 3, size } = o;
  const values = [0, 1, 2].flatMap((value) => [1, 0, 0, 0, value]);
  const content = [runs.length, 0, 0, 0, ...runs, ...values];
  const length = 2 * (size ?? content.length);
  const about = [0x2c, 0x15, 2 * count, 0x15, 0, 0x15, 6, 0x15, 6, 0];
  return Uint8Array.from([0x15, 0, 0x15, length, 0x15, length, ...about, 0, ...content]);
}

const column: Column = { rows: 3, optional: 1, most: 2 ** 20 };

test('a page that is what it says', () => {
  expect(pagesOf(page(), column).size).toBe(0);
  const unpack = (data: Uint8Array, length: number) => data.slice(0, length);
  expect([...pagesOf(page(), { ...column, unpack }).keys()]).toEqual([17]);
});

test.each([
  ['more values than rows', page({ count: 4 }), 'more values than rows'],
  ['less than it says', page({ size: 60 }), 'it ends within a page'],
  [
    'a run without end',
    page({ runs: [0xfe, 0xff, 0xff, 0xff, 0x0f, 1] }),
    'a run of more values than its page',
  ],
  [
    'many packed runs',
    page({ runs: [0xff, 0xff, 0xff, 0xff, 0x0f, 1] }),
    'a run of more values than its page',
  ],
  ['two pages of a row group of one', Uint8Array.from([...page(), ...page()]), 'more values than rows'],
])('%s', (_, bytes, message) => {
  expect(() => pagesOf(bytes, column)).toThrow(message);
});

test('pages that together are larger than what is held at a time', () => {
  expect(() => pagesOf(page(), { ...column, most: 20 })).toThrow(/pages of more than/);
});

test('lists that do not end, are too deep or have endless numbers', () => {
  const deep = Uint8Array.from({ length: 100 }, () => 0x1c);
  const endless = Uint8Array.from({ length: 100 }, (_, i) => (i === 0 ? 0x16 : 0xff));
  const long = Uint8Array.of(0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f, 0);
  for (const bytes of [deep, endless, long, Uint8Array.of(0x15)])
    expect(() => structAt(bytes, 0)).toThrow('its list of parts is damaged');
});
