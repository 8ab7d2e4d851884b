/** The generator's objective at a reconstruction, and its gradient there: for a training step and for validation. */
import * as tf from '@tensorflow/tfjs-core';
import type { Stage1Config } from '../config/schema.js';
import type { Tensors } from '../engine/device.js';
import { imageConv } from '../nn/conv.js';
import { valueAndGradsOf } from '../nn/gradients.js';
import type { TensorTree } from '../nn/params.js';
import type { Decoder } from './decoder.js';
import { type Discriminator, discriminator } from './discriminator.js';
import { adaptiveWeight, generatorLoss, reconstructionLoss } from './losses.js';
import type { Perceptual } from './perceptual.js';

export interface Objective {
  /** Everything but the bottleneck's terms; a scalar. */
  readonly loss: tf.Tensor;
  /** Of `loss` at the reconstruction, [B, S, S, 3]. */
  readonly gradient: tf.Tensor;
  /** Scalars by their names in the metrics: `l1`, `perceptual`, and with a judge `generator` and `adaptive_weight`. */
  readonly terms: Tensors;
}

/**
 * @param at.images the originals [B, S, S, 3]
 * @param at.last what the decoder's last convolution sees, [B, S, S, ch]
 * @param at.judge the discriminator, where it acts
 * @param at.acts scalar 0 or 1, factor of λ; left out, 1
 */
export function objectiveAt(
  config: Stage1Config,
  perceptual: Perceptual | undefined,
  constants: Tensors,
  at: {
    images: tf.Tensor;
    last: tf.Tensor;
    convOut: TensorTree<Decoder['conv_out']>;
    judge: TensorTree<Discriminator> | undefined;
    acts?: tf.Tensor;
  },
): Objective {
  const { images, last, convOut, judge, acts } = at;
  const reconstruction = imageConv(convOut, last);
  const lossAt = (x: tf.Tensor) => reconstructionLoss(config, perceptual, constants, images, x);
  const error = valueAndGradsOf({ x: reconstruction }, ({ x }) => lossAt(x).total);
  const { l1, perceptual: distance } = lossAt(reconstruction);
  const terms = { l1, ...(distance && { perceptual: distance }) };
  if (!judge) return { loss: error.value, gradient: error.grads.x, terms };

  const adversarial = valueAndGradsOf({ x: reconstruction }, ({ x }) =>
    generatorLoss(discriminator(judge, x, config.disc.norm)),
  );
  const atFilter = (dy: tf.Tensor) =>
    tf.grad((weight) => imageConv({ ...convOut, weight }, last))(convOut.weight, dy);
  const weight = adaptiveWeight(atFilter(error.grads.x), atFilter(adversarial.grads.x), config.disc);
  const lambda = acts ? tf.mul(weight, acts) : weight;
  return {
    loss: tf.add(error.value, tf.mul(lambda, adversarial.value)),
    gradient: tf.add(error.grads.x, tf.mul(lambda, adversarial.grads.x)),
    terms: { ...terms, generator: adversarial.value, adaptive_weight: lambda },
  };
}
