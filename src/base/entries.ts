/** Look-ups that find what they look for: that it is missing would be a mistake of vqgen's own. */

/** @throws Error that names what is missing */
export function entry<T>(record: Readonly<Record<string, T>>, name: string): T {
  const value = record[name];
  if (value === undefined) throw new Error(`internal: ${name} is missing`);
  return value;
}

/** The entries of these names. @throws Error that names the first that is missing */
export const picked = <T, K extends string>(
  record: Readonly<Record<string, T>>,
  names: readonly K[],
): Record<K, T> => Object.fromEntries(names.map((name) => [name, entry(record, name)])) as Record<K, T>;

/** @throws Error for an empty list */
export function last<T>(list: readonly T[]): T {
  const value = list.at(-1);
  if (value === undefined) throw new Error('internal: an empty list has no last');
  return value;
}

/** @throws Error for lists of different lengths */
export function pairs<A, B>(first: readonly A[], second: readonly B[]): [A, B][] {
  if (first.length !== second.length) {
    throw new Error(`internal: ${first.length} and ${second.length} make no pairs`);
  }
  return first.map((a, i) => [a, second[i] as B]);
}
