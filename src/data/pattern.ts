/**
 * How much of a fine pattern (a grid, a checkerboard, coloured noise) made pictures carry that real ones do not.
 *
 * Their power at each frequency of rows and columns is set beside that of real pictures, in decibels. Blur makes the
 * difference fall towards high frequencies; a pattern makes it rise again, and by how much is the measure. Photographs
 * of one set beside others of it have less than half a decibel (`docs/log.md`). Diagonal patterns are hardly measured
 * so; of those `LatticePower` finds what repeats every eight pixels.
 */
import type { Stage1Config } from '../config/schema.js';
import { LatticePower, smallestForLattice } from './lattice.js';

/** Smaller pictures have too few frequencies. */
export const smallestForPattern = 16;

/** So many lines of a picture are enough: of larger ones every second, third … is taken. */
const mostLines = 64;

/** 8-bit RGB → luma, and two differences of colour. */
const planes: readonly ((r: number, g: number, b: number) => number)[] = [
  (r, g, b) => 0.299 * r + 0.587 * g + 0.114 * b,
  (_, g, b) => b - g,
  (r, g) => r - g,
];

/** Means over pictures of the logarithm of their power by plane, axis and frequency: weak pictures count as strong. */
export class Spectrum {
  /** Number of pictures. */
  count = 0;
  private readonly sums: readonly Float64Array[];
  readonly lattice: LatticePower;
  private readonly waves: { readonly cos: Float64Array; readonly sin: Float64Array }[];

  /** @param size side of the pictures, pixels */
  constructor(readonly size: number) {
    const highest = Math.floor(size / 2);
    this.lattice = new LatticePower(size);
    this.sums = Array.from({ length: 2 * planes.length }, () => new Float64Array(highest + 1));
    this.waves = Array.from({ length: highest + 1 }, (_, f) => {
      const angle = (i: number): number => (2 * Math.PI * f * i) / size;
      return {
        cos: Float64Array.from({ length: size }, (_, i) => Math.cos(angle(i))),
        sin: Float64Array.from({ length: size }, (_, i) => Math.sin(angle(i))),
      };
    });
  }

  /** @param rgb 8-bit pictures, [n, S, S, 3] */
  add(rgb: Uint8Array): void {
    const area = this.size ** 2 * 3;
    for (let at = 0; at < rgb.length; at += area) {
      this.addPicture(rgb.subarray(at, at + area));
      this.count++;
    }
  }

  /** The mean of a plane (0: luma, 1, 2: colour) along an axis (0: rows, 1: columns), by frequency 1 … S / 2. */
  mean(plane: number, axis: number): Float64Array {
    return this.sums[2 * plane + axis]!.map((sum) => sum / this.count);
  }

  private addPicture(rgb: Uint8Array): void {
    const { size, waves } = this;
    const step = Math.ceil(size / mostLines);
    const line = new Float64Array(size);
    for (const [p, value] of planes.entries()) {
      const plane = Float64Array.from({ length: size ** 2 }, (_, i) =>
        value(rgb[3 * i]!, rgb[3 * i + 1]!, rgb[3 * i + 2]!),
      );
      if (p === 0 && size >= smallestForLattice) this.lattice.add(plane);
      for (const axis of [0, 1]) {
        const power = new Float64Array(waves.length);
        for (let at = 0; at < size; at += step) {
          for (let i = 0; i < size; i++) line[i] = plane[axis === 0 ? at * size + i : i * size + at]!;
          for (let f = lowestUsed(size); f < waves.length; f++) power[f]! += step * powerOf(line, waves[f]!);
        }
        const sums = this.sums[2 * p + axis]!;
        for (let f = lowestUsed(size); f < waves.length; f++) sums[f]! += Math.log(power[f]! + 1);
      }
    }
  }
}

/** From an eighth of the side on, and what smoothing takes with it. */
const lowestOf = (size: number): number => Math.ceil(size / 8);
const lowestUsed = (size: number): number => Math.max(1, lowestOf(size) - 1);

function powerOf(line: Float64Array, { cos, sin }: { cos: Float64Array; sin: Float64Array }): number {
  let re = 0;
  let im = 0;
  for (let i = 0; i < line.length; i++) {
    re += line[i]! * cos[i]!;
    im += line[i]! * sin[i]!;
  }
  return re * re + im * im;
}

