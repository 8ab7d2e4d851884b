/**
 * What an exported tokenizer computes, at the borders that others expect: images [B, 3, S, S] in [0, 1], and the
 * latent (`latentSpecs`). Any B in every run. The prior's file is its own affair (`Portable`).
 */
import * as tf from '@tensorflow/tfjs-core';
import { float32, type HostTensors, sizeOf } from '../../base/tensor.js';
import type { TrainedModel } from '../../checkpoint/store.js';
import type { Config } from '../../config/schema.js';
import { freeBatch, type GraphProgram } from '../../engine/device.js';
import { lookup } from '../../nn/lookup.js';
import { classMeans } from '../../sample/numbers-source.js';
import { modelOf } from '../../stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../../stage1-vqgan/programs.js';
import { unmasked } from '../unmask.js';
import type { Gaussian } from './metadata.js';

/** `images` [B, 3, S, S] in [0, 1] → the latent. */
export function encoderProgram(config: Config, weights: HostTensors): GraphProgram<'images'> {
  const { size } = config.data;
  const whole = unmasked(config, weights);
  const inner = encodeProgram(modelOf(whole.config), whole.weights, 1);
  return {
    ...inner,
    name: 'encoder',
    inputs: { images: freeBatch({ shape: [1, 3, size, size], dtype: 'float32' }) },
    run: ({ images }, constants) =>
      inner.run({ images: tf.sub(tf.mul(tf.transpose(images, [0, 2, 3, 1]), 2), 1) }, constants),
  };
}

/** The latent → `images` [B, 3, S, S] in [0, 1]. */
export function decoderProgram(config: Config, weights: HostTensors): GraphProgram {
  const inner = decodeProgram(modelOf(config), weights, 1);
  return {
    ...inner,
    name: 'decoder',
    inputs: Object.fromEntries(Object.entries(inner.inputs).map(([name, spec]) => [name, freeBatch(spec)])),
    run(inputs, constants) {
      const { images } = inner.run(inputs, constants);
      const scaled = tf.clipByValue(tf.mul(tf.add(images, 1), 0.5), 0, 1);
      return { images: tf.transpose(scaled, [0, 3, 1, 2]) };
    },
  };
}

/** `labels` [B], numbers of classes → `means` [B, …], around which the latents of these classes lie. */
export function meansProgram(
  { shape, classes }: Gaussian,
  model: TrainedModel,
): GraphProgram<'labels', 'means'> {
  const width = sizeOf(shape);
  const means = classMeans(model, classes.length, width);
  const table = float32(
    [classes.length, width],
    means.flatMap((mean) => [...mean]),
  );
  return {
    name: 'means',
    inputs: { labels: freeBatch({ shape: [1], dtype: 'int32' }) },
    constants: { table },
    run: ({ labels }, { table }) => ({
      means: tf.reshape(lookup(table as tf.Tensor2D, labels), [-1, ...shape]),
    }),
  };
}
