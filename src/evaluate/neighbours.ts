/** Neighbours in feature space: precision and recall, and the nearest of many images that come in batches. */

/** Neighbours that span a ball: k of Kynkäänniemi et al. */
export const NEIGHBOURS = 3;

/**
 * Kynkäänniemi et al., arXiv 1904.06991, eq. 1 and 2: each set spans the union of balls about its points, up to their
 * third nearest neighbour in the set. Precision is the share of generated points within the real set's, recall the
 * share of real points within the generated set's.
 *
 * @param real, generated [n, F] each, as many of both, more than `NEIGHBOURS`
 */
export function precisionRecall(
  real: Float32Array,
  generated: Float32Array,
  width: number,
): { precision: number; recall: number } {
  return { precision: share(generated, real, width), recall: share(real, generated, width) };
}

/** Share of `points` within the balls of `others`. */
function share(points: Float32Array, others: Float32Array, width: number): number {
  const radii = squaredRadii(others, width);
  let inside = 0;
  for (let at = 0; at < points.length; at += width) {
    if (radii.some((radius, j) => squaredDistance(points, at, others, j * width, width) <= radius)) inside++;
  }
  return (inside * width) / points.length;
}

/** Squared distance of each point to its k-th nearest other point. */
function squaredRadii(points: Float32Array, width: number): Float64Array {
  const count = points.length / width;
  const distances = new Float64Array(count - 1);
  return Float64Array.from({ length: count }, (_, i) => {
    for (let j = 0; j < count; j++)
      if (j !== i)
        distances[j < i ? j : j - 1] = squaredDistance(points, i * width, points, j * width, width);
    return distances.sort()[NEIGHBOURS - 1]!;
  });
}

function squaredDistance(a: Float32Array, atA: number, b: Float32Array, atB: number, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) {
    const difference = a[atA + i]! - b[atB + i]!;
    sum += difference * difference;
  }
  return sum;
}

/** Distance of each of some points [n, F] to the nearest of the others; none of a single point. */
export function nearestOther(points: Float32Array, width: number): Float64Array {
  const count = points.length / width;
  if (count < 2) return new Float64Array();
  return Float64Array.from({ length: count }, (_, i) => {
    let least = Number.POSITIVE_INFINITY;
    for (let j = 0; j < count; j++)
      if (j !== i) least = Math.min(least, squaredDistance(points, i * width, points, j * width, width));
    return Math.sqrt(least);
  });
}

/** For each of some points, the nearest of all images offered so far. */
export class NearestImages<T> {
  private readonly squared: Float64Array;
  private readonly nearest: (T | undefined)[];

  /**
   * @param points [n, F]
   * @param kept of the first how many points it is kept which image is the nearest
   */
  constructor(
    private readonly points: Float32Array,
    private readonly width: number,
    private readonly kept: number,
  ) {
    this.squared = new Float64Array(points.length / width).fill(Number.POSITIVE_INFINITY);
    this.nearest = new Array(Math.min(kept, this.squared.length)).fill(undefined);
  }

  /** @param nameOf what the image of a row of `features` [n, F] is told by */
  offer(features: Float32Array, nameOf: (row: number) => T): void {
    const { points, width, squared } = this;
    for (let row = 0; row * width < features.length; row++) {
      for (let i = 0; i < squared.length; i++) {
        const distance = squaredDistance(points, i * width, features, row * width, width);
        if (distance >= squared[i]!) continue;
        squared[i] = distance;
        if (i < this.kept) this.nearest[i] = nameOf(row);
      }
    }
  }

  get distances(): Float64Array {
    return this.squared.map(Math.sqrt);
  }

  /** Of the kept ones, by what it is told by. */
  get images(): readonly T[] {
    return this.nearest.filter((image) => image !== undefined);
  }
}
