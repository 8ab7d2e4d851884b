/**
 * Perceptual distance in the form of LPIPS (Zhang et al., arXiv 1801.03924, eq. 1) over a frozen network: features at
 * several depths, of unit length over channels, squared differences weighted by channel, averaged over positions,
 * summed over depths.
 *
 * `vqgen` is a classifier of our own (trained-features.ts). `lpips-vgg16` is the official architecture; its weights
 * come from a file of the user's. `random-features` is a small convolutional pyramid with seeded orthogonal weights
 * that nobody trained: it compares local colours, edges and textures at four scales, and claims no more.
 */

import * as tf from '@tensorflow/tfjs-core';
import { entry, last } from '../base/lookup.js';
import { stream } from '../base/rng.js';
import { float32, type HostTensor, type HostTensors } from '../base/tensor.js';
import type { Tensors } from '../engine/device.js';
import { inParts } from '../nn/in-parts.js';

export interface Perceptual {
  /** The frozen network's weights, constants of a training step's program. */
  readonly constants: HostTensors;
  /** How its stages halve an image, where it is one of several ways (`Pooling`). */
  readonly pooling?: string;
  /** Mean over the batch of the distance between images [B, S, S, 3] in [−1, 1]; a scalar. */
  distance(constants: Tensors, x: tf.Tensor, y: tf.Tensor): tf.Tensor;
}

/** A frozen network that describes whole images by numbers, for measures that compare sets of images. */
export interface FeatureNetwork {
  /** Which network, and for which images: features of different names cannot be compared. */
  readonly name: string;
  readonly constants: HostTensors;
  /** Images [B, S, S, 3] in [−1, 1] → [B, F]: means over all positions of the last two depths. */
  features(constants: Tensors, images: tf.Tensor): tf.Tensor;
}

interface Stage {
  readonly filters: readonly string[];
  readonly lin: string | number;
}

/**
 * A frozen network as stages of 3×3 convolutions with ReLU; each stage ends in a tap, pooling stands between stages.
 * `lin` weights a tap's squared differences: the name of a constant [C], or one number for all channels.
 */
export interface Trunk {
  readonly stages: readonly Stage[];
  pool(x: tf.Tensor4D): tf.Tensor4D;
  prepare(images: tf.Tensor): tf.Tensor;
}

/** As `Perceptual.distance`. */
export function distance(trunk: Trunk, constants: Tensors, x: tf.Tensor, y: tf.Tensor): tf.Tensor {
  let pair: readonly tf.Tensor[] = [x, y];
  const distances = trunk.stages.map((stage, i) => {
    const channels = last(entry(constants, `${last(stage.filters)}.weight`).shape);
    const [apart, ...pooled] = inParts(pair as [tf.Tensor, tf.Tensor], channels, (...images) => {
      const inputs = i === 0 ? images.map(trunk.prepare) : images;
      const taps = inputs.map((image) => tap(stage, constants, image as tf.Tensor4D));
      const apart = tapDistance(stage, constants, ...(taps as [tf.Tensor4D, tf.Tensor4D]));
      const further = i + 1 < trunk.stages.length ? taps.map(trunk.pool) : [];
      return [apart, ...further] as [tf.Tensor, ...tf.Tensor[]];
    });
    pair = pooled;
    return tf.mean(apart);
  });
  return tf.addN(distances);
}

/** Of two taps [B, H, W, C], image by image: [B]. */
function tapDistance({ lin }: Stage, constants: Tensors, a: tf.Tensor4D, b: tf.Tensor4D): tf.Tensor {
  const squares = tf.square(tf.sub(unitLength(a), unitLength(b)));
  const [weighted, weight] =
    typeof lin === 'string' ? [tf.mul(squares, entry(constants, lin)), 1] : [squares, lin];
  return tf.mul(tf.sum(weighted, [1, 2, 3]), weight / (a.shape[1] * a.shape[2]));
}

/** What each stage ends in, [B, H, W, C]. */
export function features(trunk: Trunk, constants: Tensors, images: tf.Tensor): tf.Tensor[] {
  let x = trunk.prepare(images) as tf.Tensor4D;
  return trunk.stages.map((stage, i) => {
    x = tap(stage, constants, i > 0 ? trunk.pool(x) : x);
    return x;
  });
}

function tap({ filters }: Stage, constants: Tensors, images: tf.Tensor4D): tf.Tensor4D {
  let x = images;
  for (const name of filters) {
    const filter = constants[`${name}.weight`] as tf.Tensor4D;
    const bias = constants[`${name}.bias`];
    x = tf.relu(
      bias ? tf.fused.conv2d({ x, filter, strides: 1, pad: 'same', bias }) : tf.conv2d(x, filter, 1, 'same'),
    );
  }
  return x;
}

/** x / ‖x‖ over channels; the 10⁻¹⁰ of LPIPS stands under the root, so that the gradient at 0 is finite. */
function unitLength(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, tf.rsqrt(tf.add(tf.sum(tf.square(x), -1, true), 1e-20)));
}

/** Of every constant's name: they stand beside others in a training step. */
export const prefix = 'perceptual';

