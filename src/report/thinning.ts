/** A curve of any length in little memory: of every few neighbours the lowest and the highest, so that spikes stay. */

type Point = readonly [step: number, value: number];

/** Neighbours, of which two points are kept. */
interface Bucket {
  readonly low: Point;
  readonly high: Point;
}

export interface Thinning {
  /** How many points a whole bucket is of. */
  size: number;
  buckets: Bucket[];
  /** Points in the last bucket. */
  filled: number;
  first?: Point;
  last?: Point;
}

const mostBuckets = 500;

export const startThinning = (): Thinning => ({ size: 1, buckets: [], filled: 0 });

/** Adds a point behind all others. */
export function addPoint(t: Thinning, step: number, value: number): void {
  const point: Point = [step, value];
  t.first ??= point;
  t.last = point;
  const bucket = t.filled < t.size ? t.buckets.pop() : undefined;
  t.filled = bucket ? t.filled + 1 : 1;
  t.buckets.push(bucket ? merged(bucket, { low: point, high: point }) : { low: point, high: point });
  if (t.buckets.length <= mostBuckets) return;
  t.filled += t.buckets.length % 2 === 0 ? t.size : 0;
  t.size *= 2;
  t.buckets = Array.from({ length: Math.ceil(t.buckets.length / 2) }, (_, i) => {
    const [left, right] = t.buckets.slice(2 * i, 2 * i + 2) as [Bucket, Bucket?];
    return right ? merged(left, right) : left;
  });
}

const merged = (a: Bucket, b: Bucket): Bucket => ({
  low: b.low[1] < a.low[1] ? b.low : a.low,
  high: b.high[1] > a.high[1] ? b.high : a.high,
});

/** Removes the points from a step on. */
export function cutFrom(t: Thinning, step: number): void {
  const points = pairsOf(t).filter(([at]) => at < step);
  Object.assign(t, startThinning(), { size: t.size, first: points[0], last: points.at(-1) });
  t.buckets = points.map((point) => ({ low: point, high: point }));
  t.filled = t.size;
}

/** The kept points by step, the first and the last among them: at most 1,002. */
export function pointsOf(t: Thinning): { x: number[]; y: number[] } {
  const points = pairsOf(t);
  return { x: points.map(([step]) => step), y: points.map(([, value]) => value) };
}

function pairsOf({ buckets, first, last }: Thinning): Point[] {
  const inOrder = buckets.flatMap(({ low, high }) => (low[0] <= high[0] ? [low, high] : [high, low]));
  const all = [...(first ? [first] : []), ...inOrder, ...(last ? [last] : [])];
  return all.filter(([step], i) => step !== all[i - 1]?.[0]);
}
