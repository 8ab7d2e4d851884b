import { codebookUse, countCodes, isTelling, noUse } from '../../src/train/book-use.js';

const uses = (counts: Record<string, number[]>) =>
  Object.entries(counts).map(([name, counts]) => ({ name, counts }));

test('of one book: the share of its codes, and how many there would be if all were used alike', () => {
  expect(codebookUse(uses({ codes: [8, 8, 0, 0] }))).toEqual({ codebook_usage: 0.5, perplexity: 2 });
  // 1/2, 1/4, 1/4: 1.5 bits.
  expect(codebookUse(uses({ codes: [2, 1, 1] })).perplexity).toBeCloseTo(2 ** 1.5, 12);
});

test('of two books: each one’s own, the share of all codes, and the perplexity of a token', () => {
  // 16 tokens without a choice, 64 of 2 bits each.
  const line = codebookUse(uses({ top: [16, 0], bottom: [16, 16, 16, 16] }));
  expect(Object.keys(line)).toEqual([
    ...['codebook_usage', 'perplexity'],
    ...['codebook_usage_top', 'perplexity_top', 'codebook_usage_bottom', 'perplexity_bottom'],
  ]);
  expect(line).toMatchObject({ codebook_usage: 5 / 6, codebook_usage_top: 0.5, codebook_usage_bottom: 1 });
  expect(line.perplexity_top).toBe(1);
  expect(line.perplexity_bottom).toBeCloseTo(4, 12);
  expect(line.perplexity).toBeCloseTo(2 ** ((0.2 * 0 + 0.8 * 2) / 1), 12);
});

test('without a book there is nothing to tell', () => {
  expect(codebookUse([])).toEqual({});
  expect(isTelling([])).toBe(false);
});

test('16 codes per code of each book are telling', () => {
  const two = noUse([
    { name: 'top', vocab: 1 },
    { name: 'bottom', vocab: 2 },
  ]);
  const count = (top: number, bottom: number) =>
    countCodes(two, [new Array<number>(top).fill(0), new Array<number>(bottom).fill(1)]);
  count(16, 31);
  expect(isTelling(two)).toBe(false);
  count(0, 1);
  expect(isTelling(two)).toBe(true);
  expect(two).toEqual(uses({ top: [16], bottom: [0, 32] }));
});

test('a code outside of its book is a fault', () => {
  expect(() => countCodes(noUse([{ name: 'top', vocab: 4 }]), [[4]])).toThrow('code 4 of top in a book of 4');
});
