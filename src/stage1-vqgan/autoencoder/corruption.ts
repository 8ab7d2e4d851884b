/**
 * What the encoder sees in place of the picture, while the target stays the clean one: Gaussian noise (Vincent et al.,
 * "Extracting and Composing Robust Features with Denoising Autoencoders", 2008) or hidden cells (Xie et al., "SimMIM",
 * arXiv 2111.09886, which fits convolutions). Drawn by seed and step; a finished tokenizer sees clean pictures unless
 * it is told otherwise.
 */
import * as tf from '@tensorflow/tfjs-core';
import { permutation, stream } from '../../base/rng.js';
import { float32, type HostTensors } from '../../base/tensor.js';
import type { Stage1Config } from '../../config/schema.js';
import type { Specs, Tensors } from '../../engine/device.js';

export interface Corruption {
  /** Of what the encoder sees: 3, or 4 with the mask. */
  readonly channels: number;
  /** @param batch images of a run */
  inputs(batch: number): Specs;
  /** For images `first` and on, or the batch of a step: by `key`, whatever the batch's number of parts. */
  feed(key: string | number, batch: number): HostTensors;
  /** Images [B, S, S, 3] → what the encoder sees, [B, S, S, `channels`]: clean, where the inputs are left out. */
  apply(images: tf.Tensor, inputs: Tensors): tf.Tensor;
  /** The same as a picture: what is hidden is grey. [B, S, S, 3] */
  shown(seen: tf.Tensor): tf.Tensor;
}

const name = 'corruption';

/** @param o.size side S of an image. @param o.cell pixels along a side of what becomes one position of the latent */
export function corruptionOf(
  { kind, amount }: Stage1Config['corrupt'],
  { size, cell, seed }: { size: number; cell: number; seed: number },
): Corruption {
  if (kind === 'noise') return noise(size, amount, seed);
  if (kind === 'mask') return mask(size, { cell, amount, seed });
  return {
    channels: 3,
    inputs: () => ({}),
    feed: () => ({}),
    apply: (images) => images,
    shown: (seen) => seen,
  };
}

/** x + σ·ε in the range [−1, 1] of pixels, not clamped. */
function noise(size: number, sigma: number, seed: number): Corruption {
  return {
    channels: 3,
    inputs: (batch) => ({ [name]: { shape: [batch, size, size, 3], dtype: 'float32' } }),
    feed(key, batch) {
      const rng = stream(seed, 'corrupt', key);
      const values = float32([batch, size, size, 3]);
      for (let i = 0; i < values.data.length; i++) values.data[i] = rng.normal();
      return { [name]: values };
    },
    apply: (images, inputs) => (inputs[name] ? tf.add(images, tf.mul(sigma, inputs[name])) : images),
    shown: (seen) => seen,
  };
}

/**
 * A share of the cells, f×f pixels that become one position of the latent, is 0; a fourth channel, 1 there, tells a
 * hole from grey. As many in each picture, at least one and not all.
 */
function mask(size: number, o: { cell: number; amount: number; seed: number }): Corruption {
  const side = size / o.cell;
  const cells = side * side;
  const hidden = Math.min(cells - 1, Math.max(1, Math.round(o.amount * cells)));
  return {
    channels: 4,
    inputs: (batch) => ({ [name]: { shape: [batch, side, side, 1], dtype: 'float32' } }),
    feed(key, batch) {
      const holes = float32([batch, side, side, 1]);
      for (let b = 0; b < batch; b++) {
        for (const at of permutation(cells, stream(o.seed, 'corrupt', key, b)).subarray(0, hidden))
          holes.data[b * cells + at] = 1;
      }
      return { [name]: holes };
    },
    apply(images, inputs) {
      const [batch] = images.shape as [number];
      const holes = inputs[name] && enlarged(inputs[name], o.cell);
      if (!holes) return tf.concat([images, tf.zeros([batch, size, size, 1])], 3);
      return tf.concat([tf.mul(images, tf.sub(1, holes)), holes], 3);
    },
    shown(seen) {
      const [batch] = seen.shape as [number];
      return tf.slice(seen, [0, 0, 0, 0], [batch, size, size, 3]);
    },
  };
}

/** Each number as a square of `by` × `by`: [B, h, w, 1] → [B, h·by, w·by, 1]. */
function enlarged(x: tf.Tensor, by: number): tf.Tensor {
  const [batch, height, width] = x.shape as [number, number, number, number];
  const rows = tf.tile(tf.reshape(x, [batch, height, 1, width, 1]), [1, 1, by, 1, by]);
  return tf.reshape(rows, [batch, height * by, width * by, 1]);
}
