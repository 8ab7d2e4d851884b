/** Tells when fewer codes are in use: once for each fall. */

/** Less is low, whatever it was before. */
const least = 0.1;

/**
 * Usage is low below a tenth of the codes, and below half of the highest so far; it has recovered at 1.2 times that.
 */
export interface UsageWatch {
  /**
   * @param step what was seen at this step or later is forgotten: the run was taken back
   * @param usage share of the codes used over a window (`codebook_usage` of a train line)
   * @returns the highest usage so far, where usage has just become low
   */
  see(step: number, usage: number): number | undefined;
}

export function watchUsage(): UsageWatch {
  const seen: { step: number; highest: number; low: boolean }[] = [];
  return {
    see(step, usage) {
      while ((seen.at(-1)?.step ?? -1) >= step) seen.pop();
      const before = seen.at(-1) ?? { highest: 0, low: false };
      const highest = Math.max(before.highest, usage);
      const bound = Math.max(least, highest / 2);
      const fell = !before.low && usage < bound;
      seen.push({ step, highest, low: before.low ? usage < 1.2 * bound : fell });
      return fell ? highest : undefined;
    },
  };
}
