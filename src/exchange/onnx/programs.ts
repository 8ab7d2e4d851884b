/**
 * What an exported model computes, at the borders that others expect: images [B, 3, S, S] in [0, 1], codes [B, h, w], and one step of the
 * prior whose cache goes in as `past` and comes out as `present`. Any B in every run.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../base/tensor.js';
import type { Config } from '../../config/schema.js';
import type { GraphProgram, InputSpec, Tensors } from '../../engine/device.js';
import { composite } from '../../nn/composite.js';
import { treeOf } from '../../nn/params.js';
import { decodeProgram, encodeProgram } from '../../stage1-vqgan/programs.js';
import { type GptSizes, gptSpecs, nextLogits } from '../../stage2-transformer/gpt/gpt.js';

const freeBatch = (spec: InputSpec): InputSpec => ({ ...spec, free: { 0: 'batch' } });

/** `images` [B, 3, S, S] in [0, 1] → `codes` [B, h, w]. */
export function encoderProgram(config: Config, weights: HostTensors): GraphProgram {
  const { size } = config.data;
  const inner = encodeProgram(config, weights, 1);
  return {
    ...inner,
    name: 'encoder',
    inputs: { images: freeBatch({ shape: [1, 3, size, size], dtype: 'float32' }) },
    run: ({ images }, constants) =>
      inner.run({ images: tf.sub(tf.mul(tf.transpose(images!, [0, 2, 3, 1]), 2), 1) }, constants),
  };
}

/** `codes` [B, h, w] → `images` [B, 3, S, S] in [0, 1]. */
export function decoderProgram(config: Config, weights: HostTensors): GraphProgram {
  const inner = decodeProgram(config, weights, 1);
  return {
    ...inner,
    name: 'decoder',
    inputs: { codes: freeBatch(inner.inputs.codes!) },
    run(inputs, constants) {
      const { images } = inner.run(inputs, constants);
      const scaled = tf.clipByValue(tf.mul(tf.add(images!, 1), 0.5), 0, 1);
      return { images: tf.transpose(scaled, [0, 3, 1, 2]) };
    },
  };
}

/**
 * `ids` [B], the token before the one to draw, and `past` [2·layers, B, H, L, E], each layer's keys, then its values, of the L tokens before it →
 * `logits` [B, K] and `present` [2·layers, B, H, L + 1, E]. The place is L; a sequence starts with L = 0.
 */
export function priorProgram(sizes: GptSizes, weights: HostTensors): GraphProgram {
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
    run({ ids, past }, constants): Tensors {
      const before = tf.unstack(past!);
      const after: tf.Tensor[] = [];
      const position = lengthOf(past!, 3);
      const logits = nextLogits(treeOf(specs, constants), { ids: ids!, position }, (qkv, layer) => {
        const grown = attendTo({ keys: before[2 * layer]!, values: before[2 * layer + 1]! }, qkv, heads);
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
  const [q, k, v] = tf.split(tf.reshape(qkv, [batch, 3 * heads, 1, perHead]), 3, 1); // each [B, H, 1, E]
  const keys = tf.concat([past.keys, k!], 2);
  const values = tf.concat([past.values, v!], 2);
  const scores = tf.matMul(tf.mul(q!, perHead ** -0.5), keys, false, true); // [B, H, 1, L + 1]
  const mixed = tf.matMul(tf.softmax(scores), values); // [B, H, 1, E]
  return { keys, values, mixed: tf.reshape(mixed, [batch, width / 3]) };
}

/** int32 [1]; the axis may be free. */
function lengthOf(x: tf.Tensor, axis: number): tf.Tensor {
  return composite('AxisLength', { x }, { axis }, () => [tf.tensor1d([x.shape[axis]!], 'int32')])[0]!;
}
