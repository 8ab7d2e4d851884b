/** A latent of numbers as a grid, D of them at each position, or as one vector an image. */
import * as tf from '@tensorflow/tfjs-core';
import type { Stage1Config } from '../../config/schema.js';
import type { Tensors } from '../../engine/device.js';
import { linear, linearSpecs } from '../../nn/linear.js';
import { type ParamSpec, specsOf, treeOf } from '../../nn/params.js';
import type { Place } from '../latent.js';

export interface Layout {
  /** Of one image: [h, w, D] or [D]. */
  readonly shape: readonly number[];
  /** Of what is taken from the encoder and given to the decoder. */
  readonly channels: { readonly in: number; readonly out: number };
  readonly learned: Record<string, ParamSpec>;
  /** z [B, h, w, `channels.in`] → `sets` tensors [B, …shape]. */
  numbers(p: Tensors, z: tf.Tensor): tf.Tensor[];
  /** [B, …shape] → [B, h, w, `channels.out`]. */
  features(p: Tensors, numbers: tf.Tensor): tf.Tensor;
}

/** @param sets how many numbers the encoder gives for each of the latent's */
export function layoutOf(
  { bottleneck: { shape, latent_dim }, embed_dim }: Stage1Config,
  { side }: Pick<Place, 'side'>,
  sets: number,
): Layout {
  if (shape === 'grid') {
    return {
      shape: [side, side, embed_dim],
      channels: { in: sets * embed_dim, out: embed_dim },
      learned: {},
      numbers: (_, z) => tf.split(z, sets, -1),
      features: (_, numbers) => numbers,
    };
  }
  const all = side * side * embed_dim;
  const layer = (inputs: number, outputs: number) =>
    linearSpecs(inputs, outputs, { kind: 'uniform', bound: 1 / Math.sqrt(inputs) });
  const specs = { to: layer(all, sets * latent_dim), from: layer(latent_dim, all) };
  return {
    shape: [latent_dim],
    channels: { in: embed_dim, out: embed_dim },
    learned: specsOf(specs),
    numbers: (p, z) => tf.split(linear(treeOf(specs, p).to, tf.reshape(z, [-1, all])), sets, -1),
    features: (p, numbers) => tf.reshape(linear(treeOf(specs, p).from, numbers), [-1, side, side, embed_dim]),
  };
}
