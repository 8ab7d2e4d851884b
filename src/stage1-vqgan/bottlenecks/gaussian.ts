/**
 * A Gaussian for each image, held near N(0, I): Kingma & Welling, "Auto-Encoding Variational Bayes", arXiv 1312.6114.
 * With `class_means` near N(μ_y, I) with a learned μ_y for each class y, so that the decoder need not be told the
 * class. These begin far apart: from one place they part too little, and a draw around one of them shows another
 * class.
 *
 * Units: KL in nats an image. The loss has it a number of the image, beside a likelihood that is a mean over these
 * numbers.
 */

import * as tf from '@tensorflow/tfjs-core';
import { entry, last, only, picked } from '../../base/lookup.js';
import { stream } from '../../base/rng.js';
import { float32, int32, sizeOf } from '../../base/tensor.js';
import type { Stage1Config } from '../../config/schema.js';
import type { Tensors } from '../../engine/device.js';
import { lookup } from '../../nn/lookup.js';
import type { Bottleneck, Place } from '../latent.js';
import { layoutOf } from './layout.js';
import { whiteningOf } from './whitening.js';

/** Log-variances beyond these count as these. */
const [lowest, highest] = [-30, 20];

/** A unit whose mean varies by more than this over images is in use (Burda et al., arXiv 1509.00519, §5.2). */
export const activeVariance = 0.01;

const classMeans = 'class_means';

/**
 * z → mean and log-variance; the decoder sees mean + exp(½ · log-variance) · ε in training, the mean otherwise. Loss:
 * weight · Σ_u max(`free_bits`, KL_u) / (S · S · 3), KL_u the mean over images of a unit's KL: of one number of a
 * vector, of one channel of a grid at all positions (free bits: Kingma et al., arXiv 1606.04934, appendix C). The
 * weight rises to `kl_weight` over `kl_warmup` steps.
 */
export function gaussian(config: Stage1Config, place: Place): Bottleneck {
  const { kl_weight, kl_warmup, free_bits, class_means, classes } = config.bottleneck;
  const { shape, channels, learned, numbers, features } = layoutOf(config, place, 2);
  const white = config.bottleneck.shape === 'vector' ? whiteningOf(sizeOf(shape)) : undefined;

  /** Mean and log-variance of what the decoder sees, and of the latent what the KL is made of. */
  const posterior = (p: Tensors, z: tf.Tensor, labels?: tf.Tensor) => {
    const [mean, raw] = numbers(p, z) as [tf.Tensor, tf.Tensor];
    const logvar = tf.clipByValue(raw, lowest, highest);
    const latent = white ? white.whiten(p, mean) : mean;
    const centre = labels && tf.reshape(lookup(meansOf(p), labels), mean.shape);
    const spread = white ? white.spread(p, logvar) : { variance: tf.exp(logvar), logvar };
    return { mean, logvar, latent, kl: { away: centre ? tf.sub(latent, centre) : latent, ...spread } };
  };
  const meansOf = (p: Tensors) => tf.reshape(entry(p, classMeans), [classes.length, -1]) as tf.Tensor2D;

  return {
    latent: { kind: 'gaussian', shape, classes: class_means ? classes : [] },
    channels,
    learned: {
      ...learned,
      ...white?.learned,
      ...(class_means && {
        [classMeans]: { shape: [classes.length, ...shape], init: { kind: 'normal', mean: 0, std: 2 } },
      }),
    },
    own: {},
    state: {},
    partial: {},
    terms: ['kl', 'active_units'],
    units: ['kl_by_unit'],
    settles: 1,
    watch: () => watchCollapse(Math.max(kl_warmup, config.steps / 10)),
    measures(means) {
      const { sampled_mse, kl } = picked(means, ['sampled_mse', 'kl']);
      return { elbo: bitsPerNumber(sampled_mse, kl, place.dims) };
    },

    inputs: (_, batch) => ({
      noise: { shape: [batch, ...shape], dtype: 'float32' },
      ...(class_means && { labels: { shape: [batch], dtype: 'int32' } as const }),
    }),
    feed(phase, key, labels) {
      const rng = stream(place.seed, 'latent', phase, key);
      const noise = float32([labels.length, ...shape]);
      for (let i = 0; i < noise.data.length; i++) noise.data[i] = rng.normal();
      return { batched: { noise, ...(class_means && { labels: int32([labels.length], labels) }) } };
    },

    pass(p, z, { noise, labels, step }) {
      const { mean, logvar, kl } = posterior(p, z, labels);
      const ofUnits = klByUnit(kl);
      const counted = free_bits > 0 ? tf.maximum(ofUnits, free_bits) : ofUnits;
      const risen = step && kl_warmup > 0 ? tf.minimum(1, tf.div(step, kl_warmup)) : tf.scalar(1);
      const mode = features(p, mean);
      return {
        output: noise ? features(p, drawn(mean, logvar, noise)) : mode,
        ...(noise && { mode }),
        codes: [],
        terms: { kl: tf.sum(ofUnits), active_units: activeUnits(kl.away) },
        units: { kl_by_unit: ofUnits },
        loss: tf.mul(tf.mul(kl_weight / place.dims, risen), tf.sum(counted)),
      };
    },
    posterior(p, z, inputs) {
      const { mean, logvar, kl } = posterior(p, z, inputs.labels);
      const seen = features(p, drawn(mean, logvar, entry(inputs, 'noise')));
      return { kl: klByImage(kl), away: kl.away, drawn: seen };
    },
    encode: (p, z) => [posterior(p, z).latent],
    decode: (p, latent) => features(p, white ? white.undo(p, only(latent)) : only(latent)),
  };
}

