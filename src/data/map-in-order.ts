/**
 * The results of `task` for each of `items`, in their order, at most `width` of them begun ahead of the reader:
 * memory stays bounded however long the list is. A task should not reject before its turn; give failures as
 * values. A reader who leaves early waits for what has begun.
 */
export async function* mapInOrder<A, B>(
  items: Iterable<A>,
  width: number,
  task: (item: A) => Promise<B>,
): AsyncGenerator<B> {
  const begun: Promise<B>[] = [];
  try {
    for (const item of items) {
      begun.push(task(item));
      if (begun.length === width) yield await begun.shift()!;
    }
    for (const result of begun) yield await result;
  } finally {
    await Promise.allSettled(begun);
  }
}
