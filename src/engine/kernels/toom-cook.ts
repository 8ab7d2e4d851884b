/**
 * Short convolutions by few multiplications: F(m, r) of Winograd as Lavin & Gray have it, "Fast Algorithms for
 * Convolutional Neural Networks" (2016), section 4. Of m + r − 1 pixels d under a filter g of r taps, the m pixels of
 * the result are Aᵀ[(G g) ⊙ (Bᵀ d)]: m + r − 1 multiplications where the definition has m·r.
 */

export type Matrix = readonly (readonly number[])[];

export interface ToomCook {
  /** `[m + r − 1, m]` */
  readonly A: Matrix;
  /** `[m + r − 1, m + r − 1]` */
  readonly BT: Matrix;
  /** `[m + r − 1, r]` */
  readonly G: Matrix;
}

/**
 * Points by how many there are. With the five of F(4, 3), rounding is 1.4·10⁻⁶ of the result's size (root mean square,
 * 256 channels, along both axes); at the paper's 0, ±1 and ±2 it is 2.9·10⁻⁶. F(4, 3) with F(2, 7) has 2.3·10⁻⁶, in
 * filters' gradients 3.4·10⁻⁶ (96 channels). A and B are fractions of powers of two, which float32 holds exactly.
 */
const POINTS: readonly (readonly number[])[] = [
  [],
  [0],
  [0, 1],
  [0, 1, -1],
  [0, 0.5, -1, 2],
  [0, 0.75, -0.75, 1.5, -1.5],
  [0, 0.5, -0.5, 1, -1, 2],
  [0, 0.5, -0.5, 1, -1, 2, -2],
];

/** The most multiplications for which there are points. */
const MOST = POINTS.length;

/**
 * For polynomials through points and infinity: a point's row of A and of G holds its powers, in G divided by its
 * distances to the other points; of Bᵀ the coefficients of the polynomial that is 0 at the others. F(m, 1) and F(1, 1)
 * change nothing.
 *
 * @throws Error beyond F(4, 5) and F(2, 7)
 */
export function toomCook(result: number, taps: number): ToomCook {
  const points = POINTS[result + taps - 2];
  if (!points) throw new Error(`internal: F(${result}, ${taps}) takes more than ${MOST} multiplications`);
  const powers = (x: number, n: number) => Array.from({ length: n }, (_, i) => x ** i);
  const others = (x: number) => points.filter((y) => y !== x);
  const distances = (x: number) => others(x).reduce((product, y) => product * (x - y), 1);
  const timesRoot = (p: readonly number[], root: number) =>
    Array.from({ length: p.length + 1 }, (_, i) => (p[i - 1] ?? 0) - root * (p[i] ?? 0));
  const zeroAt = (roots: readonly number[]) => roots.reduce(timesRoot, [1]);
  const atInfinity = (n: number) => Array.from({ length: n }, (_, i) => Number(i === n - 1));
  return {
    A: [...points.map((x) => powers(x, result)), atInfinity(result)],
    BT: [...points.map((x) => [...zeroAt(others(x)), 0]), zeroAt(points)],
    G: [...points.map((x) => powers(x, taps).map((power) => power / distances(x))), atInfinity(taps)],
  };
}

/** a ⊗ b: what a does along the rows and b along the columns of an image, to all its numbers at once. */
export const kronecker = (a: Matrix, b: Matrix): Matrix =>
  a.flatMap((rows) => b.map((columns) => rows.flatMap((x) => columns.map((y) => x * y))));
