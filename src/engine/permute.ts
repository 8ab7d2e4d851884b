/** Orders of axes: `perm[i]` is the axis of the program that lies at position `i` in memory. */
import { take } from '../base/lookup.js';
import { sizeOf } from '../base/tensor.js';
import type { OnnxData } from './graph.js';

export function identity(rank: number): number[] {
  return Array.from({ length: rank }, (_, i) => i);
}

export function isIdentity(perm: readonly number[]): boolean {
  return perm.every((axis, i) => axis === i);
}

/** An axis that may be counted from behind, as −1 for the last. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

export function inverse(perm: readonly number[]): number[] {
  const result = new Array<number>(perm.length);
  perm.forEach((axis, i) => {
    result[axis] = i;
  });
  return result;
}

export function permuteShape(shape: readonly number[], perm: readonly number[]): number[] {
  return take(shape, perm);
}

/** The transposition that turns what lies in the order `from` into the order `to`. */
export function relativePerm(from: readonly number[], to: readonly number[]): number[] {
  return take(inverse(from), to);
}

/** A copy of row-major `data [shape]` with its axes permuted. */
export function permuteData<T extends OnnxData>(
  data: T,
  shape: readonly number[],
  perm: readonly number[],
): T {
  const result = new (data.constructor as new (n: number) => T)(data.length);
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const lengths = permuteShape(shape, perm);
  const steps = take(strides, perm);
  const rank = perm.length;
  if (rank === 0 || data.length === 0) {
    result.set(data as never);
    return result;
  }
  const index = new Array<number>(rank).fill(0);
  const inner = lengths[rank - 1]!;
  const innerStep = steps[rank - 1]!;
  let from = 0;
  for (let to = 0; to < data.length; ) {
    for (let i = 0, source = from; i < inner; i++, source += innerStep) result[to++] = data[source]!;
    for (let axis = rank - 2; axis >= 0; axis--) {
      from += steps[axis]!;
      index[axis]! += 1;
      if (index[axis]! < lengths[axis]!) break;
      from -= steps[axis]! * lengths[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}
