/** What opposes the generator: a discriminator, how it judges, how it learns, and what it keeps from step to step. */
import * as tf from '@tensorflow/tfjs-core';
import { picked } from '../../base/lookup.js';
import type { Specs, Tensors } from '../../engine/device.js';
import { over, type ParamSpec, specsOf, tensorSpecs, treeOf, under } from '../../nn/params.js';
import { accumulation } from '../../train/accumulation.js';
import { lossScaling } from '../../train/loss-scale.js';
import { adamSpecs } from '../../train/optimizer.js';
import { adaptiveWeight, discriminatorLoss } from '../losses.js';
import { type Augmentation, augmentationOf } from './augment.js';
import { type Discriminator, discriminator, discriminatorSpecs, spectrum } from './discriminator.js';
import { discriminatorUpdate, type Pictures, type Update, type UpdateSettings } from './update.js';

/** The discriminator with the parameters that it has at a step. */
export interface Judge {
  /** Images [B, S, S, 3] → logits [B, p, p, 1]. */
  logits(images: tf.Tensor): tf.Tensor;
  /** What it learns by, without regularisers; a scalar. */
  loss(pictures: Pictures): tf.Tensor;
  /** λ, see `adaptiveWeight`. */
  weight(nllGradient: tf.Tensor, adversarialGradient: tf.Tensor): tf.Tensor;
  /** Scalar 0 or 1, λ's factor; left out, 1. */
  readonly acts?: tf.Tensor;
}

export interface Adversary {
  readonly specs: Discriminator;
  /** What it judges by, as the state has it: its parameters `disc.…`, and `disc_u.…` for spectral normalisation. */
  readonly judging: Record<string, ParamSpec>;
  /**
   * All that a step replaces of it: beside these `disc_adam.…`, in float16 `disc_loss_scale.…`, and LeCam's means
   * `disc_lecam.…`.
   */
  readonly state: Specs;
  /** What the micro-batches of a step hand on to each other. */
  readonly partial: Specs;
  /** Steps in which it learns and does not act yet. */
  readonly warmup: number;
  readonly augmentation: Augmentation;
  /**
   * @param state with what `judging` names
   * @param inputs `disc_step`, 1 at its first, and what augmentation is fed; without them it acts, on plain pictures
   */
  judge(state: Tensors, inputs?: Tensors): Judge;
  readonly update: Update;
}

/** Running means of the logits. */
const lecamAnchors: Specs = {
  real: { shape: [], dtype: 'float32' },
  fake: { shape: [], dtype: 'float32' },
};

/** @returns undefined where the config has none (`disc.weight` 0) */
export function adversaryOf(
  settings: UpdateSettings,
  of: { size: number; seed: number },
): Adversary | undefined {
  const { disc, accumulate, precision } = settings;
  if (disc.weight === 0) return undefined;
  const specs = discriminatorSpecs(disc);
  const spectral = spectrum(specs, disc.norm);
  const learned = tensorSpecs(specsOf(specs));
  const { sums } = accumulation(accumulate);
  const lecam = disc.lecam > 0 && lecamAnchors;
  const judging = { ...over('disc', specsOf(specs)), ...over('disc_u', spectral.specs) };
  const augmentation = augmentationOf(disc.augment, of);

  return {
    ...{ specs, judging, augmentation, warmup: disc.warmup },
    state: {
      ...over('disc', learned),
      ...adamSpecs(learned, 'disc_adam'),
      ...lossScaling(precision, 'disc_').state,
      ...over('disc_u', tensorSpecs(spectral.specs)),
      ...(lecam && over('disc_lecam', lecam)),
    },
    partial: { ...sums('disc', learned), ...(lecam && sums('disc_lecam', lecam)) },
    judge(state, inputs = {}) {
      const { weight, weight_cap } = disc;
      const { disc_step: step } = inputs;
      const params = under('disc', state);
      const directions = spectral.directions(params, under('disc_u', state));
      const judging = treeOf(specs, spectral.normalised(params, directions));
      const logits = (images: tf.Tensor) => discriminator(judging, augmentation.apply(images, inputs));
      return {
        logits,
        loss: ({ images, reconstruction }) =>
          discriminatorLoss(disc.loss, logits(images), logits(reconstruction)),
        weight: (...gradients) => adaptiveWeight(...gradients, { weight, weight_cap }),
        ...(step && disc.warmup > 0 && { acts: tf.cast(tf.greater(step, disc.warmup), 'float32') }),
      };
    },
    update: discriminatorUpdate(specs, spectral, augmentation, settings),
  };
}

/** What an adversary judges by, out of all that a step replaces. */
export const judgingOf = <T>({ judging }: Adversary, state: Record<string, T>): Record<string, T> =>
  picked(state, Object.keys(judging));
