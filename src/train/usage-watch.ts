/** Tells when fewer codes are in use, once for each fall, and when hardly more than one is. */

/** Less is low, whatever it was before. */
const least = 0.1;

/**
 * Usage is low below a tenth of the codes, below half of the highest so far, and where hardly more than one code is
 * chosen; it has recovered at 1.2 times that.
 */
export interface UsageWatch {
  /**
   * @param step what was seen at this step or later is forgotten: the run was taken back
   * @param usage share of the codes used over a window (`codebook_usage` of a train line)
   * @param perplexity over the same window
   * @returns the highest usage so far, where usage has just become low
   */
  see(step: number, usage: number, perplexity?: number): number | undefined;
}

export function watchUsage(): UsageWatch {
  const seen: { step: number; highest: number; low: boolean }[] = [];
  return {
    see(step, usage, perplexity) {
      while ((seen.at(-1)?.step ?? -1) >= step) seen.pop();
      const before = seen.at(-1) ?? { highest: 0, low: false };
      const highest = Math.max(before.highest, usage);
      const bound = Math.max(least, highest / 2);
      const one = isCollapsed(perplexity);
      const fell = !before.low && (one || usage < bound);
      seen.push({ step, highest, low: before.low ? one || usage < 1.2 * bound : fell });
      return fell ? highest : undefined;
    },
  };
}

/** Perplexity of codes that are nearly always the same one. */
const collapsed = 1.05;

const isCollapsed = (perplexity = Number.POSITIVE_INFINITY): boolean => perplexity < collapsed;

/**
 * What to say of a tokenizer that gives every picture the same codes: measures of it look like those of any other.
 *
 * @param values of which `perplexity`, and with several grids `perplexity_<name>`, are looked at
 */
export function collapseWarning(values: Readonly<Record<string, unknown>>): string | undefined {
  const one = Object.entries(values).find(
    ([key, value]) => /^perplexity(_|$)/.test(key) && typeof value === 'number' && isCollapsed(value),
  );
  if (!one) return undefined;
  const grid = one[0].slice('perplexity_'.length);
  return (
    `The codes${grid ? ` of grid ${grid}` : ''} have collapsed: nearly all are the same one (perplexity ${Number(one[1]).toPrecision(3)}). ` +
    'Nothing can be learned of such codes, whatever other measures say: train the tokenizer anew, ' +
    'with a lower stage1.lr or another stage1.bottleneck.kind.'
  );
}
