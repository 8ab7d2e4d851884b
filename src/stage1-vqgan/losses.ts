/**
 * Stage 1's loss terms, a function each: Esser et al., "Taming Transformers", arXiv 2012.09841 (eq. numbers are its),
 * and van den Oord et al., arXiv 1711.00937, for the codebook. All return scalars; x are images, x̂ reconstructions.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Stage1Config } from '../config/schema.js';
import type { Tensors } from '../engine/device.js';
import type { Perceptual } from './perceptual.js';

/** Mean over all values of |x − x̂| or (x − x̂)²: the reconstruction term of eq. 4. */
export function pixelLoss(kind: Stage1Config['pixel'], x: tf.Tensor, reconstruction: tf.Tensor): tf.Tensor {
  const difference = tf.sub(x, reconstruction);
  return tf.mean(kind === 'l1' ? tf.abs(difference) : tf.square(difference));
}

/**
 * The reconstruction term as published: mean pixel error plus weight · perceptual distance. `l1` is the mean absolute
 * error under both kinds of pixel loss.
 */
export function reconstructionLoss(
  config: Stage1Config,
  perceptual: Perceptual | undefined,
  constants: Tensors,
  x: tf.Tensor,
  reconstruction: tf.Tensor,
): { total: tf.Tensor; l1: tf.Tensor; perceptual?: tf.Tensor } {
  const l1 = pixelLoss('l1', x, reconstruction);
  const pixel = config.pixel === 'l1' ? l1 : pixelLoss(config.pixel, x, reconstruction);
  if (!perceptual) return { total: pixel, l1 };
  const distance = perceptual.distance(constants, x, reconstruction);
  return { total: tf.add(pixel, tf.mul(config.perceptual.weight, distance)), l1, perceptual: distance };
}

/** The generator's adversarial term −mean D(x̂), under both kinds of discriminator loss (as published). */
export function generatorLoss(fake: tf.Tensor): tf.Tensor {
  return tf.neg(tf.mean(fake));
}

/**
 * The discriminator's loss on logits for real and reconstructed images:
 * hinge ½·(mean max(0, 1 − D(x)) + mean max(0, 1 + D(x̂))) (Lim and Ye, arXiv 1705.02894),
 * vanilla ½·(mean softplus(−D(x)) + mean softplus(D(x̂))) (eq. 5, Goodfellow et al., arXiv 1406.2661).
 */
export function discriminatorLoss(
  kind: Stage1Config['disc']['loss'],
  real: tf.Tensor,
  fake: tf.Tensor,
): tf.Tensor {
  const [onReal, onFake] =
    kind === 'hinge'
      ? [tf.relu(tf.sub(1, real)), tf.relu(tf.add(1, fake))]
      : [tf.softplus(tf.neg(real)), tf.softplus(fake)];
  return tf.mul(0.5, tf.add(tf.mean(onReal), tf.mean(onFake)));
}

/**
 * λ of eq. 7 times the adversarial weight: weight · min(‖∇nll‖ / (‖∇g‖ + 10⁻⁴), cap), norms of the gradients of
 * reconstruction and adversarial term with respect to the filter of the decoder's last convolution.
 */
export function adaptiveWeight(
  nllGradient: tf.Tensor,
  adversarialGradient: tf.Tensor,
  { weight, weight_cap }: Stage1Config['disc'],
): tf.Tensor {
  const ratio = tf.div(norm(nllGradient), tf.add(norm(adversarialGradient), 1e-4));
  return tf.mul(weight, tf.minimum(ratio, weight_cap));
}

const norm = (t: tf.Tensor) => tf.sqrt(tf.sum(tf.square(t)));
