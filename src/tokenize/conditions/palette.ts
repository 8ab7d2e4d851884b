/** A picture's most frequent colours, the most frequent first. */
import { colourCode, colourCodes, colourOf } from './colours.js';
import { conditionGrid, type Plain, shownCells } from './condition.js';

const rounds = 8;

/** @param colours how many; those that a picture has not are told as nothing */
export function palette(size: number, colours: number): Plain {
  const grid = conditionGrid(1, colours, colourCodes);
  const record = { kind: 'palette', size, grid } as const;
  return {
    record,
    codes(image) {
      const found = clusters(image, colours).map(([r, g, b]) => colourCode(r, g, b));
      const distinct = [...new Set(found)];
      return Int32Array.from({ length: colours }, (_, i) => distinct[i] ?? colourCodes);
    },
    shown: (codes) => shownCells(record, (cell) => colourOf(codes[cell]!)),
  };
}

type Colour = [number, number, number];

/**
 * k-means of a picture's colours (Lloyd), begun with those codes that are most frequent and not beside each other. The
 * largest cluster first.
 */
function clusters(image: Float32Array, k: number): Colour[] {
  const pixels = image.length / 3;
  const counts = new Map<number, number>();
  for (let i = 0; i < pixels; i++) {
    const code = colourCode(image[3 * i]!, image[3 * i + 1]!, image[3 * i + 2]!);
    counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  const byCount = [...counts].sort(([a, m], [b, n]) => n - m || a - b).map(([code]) => colourOf(code));
  let centres = apart(byCount, k);
  let shares = centres.map(() => 0);
  for (let round = 0; round < rounds; round++) {
    const sums = centres.map((): [number, number, number, number] => [0, 0, 0, 0]);
    for (let i = 0; i < pixels; i++) {
      const colour: Colour = [image[3 * i]!, image[3 * i + 1]!, image[3 * i + 2]!];
      const sum = sums[nearest(centres, colour)]!;
      for (const [c, value] of colour.entries()) sum[c]! += value;
      sum[3]++;
    }
    shares = sums.map(([, , , n]) => n);
    centres = sums.map(([r, g, b, n], i) => (n > 0 ? [r / n, g / n, b / n] : centres[i]!));
  }
  return centres
    .map((centre, i) => ({ centre, share: shares[i]! }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share)
    .map(({ centre }) => centre);
}

/** As many as there are of the first that lie apart from those before them, then of the others. */
function apart(colours: readonly Colour[], k: number): Colour[] {
  const chosen: Colour[] = [];
  for (const far of [0.5, 0]) {
    for (const colour of colours) {
      if (chosen.length < k && chosen.every((other) => distance(other, colour) > far)) chosen.push(colour);
    }
  }
  return chosen;
}

const distance = (a: Colour, b: Colour): number => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);

function nearest(centres: readonly Colour[], colour: Colour): number {
  let best = 0;
  for (let i = 1; i < centres.length; i++)
    if (distance(centres[i]!, colour) < distance(centres[best]!, colour)) best = i;
  return best;
}
