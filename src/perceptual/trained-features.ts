/**
 * vqgen's own perceptual network: the convolutions of an image classifier that `vqgen train-perceptual` trained. It is
 * plain (3×3 convolutions, ReLU, means between stages), so that as a frozen loss it is cheap and its gradient smooth;
 * batch normalisation is folded into its filters.
 */

import * as tf from '@tensorflow/tfjs-core';
import { entry, last, picked } from '../base/lookup.js';
import type { HostTensors } from '../base/tensor.js';
import type { Tensors } from '../engine/device.js';
import { linear } from '../nn/linear.js';
import { under } from '../nn/params.js';
import { distance, type FeatureNetwork, features, type Perceptual, prefix, type Trunk } from './distances.js';

/** Channels of each stage's convolutions: few where an image is large, most values where it is small. */
const stages = [[32], [64], [96, 96], [192, 192], [192]];

/** Depths that the distance compares; the last only serves classes and measures. */
const taps = 4;

/**
 * Factor of the distance: learned features differ far more between an image and its blurred reconstruction than random
 * ones do, and at 1 they would outweigh the pixels beside them (docs/log.md has the runs).
 */
const scale = 0.1;

/** Convolutions in order, and the stage that each belongs to. */
export const layers: readonly {
  readonly stage: number;
  readonly inputs: number;
  readonly outputs: number;
}[] = stages.flatMap((widths, stage) =>
  widths.map((outputs, i) => ({
    stage,
    inputs: widths[i - 1] ?? stages[stage - 1]?.at(-1) ?? 3,
    outputs,
  })),
);

/** What the classifier's head sees: means over the positions of the last stage. */
export const featureWidth = last(last(stages));

const layerName = (i: number) => `layers.${i}`;

/** Names and shapes of the weights in a file: filters [3, 3, in, out], the head over K classes. */
export function trainedShapes(classes: number): Record<string, number[]> {
  return {
    ...Object.fromEntries(
      layers.flatMap(({ inputs, outputs }, i) => [
        [`${layerName(i)}.weight`, [3, 3, inputs, outputs]],
        [`${layerName(i)}.bias`, [outputs]],
      ]),
    ),
    'head.weight': [featureWidth, classes],
    'head.bias': [classes],
  };
}

/** The network as far as images of `size` pixels can be halved, at most to `depth`. */
function trunkFor(size: number, depth: number, pooling: Pooling, names: (layer: number) => string): Trunk {
  const count = Math.min(depth, Math.floor(Math.log2(size)) + 1);
  return {
    stages: Array.from({ length: count }, (_, stage) => ({
      filters: layers.flatMap((layer, i) => (layer.stage === stage ? [names(i)] : [])),
      lin: scale / count,
    })),
    pool: poolings[pooling],
    prepare: (x) => x,
  };
}

/**
 * How stages halve an image. `smooth`: [1 2 2 1] / 6 along rows and columns, so that what is too fine for the stage
 * behind does not come back in it as something coarser (Zhang, "Making Convolutional Networks Shift-Invariant Again",
 * arXiv 1904.11486); means are of what lies within the image. `means` of 2×2 positions: files of before have it.
 */
export const poolings = {
  smooth: (x: tf.Tensor4D): tf.Tensor4D => poolings.means(tf.avgPool(x, 3, 1, 'same')),
  means: (x: tf.Tensor4D): tf.Tensor4D => tf.avgPool(x, 2, 2, 'valid'),
};

export type Pooling = keyof typeof poolings;

/** Of what is trained today. */
export const pooling = 'smooth' satisfies Pooling;

/**
 * The trained network for images of `size` pixels; a tenth of the mean of its depths. A set of images is described by
 * the means of the last depth.
 *
 * @param weights of `trainedShapes`
 * @param name which weights these are
 */
export function trainedFeatures(
  weights: HostTensors,
  { size, name, pooling }: { size: number; name: string; pooling: Pooling },
): Perceptual & FeatureNetwork {
  const names = (layer: number) => `${prefix}.${layerName(layer)}`;
  const compared = trunkFor(size, taps, pooling, names);
  const whole = trunkFor(size, stages.length, pooling, names);
  const constants: HostTensors = {};
  for (const stage of whole.stages) {
    for (const filter of stage.filters) {
      for (const part of ['weight', 'bias']) {
        constants[`${filter}.${part}`] = entry(weights, `${filter.slice(prefix.length + 1)}.${part}`);
      }
    }
  }
  return {
    name: `${name}, ${size} px`,
    constants,
    pooling,
    distance: (c, x, y) => distance(compared, c, x, y),
    features: (c, x) => means(whole, c, x),
  };
}

/** The classifier: images [B, S, S, 3] in [−1, 1] → logits [B, K]. */
export function classLogits(weights: Tensors, images: tf.Tensor, pooling: Pooling): tf.Tensor {
  const [, size] = images.shape as [number, number];
  const trunk = trunkFor(size, stages.length, pooling, layerName);
  const head = picked(under('head', weights), ['weight', 'bias']);
  return linear(head, means(trunk, weights, images));
}

const means = (trunk: Trunk, constants: Tensors, images: tf.Tensor): tf.Tensor =>
  tf.mean(last(features(trunk, constants, images)), [1, 2]);