/** Convolutions of each stage of VGG16 (Simonyan and Zisserman, arXiv 1409.1556), by torchvision's index. */
const vggStages = [
  { convs: [0, 2], channels: 64 },
  { convs: [5, 7], channels: 128 },
  { convs: [10, 12, 14], channels: 256 },
  { convs: [17, 19, 21], channels: 512 },
  { convs: [24, 26, 28], channels: 512 },
];

/** Names and shapes that `lpipsVgg16` expects, filters [out, in, 3, 3] as torchvision stores them. */
export function vgg16Shapes(taps = vggStages.length): Record<string, number[]> {
  const shapes: Record<string, number[]> = {};
  let inputs = 3;
  vggStages.slice(0, taps).forEach(({ convs, channels }, stage) => {
    for (const i of convs) {
      shapes[`features.${i}.weight`] = [channels, inputs, 3, 3];
      shapes[`features.${i}.bias`] = [channels];
      inputs = channels;
    }
    shapes[`lin${stage}.weight`] = [1, channels, 1, 1];
  });
  return shapes;
}

/**
 * LPIPS over VGG16.
 *
 * @param weights `features.N.weight` [out, in, 3, 3] and `features.N.bias` [out] as torchvision's vgg16 has them, and
 *   LPIPS's `linN.weight` [1, C, 1, 1]; others are left aside
 * @param taps how many of the five depths count, from the first
 */
export function lpipsVgg16(weights: HostTensors, taps = vggStages.length): Perceptual {
  const constants: HostTensors = {};
  for (const [name, shape] of Object.entries(vgg16Shapes(taps))) {
    const given = weights[name];
    if (given?.shape.join() !== shape.join()) {
      throw new Error(`internal: ${name} has shape [${given?.shape}] where [${shape}] is expected`);
    }
    const filter = name.startsWith('features') && shape.length === 4;
    constants[`${prefix}.${name}`] = filter
      ? filterOfTorch(given)
      : float32([given.data.length], given.data as Float32Array);
  }
  const trunk: Trunk = {
    stages: vggStages.slice(0, taps).map(({ convs }, stage) => ({
      filters: convs.map((i) => `${prefix}.features.${i}`),
      lin: `${prefix}.lin${stage}.weight`,
    })),
    pool: (x) => tf.maxPool(x, 2, 2, 'valid'),
    prepare: (x) => tf.div(tf.sub(x, tf.tensor1d(shift)), tf.tensor1d(scale)),
  };
  return { constants, distance: (c, x, y) => distance(trunk, c, x, y) };
}

/** ImageNet's channel means and deviations, for inputs in [−1, 1]: LPIPS's scaling layer. */
const shift = [-0.03, -0.088, -0.188];
const scale = [0.458, 0.448, 0.45];

/** [out, in, kh, kw] → [kh, kw, in, out]. */
function filterOfTorch({ shape, data }: HostTensor): HostTensor {
  const [outputs, inputs, height, width] = shape as [number, number, number, number];
  const moved = new Float32Array(data.length);
  let from = 0;
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let k = 0; k < height * width; k++) moved[(k * inputs + i) * outputs + o] = data[from++]!;
  return float32([height, width, inputs, outputs], moved);
}

const pyramid = [16, 32, 64, 64];

/**
 * The random pyramid for images of `size` pixels; the same weights in every run. Scales count alike and their mean is
 * taken, which puts unrelated images at about 0.5, as LPIPS does.
 */
export function randomFeatures(size: number): Perceptual & FeatureNetwork {
  const stages = pyramid.slice(0, Math.floor(Math.log2(size)) + 1);
  const name = (stage: number) => `${prefix}.stage${stage}`;
  const constants = Object.fromEntries(
    stages.map((outputs, i) => [`${name(i)}.weight`, orthogonalFilter(pyramid[i - 1] ?? 3, outputs, i)]),
  );
  const trunk: Trunk = {
    stages: stages.map((_, i) => ({ filters: [name(i)], lin: 1 / stages.length })),
    pool: (x) => tf.avgPool(x, 2, 2, 'valid'),
    prepare: (x) => x,
  };
  return {
    name: `random-features, ${size} px`,
    constants,
    distance: (c, x, y) => distance(trunk, c, x, y),
    features: (c, x) =>
      tf.concat(
        features(trunk, c, x)
          .slice(-2)
          .map((level) => tf.mean(level, [1, 2])),
        1,
      ),
  };
}

/** A filter [3, 3, in, out] with orthogonal columns of length √2 (Saxe et al., arXiv 1312.6120), by Gram-Schmidt. */
function orthogonalFilter(inputs: number, outputs: number, seed: number): HostTensor {
  const rng = stream(seed, 'random-features');
  const rows = 9 * inputs;
  const columns: Float64Array[] = [];
  for (let j = 0; j < outputs; j++) {
    const column = Float64Array.from({ length: rows }, () => rng.normal());
    for (const earlier of columns) {
      const share = dot(column, earlier);
      for (let i = 0; i < rows; i++) column[i]! -= share * earlier[i]!;
    }
    const length = Math.sqrt(dot(column, column));
    columns.push(column.map((v) => v / length));
  }
  const data = new Float32Array(rows * outputs);
  for (const [j, column] of columns.entries())
    for (const [i, value] of column.entries()) data[i * outputs + j] = Math.SQRT2 * value;
  return float32([3, 3, inputs, outputs], data);
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
