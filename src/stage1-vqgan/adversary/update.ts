/** The discriminator's part of a training step: its losses, its regularisers, its optimiser. */
import * as tf from '@tensorflow/tfjs-core';
import { picked } from '../../base/lookup.js';
import type { Stage1Config } from '../../config/schema.js';
import type { Tensors } from '../../engine/device.js';
import { valueAndGradsOf } from '../../nn/gradients.js';
import { over, treeOf, under } from '../../nn/params.js';
import { accumulation } from '../../train/accumulation.js';
import { lossScaling } from '../../train/loss-scale.js';
import { type AdamOptions, adamStep, emaStep } from '../../train/optimizer.js';
import { discriminatorLoss, gradientDirection, lecamLoss, r1Penalty } from '../losses.js';
import type { Augmentation } from './augment.js';
import { type Discriminator, discriminator, type Spectrum } from './discriminator.js';

/** Decay of LeCam's running means, the paper's. */
const lecamDecay = 0.99;

/** Originals and reconstructions, [B, S, S, 3]. */
export interface Pictures {
  readonly images: tf.Tensor;
  readonly reconstruction: tf.Tensor;
}

/**
 * One update. Returned are the parts of the state that it replaces (`Adversary.state` and `partial`), and scalars for
 * the metrics: the loss without regularisers as `discriminator`, in float16 what `scaleValues` reads.
 *
 * @param inputs `lr`, `updates`, `disc_step` and what augmentation is fed; in micro-batches `first` and `last`
 */
export type Update = (
  pictures: Pictures,
  state: Tensors,
  inputs: Tensors,
) => { readonly state: Tensors; readonly outputs: Tensors };

export type OptimizerSettings = Pick<Stage1Config, 'optimizer' | 'betas' | 'weight_decay'>;
export type UpdateSettings = OptimizerSettings &
  Pick<Stage1Config, 'disc' | 'accumulate' | 'precision' | 'clip'>;

/** @param specs of the discriminator. @param spectral of its filters. @param augmentation of what it sees */
export function discriminatorUpdate(
  specs: Discriminator,
  spectral: Spectrum,
  augmentation: Augmentation,
  settings: UpdateSettings,
): Update {
  const { disc: options, accumulate, precision, clip } = settings;
  const accumulated = accumulation(accumulate, precision === 'f16');
  const scaling = lossScaling(precision, 'disc_');
  const optimizer = adamOptions(settings);

  return (pictures, state, inputs) => {
    const images = augmentation.apply(pictures.images, inputs);
    const reconstruction = augmentation.apply(pictures.reconstruction, inputs);
    const disc = under('disc', state);
    const { lr, updates, disc_step } = picked(inputs, ['lr', 'updates', 'disc_step']);
    const step = tf.minimum(disc_step, updates);
    const { last } = inputs;
    const anchors = under('disc_lecam', state) as { real: tf.Tensor; fake: tf.Tensor };
    const before = under('disc_u', state);
    const directions = spectral.directions(disc, before);
    const logits = (params: Tensors, x: tf.Tensor) =>
      discriminator(treeOf(specs, spectral.normalised(params, directions)), x);
    const direction = options.r1 > 0 ? gradientDirection((x) => logits(disc, x), images) : undefined;

    const lossOf = (params: Tensors): tf.Tensor => {
      const [real, fake] = [logits(params, images), logits(params, reconstruction)];
      let loss = discriminatorLoss(options.loss, real, fake);
      if (options.lecam > 0) loss = tf.add(loss, tf.mul(options.lecam, lecamLoss(real, fake, anchors)));
      if (!direction) return loss;
      return tf.add(
        loss,
        tf.mul(
          options.r1 / 2,
          r1Penalty((x) => logits(params, x), direction, images),
        ),
      );
    };
    const { value, grads: fresh } = valueAndGradsOf(disc, lossOf, scaling.of(state));
    const { grads, state: sums } = accumulated.add('disc', fresh, state, inputs);
    const scaled = scaling.settle(grads, state, { clip, step, last });
    const adam = { ...optimizer, acts: scaled.acts };
    const next = adamStep(disc, scaled.grads, state, lr, scaled.step, adam, 'disc_adam');
    const after = Object.fromEntries(Object.entries(directions).map(([name, { u }]) => [name, u]));
    const kept = last ? emaStep(before, after, 0, last) : after;
    const rest = {
      ...over('disc', next.params),
      ...over('disc_u', kept),
      ...next.state,
      ...scaled.state,
      ...sums,
    };
    const outputs = (loss: tf.Tensor) => ({ discriminator: loss, ...scaled.outputs });
    if (options.lecam === 0 && !direction) return { state: rest, outputs: outputs(value) };

    const [real, fake] = [logits(disc, images), logits(disc, reconstruction)];
    const loss = discriminatorLoss(options.loss, real, fake);
    if (options.lecam === 0) return { state: rest, outputs: outputs(loss) };
    const own = { real: tf.mean(real), fake: tf.mean(fake) };
    const means = accumulated.add('disc_lecam', own, state, inputs);
    const moved = emaStep(anchors, means.grads, lecamDecay, last);
    return { state: { ...rest, ...over('disc_lecam', moved), ...means.state }, outputs: outputs(loss) };
  };
}

/** Decoupled decay, where asked for, falls on filters only; not on biases, norms or the codebook. */
export function adamOptions({ optimizer, betas, weight_decay }: OptimizerSettings): AdamOptions {
  return {
    betas,
    epsilon: 1e-8,
    weightDecay: optimizer === 'adamw' ? weight_decay : 0,
    decays: (name) => name.endsWith('.weight'),
  };
}
