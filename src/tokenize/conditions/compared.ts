/** Whether two records tell the same by the same codes, and if not, what differs. */
import { type ConditionRecord, describeCondition } from './condition.js';

type MaybeRecord = ConditionRecord | undefined;

/** What codes depend on, without what was only counted, such as how much of maps a colour covers. */
function essence({ kind, size, grid, labels = [], tokenizer }: ConditionRecord) {
  return {
    said: JSON.stringify([
      kind,
      size,
      grid.height,
      grid.width,
      tokenizer?.sha256,
      tokenizer?.pixels,
      !tokenizer,
    ]),
    // A tokenizer has its own order of colours.
    colours: tokenizer ? [] : labels.map(({ colour }) => colour),
    vocab: grid.vocab,
  };
}

export const sameTelling = (one: MaybeRecord, other: MaybeRecord): boolean =>
  one && other ? JSON.stringify(essence(one)) === JSON.stringify(essence(other)) : one === other;

/** Two that are not the same, for people, so that they do not read alike. */
export function describeBoth(one: MaybeRecord, other: MaybeRecord): [string, string] {
  const both: [string, string] = [one, other].map((record) =>
    record ? describeCondition(record) : 'nothing',
  ) as [string, string];
  if (both[0] !== both[1] || !one || !other) return both;
  const [a, b] = [essence(one), essence(other)];
  const at = a.colours.findIndex((colour, i) => colour !== b.colours[i]);
  const more = ({ size, tokenizer }: ConditionRecord, { colours, vocab }: typeof a): string => {
    if (at >= 0) return `, of which number ${at + 1} is ${colours[at]}`;
    if (one.size !== other.size) return ` of ${size}×${size} pixels`;
    if (one.tokenizer?.pixels !== other.tokenizer?.pixels) return ` of ${tokenizer?.pixels} pixels a side`;
    const most = Math.max(a.vocab, b.vocab);
    return vocab === most ? ', and a code for nothing told' : ', and no code for nothing told';
  };
  return [both[0] + more(one, a), both[1] + more(other, b)];
}
