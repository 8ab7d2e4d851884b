import { describeBoth, sameTelling } from '../../../src/tokenize/conditions/compared.js';
import type { ConditionRecord } from '../../../src/tokenize/conditions/condition.js';

const maps: ConditionRecord = {
  kind: 'maps',
  size: 16,
  grid: { name: 'condition', height: 4, width: 4, vocab: 3 },
  labels: [
    { colour: '#ff0000', share: 0.4 },
    { colour: '#0000ff', share: 0.6 },
  ],
};
const [red, blue] = maps.labels as [{ colour: string; share: number }, { colour: string; share: number }];
const tokenizer = { sha256: 'a'.repeat(64), pictures: 'labels', pixels: 16 } as const;
const coded: ConditionRecord = { ...maps, tokenizer };

test('how much a colour covers is no difference, nor what order a tokenizer has them in', () => {
  const counted = {
    ...maps,
    labels: [
      { ...red, share: 0.5 },
      { ...blue, share: 0.5 },
    ],
  };
  expect(sameTelling(counted, maps)).toBe(true);
  expect(sameTelling({ ...coded, labels: [blue, red] }, coded)).toBe(true);
  expect(sameTelling(undefined, undefined)).toBe(true);
});

const grid = { ...maps.grid, vocab: 2 };
test.each<[string, ConditionRecord | undefined, ConditionRecord | undefined]>([
  ['nothing', maps, undefined],
  ['the order of colours', { ...maps, labels: [blue, red] }, maps],
  ['a colour', { ...maps, labels: [red, { ...blue, colour: '#00ff00' }] }, maps],
  ['the code for nothing told', { ...maps, grid }, maps],
  ['the tokenizer', { ...coded, tokenizer: { ...tokenizer, sha256: 'b'.repeat(64) } }, coded],
  ['a tokenizer', coded, maps],
  ['the size', { ...maps, size: 32 }, maps],
])('%s differs, and the sentence says so', (_, one, other) => {
  expect(sameTelling(one, other)).toBe(false);
  const [a, b] = describeBoth(one, other);
  expect(a).not.toBe(b);
});

test('what differs is named', () => {
  expect(describeBoth({ ...maps, grid }, maps)).toEqual([
    'maps, 4 × 4 codes of 2 colours, and no code for nothing told',
    'maps, 4 × 4 codes of 2 colours, and a code for nothing told',
  ]);
  expect(describeBoth({ ...maps, labels: [blue, red] }, maps)[0]).toBe(
    'maps, 4 × 4 codes of 2 colours, of which number 1 is #0000ff',
  );
});
