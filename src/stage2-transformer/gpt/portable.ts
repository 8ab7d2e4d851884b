/**
 * A GPT as an exported file: one step whose cache goes in as `past` and comes out as `present`. Any B in every run.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../base/tensor.js';
import { freeBatch, type GraphProgram } from '../../engine/device.js';
import { attention } from '../../nn/attention.js';
import { composite } from '../../nn/composite.js';
import { treeOf } from '../../nn/params.js';
import { cacheAxes } from '../file-drawer.js';
import type { Portable } from '../prior.js';
import { type GptSizes, gptSpecs, nextLogits } from './gpt.js';
import { startToken } from './sequences.js';

export function portableGpt(sizes: GptSizes): Portable {
  const { layers, heads, width, codes, classes = 0, tokens } = sizes;
  const cache = { layers, heads, width };
  const begins = { without: startToken(codes), ofFirstClass: startToken(codes, 0) };
  const ofClasses = classes > 0 ? ` without a class, ${begins.ofFirstClass} and on that of each class` : '';
  return {
    program: (weights) => stepProgram(sizes, weights),
    metadata: {
      start: `${begins.without}`,
      tokens: `${tokens}`,
      ids: `int64 [batch], 0 to ${codes - 1} a code, ${begins.without} the start${ofClasses}`,
      past: `float32 [${cacheAxes(cache, 'batch', 'length')}], each layer's keys, then its values; length 0 to ${tokens - 1}`,
      logits: `float32 [batch, ${codes}], natural logarithms`,
      present: `float32 [${cacheAxes(cache, 'batch', 'length + 1')}]`,
    },
    asked: { by: 'steps', cache, begins },
  };
}

/**
 * `ids` [B], the token before the one to draw, and `past` [2·layers, B, H, L, E], each layer's keys, then its values,
 * of the L tokens before it → `logits` [B, K] and `present` [2·layers, B, H, L + 1, E]. The place is L; a sequence
 * starts with L = 0.
 */
function stepProgram(
  sizes: GptSizes,
  weights: HostTensors,
): GraphProgram<'ids' | 'past', 'logits' | 'present'> {
  const { layers, heads, width, tokens } = sizes;
  const specs = gptSpecs(sizes);
  return {
    name: 'prior',
    inputs: {
      ids: freeBatch({ shape: [1], dtype: 'int32' }),
      past: {
        shape: [2 * layers, 1, heads, tokens, width / heads],
        dtype: 'float32',
        free: { 1: 'batch', 3: 'length' },
      },
    },
    constants: weights,
    run({ ids, past }, constants) {
      const before = tf.unstack(past);
      const after: tf.Tensor[] = [];
      const position = lengthOf(past, 3);
      const logits = nextLogits(sizes, treeOf(specs, constants), { ids, position }, (qkv, layer) => {
        const [keys, values] = before.slice(2 * layer, 2 * layer + 2) as [tf.Tensor, tf.Tensor];
        const grown = attendTo({ keys, values }, qkv, heads);
        after.push(grown.keys, grown.values);
        return grown.mixed;
      });
      return { logits, present: tf.stack(after) };
    },
  };
}

interface Cache {
  /** Both [B, H, L, E]. */
  readonly keys: tf.Tensor;
  readonly values: tf.Tensor;
}

/** The cache with the token's own key and value from qkv [B, 3·H·E], and softmax(q·kᵀ/√E)·v over it, [B, H·E]. */
function attendTo(past: Cache, qkv: tf.Tensor, heads: number): Cache & { readonly mixed: tf.Tensor } {
  const [batch, width] = qkv.shape as [number, number];
  const perHead = width / 3 / heads;
  const parts = tf.split(tf.reshape(qkv, [batch, 3 * heads, 1, perHead]), 3, 1); // each [B, H, 1, E]
  const [q, k, v] = parts as [tf.Tensor, tf.Tensor, tf.Tensor];
  const keys = tf.concat([past.keys, k], 2);
  const values = tf.concat([past.values, v], 2);
  const mixed = attention(q, keys, values); // [B, H, 1, E]
  return { keys, values, mixed: tf.reshape(mixed, [batch, width / 3]) };
}

/** int32 [1]; the axis may be free. */
function lengthOf(x: tf.Tensor, axis: number): tf.Tensor {
  return composite('AxisLength', { x }, { axis }, () => [tf.tensor1d([x.shape[axis]!], 'int32')])[0]!;
}
