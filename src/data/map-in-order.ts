/**
 * The results of `task(0)`, `task(1)`, … `task(count − 1)` in that order, at most `width` of them begun ahead of the
 * reader: memory stays bounded however long the list is. A task should not reject before its turn; give failures as
 * values. A reader who leaves early waits for what has begun.
 */
export async function* mapInOrder<T>(
  count: number,
  width: number,
  task: (index: number) => Promise<T>,
): AsyncGenerator<T> {
  const begun: Promise<T>[] = [];
  try {
    for (let next = 0; next < count || begun.length > 0; ) {
      while (next < count && begun.length < width) begun.push(task(next++));
      yield await begun.shift()!;
    }
  } finally {
    await Promise.allSettled(begun);
  }
}
