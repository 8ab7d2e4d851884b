/**
 * The prior with a key/value cache: one program that takes a cache of any length L and gives logits and, for every
 * layer, the new token's key and value, which are written into the cache here: what a program takes in is not copied,
 * what it gives out is. L grows in steps with the sequence, so that early tokens do not attend to a long empty cache.
 *
 * Shapes: B sequences, H heads, L places of the cache, D width, E = D/H.
 */
import { float32, type HostTensor, type HostTensors, int32, sizeOf } from '../../base/tensor.js';
import type { Device, GraphProgram, InputSpec, Precision } from '../../engine/device.js';
import { treeOf } from '../../nn/params.js';
import type { CachedModel } from './drawer.js';
import { cachedStep, type GptSizes, gptSpecs } from './gpt.js';
import { openResidentModel } from './resident-cache.js';

/** Lengths that the cache has one after another. A new one moves all that is in it. */
export function cacheLengths(tokens: number): number[] {
  return [...new Set([1, 2, 3, 4].map((quarters) => Math.ceil((tokens * quarters) / 4)))];
}

const indexed = <T>(kind: string, of: readonly T[]): Record<string, T> =>
  Object.fromEntries(of.map((item, i) => [`${kind}.${i}`, item]));

/**
 * One token of `batch` sequences. Inputs: `ids` int32 [B], `position` int32 [1], `mask` [1, 1, 1, L] (0 for filled
 * places, −10⁹ for others), `keys.i` and `values.i` [B, H, L, E]. Outputs: `logits` [B, K], `qkv.i` [B, 3D]. L is
 * free.
 */
export function cachedProgram(
  sizes: GptSizes,
  weights: HostTensors,
  { batch, precision }: { batch: number; precision?: Precision },
): GraphProgram {
  const specs = gptSpecs(sizes);
  const { layers, heads, width, tokens } = sizes;
  const cache: InputSpec = {
    shape: [batch, heads, tokens, width / heads],
    dtype: 'float32',
    free: { 2: 'places' },
  };
  const caches = new Array<InputSpec>(layers).fill(cache);
  return {
    name: 'prior-cached',
    inputs: {
      ids: { shape: [batch], dtype: 'int32' },
      position: { shape: [1], dtype: 'int32' },
      mask: { shape: [1, 1, 1, tokens], dtype: 'float32', free: { 3: 'places' } },
      ...indexed('keys', caches),
      ...indexed('values', caches),
    },
    constants: weights,
    precision,
    run(inputs, constants) {
      const { ids, position, mask } = inputs;
      const all = (kind: string) => Array.from({ length: layers }, (_, i) => inputs[`${kind}.${i}`]!);
      const past = {
        ids: ids!,
        position: position!,
        mask: mask!,
        keys: all('keys'),
        values: all('values'),
      };
      const { logits, qkv } = cachedStep(sizes, treeOf(specs, constants), past);
      return { logits, ...indexed('qkv', qkv) };
    },
  };
}

export async function openCachedModel(o: {
  sizes: GptSizes;
  weights: HostTensors;
  batch: number;
  /** `f32` unless given. */
  precision?: Precision;
  device: Device;
}): Promise<CachedModel> {
  const { sizes, batch, device } = o;
  if (device.keepsState) return openResidentModel(o);
  const { layers, heads, width, tokens } = sizes;
  const graph = await device.prepare(cachedProgram(sizes, o.weights, o));
  const lengths = cacheLengths(tokens);
  const rows = batch * heads;
  const perHead = width / heads;
  const room = (): Float32Array => new Float32Array(rows * tokens * perHead);
  const caches = { keys: Array.from({ length: layers }, room), values: Array.from({ length: layers }, room) };
  let length = 0;

  /** Makes the cache long enough for place `position`. */
  const grow = (position: number): void => {
    const needed = lengths.find((length) => length > position)!;
    if (position > 0 && needed > length) {
      for (const cache of [...caches.keys, ...caches.values])
        spread(cache, rows, length * perHead, needed * perHead);
    }
    length = needed;
  };
  const view = (cache: Float32Array): HostTensor => {
    const shape = [batch, heads, length, perHead];
    return float32(shape, cache.subarray(0, sizeOf(shape)));
  };

  return {
    async nextLogits(ids, position) {
      grow(position);
      const { logits, ...fresh } = await graph.run({
        ids: int32([batch], ids),
        position: int32([1], [position]),
        mask: float32([1, 1, 1, length], new Float32Array(length).fill(-1e9, position)),
        ...indexed('keys', caches.keys.map(view)),
        ...indexed('values', caches.values.map(view)),
      });
      for (let layer = 0; layer < layers; layer++) {
        const qkv = fresh[`qkv.${layer}`]!.data as Float32Array;
        const place = { qkv, width, perHead, length, position };
        writePlace(caches.keys[layer]!, { ...place, part: 1 });
        writePlace(caches.values[layer]!, { ...place, part: 2 });
      }
      return logits!.data as Float32Array;
    },
    dispose: () => graph.dispose(),
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
