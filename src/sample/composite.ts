/** What is new laid over what was there, without a seam that shows. Pure. */

/** Pixels row by row. */
export interface Extent {
  readonly width: number;
  readonly height: number;
}

/**
 * How much of a new picture is shown at each pixel: exactly 1 where `full` says so, exactly 0 farther than `rim`
 * pixels from there, and between them a Gaussian step. Beyond the edges it goes on as at the edge.
 *
 * @param full [H, W], 1 where the new picture alone is wanted
 * @param rim pixels; of an odd number the one below
 * @returns [H, W] in [0, 1]
 */
export function softMask(full: Uint8Array, { width, height }: Extent, rim: number): Float64Array {
  const r = rim >> 1;
  const kernel = gaussian(r);
  let mask = Float64Array.from(full);
  const lines = [
    { count: height, length: width, line: width, along: 1 },
    { count: width, length: height, line: 1, along: width },
  ];
  for (const line of lines) mask = onLines(mask, line, (at, i) => most(at, i, r));
  for (const line of lines) mask = onLines(mask, line, (at, i) => mean(at, i, kernel));
  return mask.map((value) => (value > 1 - 1e-9 ? 1 : value));
}

/** 2r + 1 weights with sum 1; the standard deviation is half of r. */
export function gaussian(r: number): Float64Array {
  const weights = Float64Array.from({ length: 2 * r + 1 }, (_, i) =>
    r === 0 ? 1 : Math.exp(-2 * ((i - r) / r) ** 2),
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

type At = (i: number) => number;

/** `f` of every place of every line; `at` reads a line, and goes on as at its ends beyond them. */
function onLines(
  values: Float64Array,
  o: { count: number; length: number; line: number; along: number },
  f: (at: At, i: number) => number,
): Float64Array<ArrayBuffer> {
  const result = new Float64Array(values.length);
  for (let k = 0; k < o.count; k++) {
    const place = (i: number) => k * o.line + Math.min(o.length - 1, Math.max(0, i)) * o.along;
    for (let i = 0; i < o.length; i++) result[place(i)] = f((j) => values[place(j)]!, i);
  }
  return result;
}

function most(at: At, i: number, r: number): number {
  let highest = 0;
  for (let k = -r; k <= r; k++) highest = Math.max(highest, at(i + k));
  return highest;
}

function mean(at: At, i: number, kernel: Float64Array): number {
  const r = kernel.length >> 1;
  return kernel.reduce((sum, weight, k) => sum + weight * at(i + k - r), 0);
}

/**
 * @param below [H, W, 3], of which pixels stay as they are, to the bit, where the mask is 0
 * @param above [H, W, 3]
 * @param mask [H, W]
 */
export function blend(below: Float32Array, above: Float32Array, mask: Float64Array): Float32Array {
  return below.map((value, i) => {
    const share = mask[Math.floor(i / 3)]!;
    return share * above[i]! + (1 - share) * value;
  });
}