export interface Pattern {
  /** dB; the larger of rows and columns. */
  readonly pattern_luma: number;
  /** dB; the largest of rows and columns in two differences of colour. */
  readonly pattern_colour: number;
  /** dB; see `LatticePower`. Left out of pictures that are too small for it. */
  readonly pattern_lattice?: number;
}

/** Of pictures in which none can be looked for. */
export const noPattern = { pattern_luma: null, pattern_colour: null, pattern_lattice: null };

/** @returns nothing for pictures below `smallestForPattern`, and where there are none */
export function patternOf(real: Spectrum, made: Spectrum): Pattern | undefined {
  if (real.size < smallestForPattern || real.count === 0 || made.count === 0) return undefined;
  const [luma = 0, ...colours] = planes.map((_, p) =>
    Math.max(...[0, 1].map((axis) => rise(real.mean(p, axis), made.mean(p, axis), real.size))),
  );
  return {
    pattern_luma: luma,
    pattern_colour: Math.max(...colours),
    ...(real.size >= smallestForLattice && {
      pattern_lattice: LatticePower.excess(real.lattice, made.lattice),
    }),
  };
}

/** What a validation found. */
export function patternIn(values: Readonly<Record<string, number>>): Pattern | undefined {
  const { pattern_luma, pattern_colour, pattern_lattice } = values;
  if (pattern_luma === undefined || pattern_colour === undefined) return undefined;
  return { pattern_luma, pattern_colour, ...(pattern_lattice !== undefined && { pattern_lattice }) };
}

/** The largest rise, towards high frequencies, of what `made` has more than `real`, smoothed over three of them; dB. */
function rise(real: Float64Array, made: Float64Array, size: number): number {
  const more = real.map((v, f) => (made[f]! - v) * (10 / Math.LN10));
  let lowest = Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let f = lowestOf(size); f < more.length; f++) {
    const near = more.subarray(Math.max(lowestUsed(size), f - 1), f + 2);
    const smooth = near.reduce((sum, v) => sum + v, 0) / near.length;
    lowest = Math.min(lowest, smooth);
    largest = Math.max(largest, smooth - lowest);
  }
  return largest;
}

/** From where on the user is told, dB; chosen, as colour is seen less, and not measured. Few pictures say little. */
const told = { luma: 2, colour: 6, lattice: 8, pictures: 32 };

/** What to tell the user of it, where there is something. @param what whose it is: 'Reconstructions', 'Samples' */
export function patternWarning(
  what: string,
  found: Pattern | undefined,
  { pictures, stage1 }: { pictures: number; stage1: Pick<Stage1Config, 'network' | 'filter' | 'upsampling'> },
): string | undefined {
  if (!found || pictures < told.pictures) return undefined;
  const { pattern_lattice: lattice = 0 } = found;
  const parts = [
    ...(found.pattern_luma > told.luma ? [`${found.pattern_luma.toFixed(1)} dB in brightness`] : []),
    ...(found.pattern_colour > told.colour ? [`${found.pattern_colour.toFixed(1)} dB in colour`] : []),
    ...(lattice > told.lattice ? [`${lattice.toFixed(1)} dB in a lattice of a few pixels`] : []),
  ];
  if (parts.length === 0) return undefined;
  return (
    `${what} carry a fine pattern that the images do not have: ${parts.join(', ')} ` +
    `(limits: ${told.luma}, ${told.colour} and ${told.lattice} dB). ` +
    remedy(stage1, lattice > told.lattice)
  );
}

function remedy(
  { network, filter, upsampling }: Pick<Stage1Config, 'network' | 'filter' | 'upsampling'>,
  lattice: boolean,
): string {
  const settings = [
    ...(lattice && network === 'strided' && upsampling === 'transposed' ? ['stage1.upsampling=nearest'] : []),
    ...(filter === 'none' ? ['for photographs stage1.filter=photo'] : []),
  ];
  if (settings.length === 0) return 'More training helps.';
  return `A new run may have ${settings.join(' and ')}.`;
}
