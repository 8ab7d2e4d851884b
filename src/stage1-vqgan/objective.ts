/** The generator's objective at a reconstruction, and its gradient there: for a training step and for validation. */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensors } from '../engine/device.js';
import { valueAndGradsOf } from '../nn/gradients.js';
import type { Perceptual } from '../perceptual/distances.js';
import type { Judge } from './adversary/index.js';
import type { Planes } from './autoencoder/planes.js';
import { generatorLoss, labelLoss, type ReconstructionSettings, reconstructionLoss } from './losses.js';

export interface Objective {
  /** Everything but the bottleneck's terms; a scalar. */
  readonly loss: tf.Tensor;
  /** Of `loss` at the reconstruction. */
  readonly gradient: tf.Tensor;
  /**
   * Scalars by their names in the metrics: `l1`, `perceptual`, of labels `label_accuracy`, and with a judge `generator`
   * and `adaptive_weight`.
   */
  readonly terms: Tensors;
}

/**
 * @param at.images the originals [B, S, S, 3]
 * @param at.reconstruction what `planes` compare with them
 * @param at.last the decoder's last layer: its filter, and the reconstruction with another
 * @param at.judge the discriminator, where there is one
 * @param at.scale scalar by which gradients are multiplied on their way, in low precision; where one is not finite λ
 *   is 0
 */
export function objectiveAt(
  settings: ReconstructionSettings,
  perceptual: Perceptual | undefined,
  constants: Tensors,
  at: {
    images: tf.Tensor;
    reconstruction: tf.Tensor;
    last: { filter: tf.Tensor; picture: (filter: tf.Tensor) => tf.Tensor };
    judge: Judge | undefined;
    scale?: tf.Tensor;
    planes: Planes;
  },
): Objective {
  const { images, reconstruction, last, judge, scale, planes } = at;
  const lossAt = (x: tf.Tensor) =>
    planes.labels
      ? labelLoss(planes.labels(images), x)
      : reconstructionLoss(settings, perceptual, constants, images, x);
  const gradientOf = (loss: (x: tf.Tensor) => tf.Tensor) => {
    const { value, grads } = valueAndGradsOf({ x: reconstruction }, ({ x }) => loss(x), scale);
    return { value, gradient: scale ? tf.div(grads.x, scale) : grads.x };
  };
  const error = gradientOf((x) => lossAt(x).total);
  const { total: _, ...terms } = lossAt(reconstruction);
  if (!judge) return { loss: error.value, gradient: error.gradient, terms };

  const adversarial = gradientOf((x) => generatorLoss(judge.logits(x)));
  const atFilter = (dy: tf.Tensor) => tf.grad(last.picture)(last.filter, dy);
  const ratio = judge.weight(atFilter(error.gradient), atFilter(adversarial.gradient));
  const weight = scale ? tf.where(tf.less(ratio, Number.MAX_SAFE_INTEGER), ratio, tf.scalar(0)) : ratio;
  const lambda = judge.acts ? tf.mul(weight, judge.acts) : weight;
  return {
    loss: tf.add(error.value, tf.mul(lambda, adversarial.value)),
    gradient: tf.add(error.gradient, tf.mul(lambda, adversarial.gradient)),
    terms: { ...terms, generator: adversarial.value, adaptive_weight: lambda },
  };
}
