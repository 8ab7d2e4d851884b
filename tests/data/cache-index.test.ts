import { createHash } from 'node:crypto';
import { stream } from '../../src/base/rng.js';
import { type CacheIndex, formatIndex, parseIndex } from '../../src/data/cache-index.js';

const index: CacheIndex = {
  kept: [0, 2, 3],
  widths: [8, 16, 8],
  heights: [8, 8, 9],
  sums: [1, 2 ** 32 - 1, 3],
  contents: ['120-a0', null, '9-ff'],
  skipped: [
    { name: 'b.png', reason: 'no picture that can be read' },
    { name: 'e.png', reason: 'no such file', passing: true },
  ],
};
const of = { pictures: 5, size: 8 };

test('what is written is read', () => {
  expect(parseIndex(formatIndex(index), of)).toEqual(index);
});

/** With the right checksum, as a stranger can write it. */
function forged(value: unknown): string {
  const text = JSON.stringify(value);
  return `${createHash('sha256').update(text).digest('hex')}\n${text}`;
}

test('500 mutations of its bytes are all found', () => {
  const rng = stream(19, 'mutations');
  const text = formatIndex(index);
  for (let i = 0; i < 500; i++) {
    const bytes = Buffer.from(text);
    const at = rng.below(bytes.length);
    const kind = rng.below(4);
    if (kind === 0) bytes[at]! ^= 1 << rng.below(8);
    else if (kind === 1) bytes[at] = 33 + rng.below(90);
    const cut = kind === 2 ? bytes.subarray(0, at) : bytes;
    const mutated = kind === 3 ? Buffer.concat([cut.subarray(0, at), cut.subarray(at + 1)]) : cut;
    if (mutated.equals(Buffer.from(text))) continue;
    expect(parseIndex(mutated.toString('utf8'), of)).toBeUndefined();
  }
});

test.each<[string, unknown]>([
  ['nothing', null],
  ['a list', []],
  ['no fields', {}],
  ['another field', { ...index, more: 1 }],
  ['an index beyond the source', { ...index, kept: [0, 2, 5] }],
  ['pictures out of order', { ...index, kept: [2, 0, 3] }],
  ['one twice', { ...index, kept: [0, 2, 2] }],
  ['too few sides', { ...index, widths: [8, 16] }],
  ['a side of 0', { ...index, widths: [0, 16, 8] }],
  ['a side that is NaN', { ...index, widths: [Number.NaN, 16, 8] }],
  ['a fraction', { ...index, widths: [8.5, 16, 8] }],
  ['a side too long', { ...index, widths: [8, 17, 8] }],
  ['another size', { ...index, widths: [9, 16, 8], heights: [9, 8, 9] }],
  ['too many pictures', { ...index, skipped: [...index.skipped, { name: 'f', reason: 'x' }] }],
  ['a sum below 0', { ...index, sums: [-1, 2, 3] }],
  ['no picture', { ...index, kept: [], widths: [], heights: [], sums: [], contents: [] }],
])('%s is refused, though its checksum is right', (_, value) => {
  expect(parseIndex(forged(index), of)).toEqual(index);
  expect(parseIndex(forged(value), of)).toBeUndefined();
});

test('seeded mutations of its values give an index whose parts fit, or none', () => {
  const rng = stream(20, 'values');
  const strange = [-1, 0, 1.5, 2 ** 53, '8', null, [], {}, true, [[1]], Number.MAX_VALUE];
  for (let i = 0; i < 300; i++) {
    const value = structuredClone(index) as unknown as Record<string, unknown[]>;
    const keys = Object.keys(value);
    const list = value[keys[rng.below(keys.length)]!]!;
    const other = strange[rng.below(strange.length)];
    if (rng.below(3) === 0) list.splice(rng.below(list.length), 1);
    else list[rng.below(list.length + 1)] = other;
    const read = parseIndex(forged(value), of);
    if (!read) continue;
    expect(read.kept.length + read.skipped.length).toBe(5);
    expect(read.widths.every((width, k) => Math.min(width, read.heights[k]!) === 8)).toBe(true);
  }
});
