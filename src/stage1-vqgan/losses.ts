/**
 * Stage 1's loss terms, a function each: Esser et al., "Taming Transformers", arXiv 2012.09841 (eq. numbers are its),
 * and van den Oord et al., arXiv 1711.00937, for the codebook. All return scalars; x are images, x̂ reconstructions.
 */
import * as tf from '@tensorflow/tfjs-core';
import { last } from '../base/lookup.js';
import type { Stage1Config } from '../config/schema.js';
import type { Tensors } from '../engine/device.js';
import { crossEntropy } from '../nn/cross-entropy.js';
import { valueAndGradsOf } from '../nn/gradients.js';
import type { Perceptual } from '../perceptual/distances.js';

/** So that the likelihood of a perfect copy is finite: the variance of a step of one 8-bit level, rounded. */
const leastVariance = (2 / 255) ** 2 / 12;

/** Mean over all values of |x − x̂| (`l1`) or (x − x̂)²: the reconstruction term of eq. 4. */
export function pixelLoss(kind: Stage1Config['pixel'], x: tf.Tensor, reconstruction: tf.Tensor): tf.Tensor {
  const difference = tf.sub(x, reconstruction);
  return tf.mean(kind === 'l1' ? tf.abs(difference) : tf.square(difference));
}

/**
 * Nats a value under a Gaussian whose variance is the mean squared error itself: ½ · ln(2πe · error) (Rybkin et al.,
 * "σ-VAE", arXiv 2006.13202, eq. 5).
 */
export const likelihoodLoss = (error: tf.Tensor): tf.Tensor =>
  tf.mul(0.5, tf.log(tf.mul(2 * Math.PI * Math.E, tf.add(error, leastVariance))));

export type ReconstructionSettings = {
  readonly pixel: Stage1Config['pixel'];
  readonly perceptual: Pick<Stage1Config['perceptual'], 'weight'>;
};

/**
 * The reconstruction term as published: mean pixel error plus weight · perceptual distance; with `nll` the likelihood
 * of that sum, one variance for both, as in latent diffusion (Rombach et al., arXiv 2112.10752) though not learned.
 * `l1` is the mean absolute error under all kinds of pixel loss.
 */
export function reconstructionLoss(
  { pixel, perceptual: { weight } }: ReconstructionSettings,
  perceptual: Perceptual | undefined,
  constants: Tensors,
  x: tf.Tensor,
  reconstruction: tf.Tensor,
): { total: tf.Tensor; l1: tf.Tensor; perceptual?: tf.Tensor } {
  const l1 = pixelLoss('l1', x, reconstruction);
  const error = pixel === 'l1' ? l1 : pixelLoss(pixel, x, reconstruction);
  const settled = (error: tf.Tensor) => (pixel === 'nll' ? likelihoodLoss(error) : error);
  if (!perceptual) return { total: settled(error), l1 };
  const distance = perceptual.distance(constants, x, reconstruction);
  return { total: settled(tf.add(error, tf.mul(weight, distance))), l1, perceptual: distance };
}

/**
 * Of label maps: mean cross entropy of a pixel, in nats, the share of pixels whose likeliest label is theirs, and as
 * `l1` what other labels have of a pixel: 1 less the geometric mean of the shares of the right ones.
 *
 * @param labels int32 [B, S, S]. @param logits [B, S, S, L]
 */
export function labelLoss(
  labels: tf.Tensor,
  logits: tf.Tensor,
): { total: tf.Tensor; l1: tf.Tensor; label_accuracy: tf.Tensor } {
  const [rows, flat] = [tf.reshape(logits, [-1, last(logits.shape)]), tf.reshape(labels, [-1])];
  const total = tf.mean(crossEntropy(rows, flat));
  const right = tf.cast(tf.equal(tf.argMax(rows, -1), flat), 'float32');
  return { total, l1: tf.sub(1, tf.exp(tf.neg(total))), label_accuracy: tf.mean(right) };
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
 * LeCam (Tseng et al., arXiv 2104.03310, eq. 5): mean (D(x) − α_F)² + mean (D(x̂) − α_R)², which holds the logits of
 * one kind near the running mean of the other's.
 *
 * @param anchors running means α_R and α_F of the logits for real and reconstructed images, scalars
 */
export function lecamLoss(
  real: tf.Tensor,
  fake: tf.Tensor,
  anchors: { real: tf.Tensor; fake: tf.Tensor },
): tf.Tensor {
  return tf.add(
    tf.mean(tf.square(tf.sub(real, anchors.fake))),
    tf.mean(tf.square(tf.sub(fake, anchors.real))),
  );
}

/** Length of the step along the gradient, in the norm of a whole image. */
const r1Step = 0.01;

/**
 * R1 (Mescheder et al., arXiv 1801.04406, eq. 9) without its factor γ/2: mean over images of ‖∇ₓ D(x)‖², D an image's
 * mean logit. The gradient's length is taken as the central difference of D along the gradient's own direction v, held
 * constant. As v is a unit vector, v·dv = 0: this has the value and the derivative by D's parameters of the exact
 * length, up to the square of the step, and needs no second derivative. Where images of a batch act on each other
 * (BatchNorm) it is an approximation.
 *
 * @param judge x [B, S, S, 3] → logits [B, p, p, 1]
 */
export function r1Penalty(judge: (x: tf.Tensor) => tf.Tensor, direction: tf.Tensor, x: tf.Tensor): tf.Tensor {
  const way = tf.mul(direction, r1Step);
  const at = (x: tf.Tensor) => tf.mean(judge(x), [1, 2, 3]); // [B]
  const slope = tf.div(tf.sub(at(tf.add(x, way)), at(tf.sub(x, way))), 2 * r1Step);
  return tf.mean(tf.square(slope));
}

/** Unit vectors along ∇ₓ D(x), one for each image: [B, S, S, 3]. */
export function gradientDirection(judge: (x: tf.Tensor) => tf.Tensor, x: tf.Tensor): tf.Tensor {
  const { grads } = valueAndGradsOf({ x }, (at) => tf.sum(tf.mean(judge(at.x), [1, 2, 3])));
  const length = tf.sqrt(tf.sum(tf.square(grads.x), [1, 2, 3], true));
  return tf.div(grads.x, tf.add(length, 1e-12));
}

/**
 * λ of eq. 7 times the adversarial weight: weight · min(‖∇nll‖ / (‖∇g‖ + 10⁻⁴), cap), norms of the gradients of
 * reconstruction and adversarial term with respect to the filter of the decoder's last convolution.
 */
export function adaptiveWeight(
  nllGradient: tf.Tensor,
  adversarialGradient: tf.Tensor,
  { weight, weight_cap }: Pick<Stage1Config['disc'], 'weight' | 'weight_cap'>,
): tf.Tensor {
  const ratio = tf.div(norm(nllGradient), tf.add(norm(adversarialGradient), 1e-4));
  return tf.mul(weight, tf.minimum(ratio, weight_cap));
}

const norm = (t: tf.Tensor) => tf.sqrt(tf.sum(tf.square(t)));
