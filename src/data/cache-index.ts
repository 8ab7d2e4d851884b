/** The list of what a cache of decoded pictures holds, as text: whoever reads it trusts nothing of it. */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { longestSide } from './pictures.js';

const count = z.int().nonnegative();

const schema = z.strictObject({
  /** Indices into the source of the pictures that could be read, ascending. */
  kept: z.array(count),
  /** Of each of these: pixels, the CRC-32 of its pixels, what its file held. */
  widths: z.array(count.positive()),
  heights: z.array(count.positive()),
  sums: z.array(count.max(2 ** 32 - 1)),
  contents: z.array(z.string().nullable()),
  skipped: z.array(z.strictObject({ name: z.string(), reason: z.string(), passing: z.boolean().optional() })),
});

export type CacheIndex = z.infer<typeof schema>;

export const emptyIndex = (): CacheIndex => ({
  ...{ kept: [], widths: [], heights: [], sums: [], contents: [], skipped: [] },
});

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A line with the checksum of what follows, then JSON. */
export function formatIndex(index: CacheIndex): string {
  const text = JSON.stringify(index);
  return `${sha256(text)}\n${text}`;
}

/**
 * @param o.pictures of the source. @param o.size of the shorter sides
 * @returns undefined where the text is not what `formatIndex` gives for such a source
 */
export function parseIndex(
  text: string,
  { pictures, size }: { pictures: number; size: number },
): CacheIndex | undefined {
  const line = text.indexOf('\n');
  const body = text.slice(line + 1);
  if (sha256(body) !== text.slice(0, line)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const { data: index } = schema.safeParse(value);
  if (!index) return undefined;
  const { kept, widths, heights, sums, contents, skipped } = index;
  const isWhole =
    [widths, heights, sums, contents].every(({ length }) => length === kept.length) &&
    kept.length > 0 &&
    kept.length + skipped.length === pictures &&
    kept.every((at, i) => at < pictures && (i === 0 || at > kept[i - 1]!)) &&
    widths.every((width, i) => Math.min(width, heights[i]!) === size) &&
    [...widths, ...heights].every((side) => side <= longestSide * size);
  return isWhole ? index : undefined;
}
