/**
 * Enlarging with the centre in place, by the cubic filter that Pillow calls BICUBIC. libvips' own is shifted by up to
 * half a pixel of the small picture.
 */

/** One side of a picture, in pixels: `from` become `full`, of which the middle `kept` are wanted. */
export interface Side {
  readonly from: number;
  readonly full: number;
  readonly kept: number;
}

const taps = 4;

/**
 * @param data 8-bit RGB, row by row
 * @returns the same at `across.kept` × `down.kept`; as in Pillow, rounded after either side
 */
export function enlarge(data: Uint8Array, across: Side, down: Side): Uint8Array {
  const wide = pass(data, across, { lines: down.from, values: 3 });
  return pass(wide, down, { lines: 1, values: across.kept * 3 });
}

/** One side of [lines, from, values] → [lines, kept, values]. */
function pass(
  data: Uint8Array,
  side: Side,
  { lines, values }: { lines: number; values: number },
): Uint8Array {
  const { sources, weights } = filter(side);
  const result = new Uint8ClampedArray(lines * side.kept * values);
  for (let o = 0; o < side.kept; o++) {
    const [a, b, c, d] = [0, 1, 2, 3].map((k) => sources[o * taps + k]! * values) as Four;
    const [wa, wb, wc, wd] = [0, 1, 2, 3].map((k) => weights[o * taps + k]!) as Four;
    for (let line = 0; line < lines; line++) {
      const from = line * side.from * values;
      const to = (line * side.kept + o) * values;
      for (let i = 0; i < values; i++) {
        const p = from + i;
        result[to + i] = wa * data[p + a]! + wb * data[p + b]! + wc * data[p + c]! + wd * data[p + d]!;
      }
    }
  }
  return new Uint8Array(result.buffer);
}

type Four = [number, number, number, number];

/** For each pixel kept, the four that it is made of and how much of each; beyond the edge there is nothing. */
function filter({ from, full, kept }: Side): { sources: Uint32Array; weights: Float64Array } {
  const sources = new Uint32Array(kept * taps);
  const weights = new Float64Array(kept * taps);
  for (let o = 0; o < kept; o++) {
    const centre = ((o + 0.5 + (full - kept) / 2) * from) / full - 0.5;
    const first = Math.floor(centre) - 1;
    const inside = [0, 1, 2, 3].filter((k) => first + k >= 0 && first + k < from);
    const total = inside.reduce((sum, k) => sum + cubic(first + k - centre), 0);
    for (const k of inside) {
      sources[o * taps + k] = first + k;
      weights[o * taps + k] = cubic(first + k - centre) / total;
    }
  }
  return { sources, weights };
}

/** The cubic convolution of parameter −½ (Catmull-Rom). */
function cubic(distance: number): number {
  const d = Math.abs(distance);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
}
