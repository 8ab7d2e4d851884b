/**
 * The prior with a key/value cache. Programs have fixed shapes: for T tokens there are up to four, with room for a
 * quarter, half, three quarters and all of the places, so that early tokens do not attend to a long empty cache. Each
 * returns logits and one new key and value for every layer, which are written into the cache here: what a program
 * takes in is not copied, what it gives out is.
 *
 * Shapes: B sequences, H heads, L places of the cache, E = width/H.
 */
import { float32, type HostTensor, type HostTensors, int32 } from '../base/tensor.js';
import type { Device, Graph, GraphProgram, Specs } from '../engine/device.js';
import { treeOf } from '../nn/params.js';
import { cachedStep, type GptSizes, gptSpecs } from '../stage2-transformer/gpt.js';
import type { NextLogits } from './decode-loop.js';

/** Cache lengths of the programs, ascending. */
export function cacheLengths(tokens: number): number[] {
  return [...new Set([1, 2, 3, 4].map((quarters) => Math.ceil((tokens * quarters) / 4)))];
}

const names = (sizes: GptSizes): string[] =>
  ['keys', 'values'].flatMap((kind) => Array.from({ length: sizes.layers }, (_, i) => `${kind}.${i}`));

/**
 * One token of `batch` sequences. Inputs: `ids` int32 [B], `position` int32 [1], `mask` [L] (0 for filled places,
 * −10⁹ for others), `keys.i` and `values.i` [B·H, L, E]. Outputs: `logits` [B, K], `keys.i` and `values.i` [B·H, E].
 */
export function cachedProgram(
  sizes: GptSizes,
  weights: HostTensors,
  o: { batch: number; length: number },
): GraphProgram {
  const specs = gptSpecs(sizes);
  const { batch, length } = o;
  const cache = {
    shape: [batch * sizes.heads, length, sizes.width / sizes.heads],
    dtype: 'float32',
  } as const;
  const inputs: Specs = {
    ids: { shape: [batch], dtype: 'int32' },
    position: { shape: [1], dtype: 'int32' },
    mask: { shape: [length], dtype: 'float32' },
    ...Object.fromEntries(names(sizes).map((name) => [name, cache])),
  };
  return {
    name: `prior-cached-${length}`,
    inputs,
    constants: weights,
    run({ ids, position, mask, ...caches }, constants) {
      const all = names(sizes).map((name) => caches[name]!);
      const keys = all.slice(0, sizes.layers);
      const values = all.slice(sizes.layers);
      const past = { ids: ids!, position: position!, mask: mask!, keys, values };
      const { logits, ...fresh } = cachedStep(sizes, treeOf(specs, constants), past);
      const news = [...fresh.keys, ...fresh.values];
      return { logits, ...Object.fromEntries(names(sizes).map((name, i) => [name, news[i]!])) };
    },
  };
}

/** A program and its cache, prepared when first needed. */
interface Bucket {
  readonly length: number;
  readonly graph: Graph;
  readonly mask: HostTensor;
  readonly caches: Record<string, HostTensor>;
}

export interface CachedModel {
  /** Must be asked for the places 0, 1, 2, … in order; place 0 starts new sequences. */
  readonly nextLogits: NextLogits;
  dispose(): Promise<void>;
}

export function openCachedModel(o: {
  sizes: GptSizes;
  weights: HostTensors;
  batch: number;
  device: Device;
}): CachedModel {
  const { sizes, weights, batch, device } = o;
  const perHead = sizes.width / sizes.heads;
  const lengths = cacheLengths(sizes.tokens);
  const buckets = new Map<number, Bucket>();
  let current: Bucket | undefined;

  const open = async (length: number): Promise<Bucket> => {
    const cache = (): HostTensor => float32([batch * sizes.heads, length, perHead]);
    const bucket = {
      length,
      graph: await device.prepare(cachedProgram(sizes, weights, { batch, length })),
      mask: float32([length]),
      caches: Object.fromEntries(names(sizes).map((name) => [name, cache()])),
    };
    buckets.set(length, bucket);
    return bucket;
  };

  /** The smallest program with room for place `position`, its cache filled with those before. */
  const bucketAt = async (position: number): Promise<Bucket> => {
    const length = lengths.find((length) => length > position)!;
    const bucket = buckets.get(length) ?? (await open(length));
    if (current && position > 0 && current !== bucket) {
      for (const name of names(sizes)) {
        copyRows(current.caches[name]!, bucket.caches[name]!, position * perHead);
      }
    }
    current = bucket;
    return bucket;
  };

  return {
    async nextLogits(ids, position) {
      const { graph, mask, caches } = await bucketAt(position);
      mask.data.fill(0, 0, position).fill(-1e9, position);
      const inputs = { ids: int32([batch], ids), position: int32([1], [position]), mask, ...caches };
      const { logits, ...fresh } = await graph.run(inputs);
      for (const [name, rows] of Object.entries(fresh)) writePlace(caches[name]!, rows, position);
      return logits!.data as Float32Array;
    },
    async dispose() {
      for (const { graph } of buckets.values()) await graph.dispose();
    },
  };
}

/** The first `length` numbers of every row of [rows, …] into the same row of a longer one. */
function copyRows(from: HostTensor, to: HostTensor, length: number): void {
  const rows = from.shape[0]!;
  const [stepFrom, stepTo] = [from.data.length / rows, to.data.length / rows];
  for (let row = 0; row < rows; row++) {
    to.data.set(from.data.subarray(row * stepFrom, row * stepFrom + length), row * stepTo);
  }
}

/** [rows, E] into place `position` of [rows, L, E]. */
function writePlace(cache: HostTensor, fresh: HostTensor, position: number): void {
  const [rows, length, width] = cache.shape as [number, number, number];
  for (let row = 0; row < rows; row++) {
    const values = fresh.data.subarray(row * width, (row + 1) * width);
    cache.data.set(values, (row * length + position) * width);
  }
}
