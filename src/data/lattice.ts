/**
 * How much of a lattice made pictures carry and real ones do not: their power in brightness at the waves that repeat
 * every eight pixels, or a whole number of times in them, in any direction, beside that at the waves around.
 */

/** Pixels: the cell of an f8 tokenizer; the four of an f4 divide it. */
const cell = 8;

/** In smaller pictures the waves of a lattice lie too close to each other. */
export const smallestForLattice = 32;

/** A part of the picture tells of all of it, as what is looked for repeats. */
const mostSide = 64;

/** Distance of the waves around: with a window, a wave fills the places next to its own. */
const apart = 2;

/** Mean over pictures of the logarithm of their power by wave. */
export class LatticePower {
  private count = 0;
  private readonly sums = new Map<string, number>();
  private readonly side: number;
  private readonly window: Float64Array;

  /** @param size side S of the pictures, pixels, at least `smallestForLattice` */
  constructor(private readonly size: number) {
    this.side = Math.min(mostSide, size - (size % cell));
    const { side } = this;
    this.window = Float64Array.from({ length: side }, (_, i) => Math.sin((Math.PI * (i + 0.5)) / side) ** 2);
  }

  /** @param luma of a picture, [S, S] */
  add(luma: Float64Array): void {
    this.count++;
    const { size, side, window, sums } = this;
    const from = (size - side) >> 1;
    const at = (y: number, x: number): number => luma[(from + y) * size + from + x]!;
    let mean = 0;
    for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) mean += at(y, x) / side ** 2;
    const rows = new Map<number, { re: Float64Array; im: Float64Array }>();
    const rowsAt = (across: number) => {
      const known = rows.get(across);
      if (known) return known;
      const [re, im] = [new Float64Array(side), new Float64Array(side)];
      for (let x = 0; x < side; x++) {
        const angle = (2 * Math.PI * across * x) / side;
        const [cos, sin] = [window[x]! * Math.cos(angle), window[x]! * Math.sin(angle)];
        for (let y = 0; y < side; y++) {
          const v = (at(y, x) - mean) * window[y]!;
          re[y]! += v * cos;
          im[y]! -= v * sin;
        }
      }
      rows.set(across, { re, im });
      return { re, im };
    };
    for (const [key, { down, across }] of waves(side)) {
      const { re, im } = rowsAt(across);
      let [a, b] = [0, 0];
      for (let y = 0; y < side; y++) {
        const angle = (2 * Math.PI * down * y) / side;
        const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
        a += re[y]! * cos + im[y]! * sin;
        b += im[y]! * cos - re[y]! * sin;
      }
      sums.set(key, (sums.get(key) ?? 0) + Math.log(a * a + b * b + 1));
    }
  }

  /**
   * dB: of all waves of a lattice the most that `made` has more than `real` has, above what it has more at the waves
   * around; at least 0.
   */
  static excess(real: LatticePower, made: LatticePower): number {
    const more = (key: string): number =>
      (made.sums.get(key)! / made.count - real.sums.get(key)! / real.count) * (10 / Math.LN10);
    let most = 0;
    for (const { key, around } of lattice(real.side)) {
      const level = around.reduce((sum, other) => sum + more(other), 0) / around.length;
      most = Math.max(most, more(key) - level);
    }
    return most;
  }
}

interface Wave {
  readonly down: number;
  readonly across: number;
}

const keyOf = ({ down, across }: Wave): string => `${down},${across}`;

/** The lattice's waves with those around them. */
function lattice(side: number): { key: string; wave: Wave; around: string[]; ring: Wave[] }[] {
  const spacing = side / cell;
  const half = cell / 2;
  const found = [];
  for (let i = 0; i <= half; i++) {
    for (let j = -half + 1; j <= half; j++) {
      if ((i === 0 && j <= 0) || (i === half && j < 0)) continue; // a wave and its opposite are one
      const wave = { down: i * spacing, across: j * spacing };
      const ring: Wave[] = [];
      for (let y = -apart; y <= apart; y++)
        for (let x = -apart; x <= apart; x++)
          if (Math.max(Math.abs(y), Math.abs(x)) === apart) {
            ring.push({ down: wave.down + y, across: wave.across + x });
          }
      found.push({ key: keyOf(wave), wave, around: ring.map(keyOf), ring });
    }
  }
  return found;
}

const known = new Map<number, Map<string, Wave>>();

/** All that is looked at, by key. */
function waves(side: number): Map<string, Wave> {
  let all = known.get(side);
  if (!all) {
    all = new Map(lattice(side).flatMap(({ wave, ring }) => [wave, ...ring].map((w) => [keyOf(w), w])));
    known.set(side, all);
  }
  return all;
}
