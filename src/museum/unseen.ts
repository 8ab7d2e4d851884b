/** The unseen pictures: which of them every room shows, and which it is measured on. */
import { must, take } from '../base/lookup.js';
import { streamEvalImages } from '../data/batches.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { classOf } from '../data/source.js';
import { spread } from '../evaluate/observe.js';

/** The first of each class by name, then the second of each, … */
export function firstOfEach({ source, indices }: Subset, n: number): readonly number[] {
  const groups = new Map<string, number[]>();
  for (const i of indices) {
    const name = classOf(source, i);
    groups.set(name, [...(groups.get(name) ?? []), i]);
  }
  const inTurn: number[] = [];
  for (let row = 0; inTurn.length < Math.min(n, indices.length); row++) {
    for (const group of groups.values()) inTurn.push(...group.slice(row, row + 1));
  }
  return inTurn.slice(0, n);
}

/** n of them, spread evenly; all where there are fewer. */
export const spreadOver = ({ source, indices }: Subset, n: number): Subset => ({
  source,
  indices: take(indices, spread(indices.length, n)),
});

/** The pictures of these numbers, in this order, with their names; what cannot be read is left out. */
export async function readPictures(
  { source }: Subset,
  chosen: readonly number[],
  o: { size: number; signal?: AbortSignal },
): Promise<{ pictures: readonly Float32Array[]; names: readonly string[] }> {
  const ascending = [...chosen].sort((a, b) => a - b);
  const found = new Map<string, Float32Array>();
  const { size, signal } = o;
  const stream = streamEvalImages(
    { source, indices: ascending },
    { size, batchSize: 16, skipped: [], signal },
  );
  for await (const { images, names } of stream) {
    for (const [i, name] of names.entries()) found.set(name, imageAt(images, i));
  }
  const names = take(source.names, chosen).filter((name) => found.has(name));
  return { names, pictures: names.map((name) => must(found.get(name), name)) };
}
