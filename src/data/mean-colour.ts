/** Whether pictures keep their colours: means of whole pictures, which no pattern and no blur changes. */

/**
 * Of each picture how far its mean is from that of the other, in the channel where it is farthest; in 8-bit levels, of
 * 255.
 *
 * @param originals, others 8-bit pictures, [n, S, S, 3]
 */
export function colourShifts(originals: Uint8Array, others: Uint8Array, size: number): number[] {
  const area = size ** 2 * 3;
  return Array.from({ length: originals.length / area }, (_, i) => {
    const sums = [0, 0, 0];
    for (let at = i * area; at < (i + 1) * area; at++) sums[at % 3]! += others[at]! - originals[at]!;
    return Math.max(...sums.map((sum) => Math.abs(sum) / (area / 3)));
  });
}

/** What nine of ten values do not exceed. */
export function ninetieth(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(0.9 * sorted.length) - 1] ?? Number.NaN;
}
