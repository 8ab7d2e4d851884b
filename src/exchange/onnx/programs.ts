/**
 * What an exported tokenizer computes, at the borders that others expect: images [B, 3, S, S] in [0, 1], codes [B, h,
 * w]. Any B in every run. The prior's file is its own affair (`Portable`).
 */
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../base/tensor.js';
import type { Config } from '../../config/schema.js';
import { freeBatch, type GraphProgram } from '../../engine/device.js';
import { decodeProgram, encodeProgram } from '../../stage1-vqgan/programs.js';

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
