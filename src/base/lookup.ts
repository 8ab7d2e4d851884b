/** What is there by construction, where a type cannot say so. Each throws an `internal: …` Error where it is not. */

export function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`internal: no ${what}`);
  return value;
}

/** The values at `indices`. */
export function take<T>(values: ArrayLike<T>, indices: Iterable<number>): T[] {
  const taken: T[] = [];
  for (const i of indices) {
    const value = values[i];
    if (value === undefined) throw new Error(`internal: no entry ${i} of ${values.length}`);
    taken.push(value);
  }
  return taken;
}

/** The entries under `names`, in that order. */
export function select<K extends string, T>(
  record: Readonly<Record<string, T>>,
  names: Iterable<K>,
): Record<K, T> {
  const entries = Array.from(names, (name) => [name, must(record[name], name)] as const);
  return Object.fromEntries(entries) as Record<K, T>;
}

/** Pairs of entries of lists of one length. */
export function zip<A, B>(first: ArrayLike<A>, second: ArrayLike<B>): [A, B][] {
  if (first.length !== second.length) {
    throw new Error(`internal: ${first.length} entries beside ${second.length}`);
  }
  return Array.from(first, (a, i) => [a, second[i] as B]);
}
