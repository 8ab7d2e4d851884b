/** How much of its codebooks a model uses. */

/** Codes 0 to `vocab` − 1. A book is called by the grid whose codes are of it. */
export interface Book {
  readonly name: string;
  readonly vocab: number;
}

/** How often each code of a book was used, [K]. Plain JSON. */
export interface BookUse {
  readonly name: string;
  readonly counts: number[];
}

/** Usage is a matter of chance until each code could have been used many times. */
const codesPerCode = 16;

export const noUse = (books: readonly Book[]): BookUse[] =>
  books.map(({ name, vocab }) => ({ name, counts: new Array<number>(vocab).fill(0) }));

/**
 * Adds the codes that were used of each book.
 *
 * @throws Error for a code that is not of its book
 */
export function countCodes(uses: readonly BookUse[], codes: readonly ArrayLike<number>[]): void {
  for (const [book, { name, counts }] of uses.entries()) {
    const used = codes[book] ?? [];
    for (let i = 0; i < used.length; i++) {
      const code = used[i]!;
      if (counts[code] === undefined)
        throw new Error(`internal: code ${code} of ${name} in a book of ${counts.length}`);
      counts[code]++;
    }
  }
}

/** Whether there is a book and each has 16 codes per code. */
export const isTelling = (uses: readonly BookUse[]): boolean =>
  uses.length > 0 && uses.every(({ counts }) => sum(counts) >= codesPerCode * counts.length);

/**
 * `codebook_usage`, the share of all books' codes that are used, and `perplexity`, of a token: 2 to the mean of the
 * entropies in bits of how often the codes of each book are used, weighted by its share of the cells. Of one book it
 * is K where all are used alike, 1 where one is. Of several books also each one's own, `codebook_usage_<name>` and
 * `perplexity_<name>`.
 */
export function codebookUse(uses: readonly BookUse[]): Record<string, number> {
  if (uses.length === 0) return {};
  const each = uses.map(({ name, counts }) => ({ name, codes: counts.length, ...useOf(counts) }));
  const cells = sum(each.map(({ total }) => total));
  const entropy = sum(each.map(({ total, entropy }) => (total / cells) * entropy));
  return {
    codebook_usage: sum(each.map(({ used }) => used)) / sum(each.map(({ codes }) => codes)),
    perplexity: Math.exp(entropy),
    ...Object.fromEntries(
      (each.length > 1 ? each : []).flatMap(({ name, codes, used, entropy }) => [
        [`codebook_usage_${name}`, used / codes],
        [`perplexity_${name}`, Math.exp(entropy)],
      ]),
    ),
  };
}

/** Codes that are used, uses, entropy in nats. */
function useOf(counts: readonly number[]) {
  const used = counts.filter((n) => n > 0);
  const total = sum(used);
  return { used: used.length, total, entropy: -sum(used.map((n) => (n / total) * Math.log(n / total))) };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);
