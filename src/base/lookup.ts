/** Look-ups that find what they look for: that it is missing would be a mistake of vqgen's own. */

/** @throws Error that names what is missing */
export function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`internal: no ${what}`);
  return value;
}

/** @throws Error that names what is missing */
export const entry = <T>(record: Readonly<Record<string, T>>, name: string): T => must(record[name], name);

/** The entries of these names, in that order. @throws Error that names the first that is missing */
export const picked = <T, K extends string>(
  record: Readonly<Record<string, T>>,
  names: Iterable<K>,
): Record<K, T> =>
  Object.fromEntries(Array.from(names, (name) => [name, entry(record, name)])) as Record<K, T>;

/** The one at place `i`. @throws Error beyond the ends of the list */
export function nth<T>(list: ArrayLike<T>, i: number): T {
  const value = list[i];
  if (value === undefined) throw new Error(`internal: no entry ${i} of ${list.length}`);
  return value;
}

/** Those at `places`. @throws Error beyond the ends of the list */
export function take<T>(list: ArrayLike<T>, places: Iterable<number>): T[] {
  const taken: T[] = [];
  for (const i of places) taken.push(nth(list, i));
  return taken;
}

/** @throws Error for an empty list */
export const last = <T>(list: ArrayLike<T>): T => nth(list, list.length - 1);

/** That of a list of one. @throws Error for another length */
export function only<T>(list: ArrayLike<T>): T {
  if (list.length !== 1) throw new Error(`internal: one was expected of ${list.length}`);
  return nth(list, 0);
}

/** @throws Error for lists of different lengths */
export function pairs<A, B>(first: ArrayLike<A>, second: ArrayLike<B>): [A, B][] {
  if (first.length !== second.length) {
    throw new Error(`internal: ${first.length} and ${second.length} make no pairs`);
  }
  return Array.from(first, (a, i) => [a, nth(second, i)]);
}

/** Rows as columns. @throws Error for rows of different lengths */
export function transposed<T>(rows: readonly (readonly T[])[]): T[][] {
  const columns: T[][] = (rows[0] ?? []).map(() => []);
  for (const row of rows) for (const [column, value] of pairs(columns, row)) column.push(value);
  return columns;
}