const drawn = (mean: tf.Tensor, logvar: tf.Tensor, noise: tf.Tensor): tf.Tensor =>
  tf.add(mean, tf.mul(tf.exp(tf.mul(0.5, logvar)), noise));

/**
 * A Gaussian seen from N(μ₀, I): its mean less μ₀, its variances, and numbers whose sum is the ln of its covariance's
 * determinant; all [B, …, U].
 */
export interface Seen {
  readonly away: tf.Tensor;
  readonly variance: tf.Tensor;
  readonly logvar: tf.Tensor;
}

/** The KL in nats, number by number: ½ · ((μ − μ₀)² + σ² − 1 − ln σ²) (arXiv 1312.6114, appendix B). */
const klOf = ({ away, variance, logvar }: Seen): tf.Tensor =>
  tf.mul(0.5, tf.sub(tf.add(tf.square(away), variance), tf.add(1, logvar)));

/** Its sum over each image's numbers, [B]. */
function klByImage(seen: Seen): tf.Tensor {
  const [batch] = seen.away.shape as [number];
  return tf.sum(tf.reshape(klOf(seen), [batch, -1]), 1);
}

/** Its sum over positions, mean over images, by unit: [U]. */
export function klByUnit(seen: Seen): tf.Tensor {
  const [batch] = seen.away.shape as [number];
  return tf.div(tf.sum(tf.reshape(klOf(seen), [-1, last(seen.away.shape)]), 0), batch);
}

/** Units whose mean varies over images and positions; a scalar. @param means [B, …, U] */
function activeUnits(means: tf.Tensor): tf.Tensor {
  const rows = tf.reshape(means, [-1, last(means.shape)]);
  const centred = tf.sub(rows, tf.mean(rows, 0, true));
  const variance = tf.mean(tf.square(centred), 0);
  return tf.sum(tf.cast(tf.greater(variance, activeVariance), 'float32'));
}

/**
 * The bound on −log₂ p(x) in bits for each number of an 8-bit image: a Gaussian around the decoder's picture whose
 * variance is its mean squared error (Rybkin et al., "σ-VAE", arXiv 2006.13202, eq. 5), times the width 2/255 of a
 * level, and the KL.
 *
 * @param mse mean squared error of pixels in [−1, 1], decoded from draws of the posterior
 * @param kl nats an image
 * @param dims numbers of an image
 */
export function bitsPerNumber(mse: number, kl: number, dims: number): number {
  return 0.5 * Math.log2(2 * Math.PI * Math.E * mse) + Math.log2(255 / 2) + kl / dims / Math.LN2;
}

/**
 * Warns when the posterior has collapsed: every image has the same Gaussian, of which a decoder can learn nothing.
 * @param from steps before it are too early to tell
 */
function watchCollapse(from: number): ReturnType<Bottleneck['watch']> {
  const seen: { step: number; collapsed: boolean }[] = [];
  return (step, { active_units: active }) => {
    while ((seen.at(-1)?.step ?? -1) >= step) seen.pop();
    if (active === undefined || step <= from) return undefined;
    const before = seen.at(-1)?.collapsed ?? false;
    const collapsed = active < 0.5;
    seen.push({ step, collapsed });
    if (!collapsed || before) return undefined;
    return (
      `At step ${step} the posterior has collapsed: no unit of the latent differs from image to image. ` +
      'Leave each unit some nats for nothing (--set stage1.bottleneck.free_bits=0.5), or weigh the KL less (stage1.bottleneck.kl_weight).'
    );
  };
}
