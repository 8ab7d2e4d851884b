/**
 * A tokenizer that learned from masked pictures, as one of whole pictures. The mask that its first filters look at
 * beside the colours is 0 for a finished tokenizer, so that without these filters it computes the same.
 */
import { must } from '../base/lookup.js';
import { float32, type HostTensors } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import { modelOf } from '../stage1-vqgan/model.js';

/** @param weights by the names that `modelSpecs` has */
export function unmasked(config: Config, weights: HostTensors): { config: Config; weights: HostTensors } {
  const { corruption, specs } = modelOf(config);
  const { channels } = corruption;
  if (channels === 3) return { config, weights };
  const filters = Object.keys(specs.encoder).find((name) => name.endsWith('.weight'));
  const first = `encoder.${filters}`;
  const { shape, data } = must(weights[first], first);
  const [height, width, , outputs] = shape as [number, number, number, number];
  const colours = data.filter((_, i) => Math.floor(i / outputs) % channels < 3) as Float32Array;
  const corrupt = { ...config.stage1.corrupt, kind: 'none' as const };
  return {
    config: { ...config, stage1: { ...config.stage1, corrupt } },
    weights: { ...weights, [first]: float32([height, width, 3, outputs], colours) },
  };
}
