/**
 * The prior with a key/value cache that never leaves the device: a step whose state is the cache, for devices from
 * which it would have to be fetched. Every token attends to all T places, those not filled yet masked.
 *
 * Shapes: B sequences, H heads, T tokens, K codes, E width of a head.
 */
import * as tf from '@tensorflow/tfjs-core';
import { must, pairs, picked } from '../../base/lookup.js';
import { float32, type HostTensors, int32 } from '../../base/tensor.js';
import type { Device, Precision, Specs, StepProgram, Tensors } from '../../engine/device.js';
import { treeOf } from '../../nn/params.js';
import type { CachedModel } from '../drawer.js';
import { ofKind } from '../key-value-cache.js';
import { cachedStep, type GptSizes, gptSpecs } from './gpt.js';

/**
 * State: `keys.i` and `values.i` [B, H, T, E]. Inputs: `ids` int32 [B], `position` int32 [1]. Output: `logits` [B,
 * K].
 */
export function residentProgram(
  sizes: GptSizes,
  weights: HostTensors,
  { batch, precision }: { batch: number; precision?: Precision },
): StepProgram {
  const { layers, heads, width, tokens } = sizes;
  const perHead = width / heads;
  const cache = { shape: [batch, heads, tokens, perHead], dtype: 'float32' } as const;
  const named = <T>(kind: string, of: (layer: number) => T): Record<string, T> =>
    Object.fromEntries(Array.from({ length: layers }, (_, i) => [`${kind}.${i}`, of(i)]));
  const state: Specs = { ...named('keys', () => cache), ...named('values', () => cache) };
  return {
    name: 'prior-resident',
    state,
    inputs: { ids: { shape: [batch], dtype: 'int32' }, position: { shape: [1], dtype: 'int32' } },
    constants: weights,
    precision,
    step(caches, inputs, constants) {
      const { ids, position } = picked(inputs, ['ids', 'position']);
      const [keys, values] = [ofKind('keys', caches, layers), ofKind('values', caches, layers)];
      const places = tf.range(0, tokens, 1, 'int32');
      const mask = tf.mul(tf.cast(tf.greaterEqual(places, position), 'float32'), -1e9); // [T]
      const here = tf.reshape(tf.equal(places, position), [1, 1, tokens, 1]);
      const { logits, qkv } = cachedStep(sizes, treeOf(gptSpecs(sizes), constants), {
        ids,
        position,
        mask: tf.reshape(mask, [1, 1, 1, tokens]),
        keys,
        values,
      });
      const next: Tensors = {};
      for (const [i, [own, [oldKeys, oldValues]]] of pairs(qkv, pairs(keys, values)).entries()) {
        const parts = tf.split(tf.reshape(own, [batch, 3 * heads, 1, perHead]), 3, 1);
        const [, key, value] = parts as [tf.Tensor, tf.Tensor, tf.Tensor];
        next[`keys.${i}`] = tf.where(here, key, oldKeys);
        next[`values.${i}`] = tf.where(here, value, oldValues);
      }
      return { state: next, outputs: { logits } };
    },
  };
}

export async function openResidentModel(o: {
  sizes: GptSizes;
  weights: HostTensors;
  batch: number;
  /** `f32` unless given. */
  precision?: Precision;
  device: Device;
}): Promise<CachedModel> {
  const program = residentProgram(o.sizes, o.weights, o);
  const runner = await o.device.prepareStep(program);
  runner.load(
    Object.fromEntries(Object.entries(program.state).map(([name, { shape }]) => [name, float32(shape)])),
  );
  return {
    async nextLogits(ids, position) {
      const [outputs] = await runner.run([{ ids: int32([o.batch], ids), position: int32([1], [position]) }]);
      return must(outputs?.logits, 'logits').data as Float32Array;
    },
    dispose: () => runner.dispose(),
  };
}
