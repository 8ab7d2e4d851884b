/** Tells when fewer codes are in use: once for each fall. */

/** Less is low, whatever it was before. */
const least = 0.1;

/** Usage is low below a tenth of the codes, and below half of the highest so far; it has recovered at 1.2 times that. */
export interface UsageWatch {
  /**
   * @param usage share of the codes used over a window (`codebook_usage` of a train line)
   * @returns the highest usage so far, where usage has just become low
   */
  see(usage: number): number | undefined;
}

export function watchUsage(): UsageWatch {
  let highest = 0;
  let low = false;
  return {
    see(usage) {
      highest = Math.max(highest, usage);
      const bound = Math.max(least, highest / 2);
      const fell = !low && usage < bound;
      low = low ? usage < 1.2 * bound : fell;
      return fell ? highest : undefined;
    },
  };
}
