/**
 * Keys and values of attention layers, kept on the host: what a program takes in is not copied, what it gives out is.
 * The length grows in steps with the sequence, so that early tokens do not attend to a long empty cache.
 *
 * Shapes: B sequences, H heads, L places of the cache, D width, E = D/H.
 */
import { must, pairs } from '../base/lookup.js';
import { float32, type HostTensor, type HostTensors, sizeOf } from '../base/tensor.js';
import type { InputSpec, Named } from '../engine/device.js';

export interface CacheSizes {
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  /** Places of a full cache. */
  readonly tokens: number;
}

export interface KeyValueCache {
  /** Of a program at place `position`, which must be 0, 1, 2, … in turn; see `cacheInputs`. */
  inputs(position: number): Named<'mask', HostTensor>;
  /** @param fresh `qkv.i` [B, 3D] of each layer at this place */
  write(position: number, fresh: HostTensors): void;
}

/** Lengths that the cache has one after another. A new one moves all that is in it. */
export function cacheLengths(tokens: number): number[] {
  return [...new Set([1, 2, 3, 4].map((quarters) => Math.ceil((tokens * quarters) / 4)))];
}

export const indexed = <T>(kind: string, of: readonly T[]): Record<string, T> =>
  Object.fromEntries(of.map((item, i) => [`${kind}.${i}`, item]));

/** What `indexed` names, so many. */
export const ofKind = <T>(kind: string, record: Readonly<Record<string, T>>, count: number): T[] =>
  Array.from({ length: count }, (_, i) => must(record[`${kind}.${i}`], `${kind}.${i}`));

/**
 * `mask` [1, 1, 1, L] (0 for filled places, −10⁹ for others), `keys.i` and `values.i` [B, H, L, E] of each layer. L
 * is free.
 */
export function cacheInputs(
  { layers, heads, width, tokens }: CacheSizes,
  batch: number,
): Named<'mask', InputSpec> {
  const cache: InputSpec = {
    shape: [batch, heads, tokens, width / heads],
    dtype: 'float32',
    free: { 2: 'places' },
  };
  const caches = new Array<InputSpec>(layers).fill(cache);
  return {
    mask: { shape: [1, 1, 1, tokens], dtype: 'float32', free: { 3: 'places' } },
    ...indexed('keys', caches),
    ...indexed('values', caches),
  };
}

export function keyValueCache(sizes: CacheSizes, batch: number): KeyValueCache {
  const { layers, heads, width, tokens } = sizes;
  const lengths = cacheLengths(tokens);
  const rows = batch * heads;
  const perHead = width / heads;
  const room = (): Float32Array => new Float32Array(rows * tokens * perHead);
  const caches = Array.from({ length: layers }, () => ({ keys: room(), values: room() }));
  let length = 0;

  /** Makes the cache long enough for place `position`. */
  const grow = (position: number): void => {
    const needed = must(
      lengths.find((length) => length > position),
      `place ${position}`,
    );
    if (position > 0 && needed > length) {
      for (const cache of caches.flatMap(({ keys, values }) => [keys, values]))
        spread(cache, rows, length * perHead, needed * perHead);
    }
    length = needed;
  };
  const view = (cache: Float32Array): HostTensor => {
    const shape = [batch, heads, length, perHead];
    return float32(shape, cache.subarray(0, sizeOf(shape)));
  };

  const views = (kind: 'keys' | 'values') => {
    const all = caches.map((cache) => view(cache[kind]));
    return indexed(kind, all);
  };

  return {
    inputs(position) {
      grow(position);
      return {
        mask: float32([1, 1, 1, length], new Float32Array(length).fill(-1e9, position)),
        ...views('keys'),
        ...views('values'),
      };
    },
    write(position, fresh) {
      for (const [{ keys, values }, { data }] of pairs(caches, ofKind('qkv', fresh, layers))) {
        const place = { qkv: data as Float32Array, width, perHead, length, position };
        writePlace(keys, { ...place, part: 1 });
        writePlace(values, { ...place, part: 2 });
      }
    },
  };
}

/** Rows of `from` numbers, one after another, moved to where rows of `to` numbers begin. */
function spread(cache: Float32Array, rows: number, from: number, to: number): void {
  for (let row = rows - 1; row > 0; row--) cache.copyWithin(row * to, row * from, (row + 1) * from);
}

/** Part 1 (keys) or 2 (values) of qkv [B, 3D] into place `position` of [B, H, L, E]. */
function writePlace(
  cache: Float32Array,
  o: {
    qkv: Float32Array;
    part: number;
    width: number;
    perHead: number;
    length: number;
    position: number;
  },
): void {
  const { qkv, part, width, perHead, length, position } = o;
  let to = position * perHead;
  for (let row = part * width; row < qkv.length; row += 3 * width) {
    for (let from = row; from < row + width; from += perHead, to += length * perHead) {
      for (let i = 0; i < perHead; i++) cache[to + i] = qkv[from + i]!;
    }
  }
}
