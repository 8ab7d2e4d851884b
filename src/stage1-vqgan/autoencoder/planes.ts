/**
 * What encoder and decoder have of a picture, which to all others is red, green and blue: the same of photographs, one
 * value of depth, a plane for each label of a label map (as VQGAN's tokenizers of segmentations have it, Esser et al.,
 * arXiv 2012.09841, whose loss is the mean of binary cross entropies; here it is the cross entropy of each pixel).
 */
import * as tf from '@tensorflow/tfjs-core';
import type { DataConfig } from '../../config/schema.js';
import { valuesOf } from '../../data/map-labels.js';
import { nearestRow } from '../bottlenecks/nearest.js';

export interface Planes {
  /** L. */
  readonly count: number;
  /** Images [B, S, S, 3] in [−1, 1] → what the encoder takes, [B, S, S, L]. */
  of(images: tf.Tensor): tf.Tensor;
  /** What the decoder makes, [B, S, S, L] → what losses compare: [B, S, S, 3], of labels logits [B, S, S, L]. */
  compared(made: tf.Tensor): tf.Tensor;
  /** That → images [B, S, S, 3]. */
  shown(compared: tf.Tensor): tf.Tensor;
  /** Where there are labels: images → int32 [B, S, S]. */
  readonly labels?: (images: tf.Tensor) => tf.Tensor;
}

const same = (x: tf.Tensor): tf.Tensor => x;

export function planesOf({ pictures, labels }: Pick<DataConfig, 'pictures' | 'labels'>): Planes {
  if (pictures === 'labels') return labelPlanes(labels);
  if (pictures === 'photographs') return { count: 3, of: same, compared: same, shown: same };
  return {
    count: 1,
    of: (images) => tf.mean(images, -1, true),
    compared: (made) => tf.concat([made, made, made], 3),
    shown: same,
  };
}

/** @param colours of the labels, in the order of their planes */
function labelPlanes(colours: readonly string[]): Planes {
  const count = colours.length;
  const codebook = () => tf.tensor2d(colours.flatMap(valuesOf), [count, 3]);
  const labels = (images: tf.Tensor): tf.Tensor => nearestRow({ codebook: codebook() }, images);
  return {
    count,
    of: (images) => tf.oneHot(labels(images) as tf.Tensor1D, count, 1, 0, 'float32'),
    compared: same,
    shown: (logits) => tf.gather(codebook(), tf.argMax(logits, -1)),
    labels,
  };
}
