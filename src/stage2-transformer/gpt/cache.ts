/**
 * The prior with a key/value cache: one program that takes a cache of any length and gives logits and what it is to
 * hold next.
 */
import { type HostTensors, int32 } from '../../base/tensor.js';
import type { Device, GraphProgram, Precision } from '../../engine/device.js';
import { treeOf } from '../../nn/params.js';
import type { CachedModel } from '../drawer.js';
import { cacheInputs, indexed, keyValueCache, ofKind } from '../key-value-cache.js';
import { cachedStep, type GptSizes, gptSpecs } from './gpt.js';
import { openResidentModel } from './resident-cache.js';

/**
 * One token of `batch` sequences. Inputs: `ids` int32 [B], `position` int32 [1], and those of the cache. Outputs:
 * `logits` [B, K], `qkv.i` [B, 3D].
 */
export function cachedProgram(
  sizes: GptSizes,
  weights: HostTensors,
  { batch, precision }: { batch: number; precision?: Precision },
): GraphProgram<'ids' | 'position' | 'mask', 'logits'> {
  const specs = gptSpecs(sizes);
  const { layers } = sizes;
  return {
    name: 'prior-cached',
    inputs: {
      ids: { shape: [batch], dtype: 'int32' },
      position: { shape: [1], dtype: 'int32' },
      ...cacheInputs(sizes, batch),
    },
    constants: weights,
    precision,
    run(inputs, constants) {
      const { ids, position, mask } = inputs;
      const [keys, values] = [ofKind('keys', inputs, layers), ofKind('values', inputs, layers)];
      const past = { ids, position, mask, keys, values };
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
  const graph = await device.prepare(cachedProgram(sizes, o.weights, o));
  const cache = keyValueCache(sizes, batch);
  return {
    async nextLogits(ids, position) {
      const { logits, ...fresh } = await graph.run({
        ids: int32([batch], ids),
        position: int32([1], [position]),
        ...cache.inputs(position),
      });
      cache.write(position, fresh);
      return logits.data as Float32Array;
    },
    dispose: () => graph.dispose(),
  };
}
