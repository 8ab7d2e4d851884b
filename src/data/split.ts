/** Which pictures validate: decided by a hash of the name, so that added files move no other picture. */
import { take } from '../base/lookup.js';
import { hash } from '../base/rng.js';

export type Split = 'train' | 'val';

/** The split of a relative file name. `splitNames` is this, but for an empty side. */
export function splitOf(name: string, valFraction: number): Split {
  return share(name) < valFraction ? 'val' : 'train';
}

/**
 * Indices of the names in each split, ascending. Of two or more names each split has at least one; a single name is
 * in both.
 */
export function splitNames(names: readonly string[], valFraction: number): Record<Split, number[]> {
  const splits: Record<Split, number[]> = { train: [], val: [] };
  names.forEach((name, i) => {
    splits[splitOf(name, valFraction)].push(i);
  });
  if (names.length < 2) return { train: names.map((_, i) => i), val: names.map((_, i) => i) };
  if (splits.val.length === 0) move(names, splits.train, splits.val, Math.min);
  if (splits.train.length === 0) move(names, splits.val, splits.train, Math.max);
  return splits;
}

function move(
  names: readonly string[],
  from: number[],
  to: number[],
  extreme: (...values: number[]) => number,
): void {
  const shares = take(names, from).map(share);
  const nearest = shares.indexOf(shares.reduce((a, b) => extreme(a, b)));
  to.push(...from.splice(nearest, 1));
}

/** A number in [0, 1) that depends on the name alone; the two Unicode spellings of an accent are one name. */
function share(name: string): number {
  return hash(['split', name.normalize('NFC')]) / 2 ** 32;
}
