/** The discriminator's part of a training step: its losses, its regularisers, its optimiser. */
import * as tf from '@tensorflow/tfjs-core';
import type { Config, Stage1Config } from '../../config/schema.js';
import type { Tensors } from '../../engine/device.js';
import { valueAndGradsOf } from '../../nn/gradients.js';
import { over, treeOf, under } from '../../nn/params.js';
import { accumulation } from '../../train/accumulation.js';
import { lossScaling } from '../../train/loss-scale.js';
import { type AdamOptions, adamStep, emaStep } from '../../train/optimizer.js';
import { discriminatorLoss, gradientDirection, lecamLoss, r1Penalty } from '../losses.js';
import { discriminator, discriminatorSpecs, spectrum } from './discriminator.js';

/** Decay of LeCam's running means, the paper's. */
const lecamDecay = 0.99;

/**
 * One update on originals and reconstructions [B, S, S, 3]. Returned are the parts of the state that it replaces (`disc.…`, `disc_adam.…`, what
 * spectral normalisation, LeCam and micro-batches keep), and the loss without regularisers.
 */
export function discriminatorUpdate(config: Config) {
  const { stage1 } = config;
  const { disc: options } = stage1;
  const specs = discriminatorSpecs(config);
  const accumulated = accumulation(stage1.accumulate, stage1.precision === 'f16');
  const scaling = lossScaling(stage1.precision, 'disc_');
  const optimizer = adamOptions(stage1);
  const spectral = spectrum(config);

  return (
    disc: Tensors,
    { images, reconstruction }: { images: tf.Tensor; reconstruction: tf.Tensor },
    state: Tensors,
    inputs: Tensors,
  ): { state: Tensors; loss: tf.Tensor; outputs: Tensors } => {
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
    const { disc_step: step, last } = inputs as { disc_step: tf.Tensor; last?: tf.Tensor };
    const scaled = scaling.settle(grads, state, { clip: stage1.clip, step, last });
    const adam = { ...optimizer, acts: scaled.acts };
    const next = adamStep(disc, scaled.grads, state, inputs.lr!, scaled.step, adam, 'disc_adam');
    const after = Object.fromEntries(Object.entries(directions).map(([name, { u }]) => [name, u]));
    const kept = inputs.last ? emaStep(before, after, 0, inputs.last) : after;
    const rest = {
      ...over('disc', next.params),
      ...over('disc_u', kept),
      ...next.state,
      ...scaled.state,
      ...sums,
    };
    const { outputs } = scaled;
    if (options.lecam === 0 && !direction) return { state: rest, loss: value, outputs };

    const [real, fake] = [logits(disc, images), logits(disc, reconstruction)];
    const loss = discriminatorLoss(options.loss, real, fake);
    if (options.lecam === 0) return { state: rest, loss, outputs };
    const own = { real: tf.mean(real), fake: tf.mean(fake) };
    const means = accumulated.add('disc_lecam', own, state, inputs);
    const moved = emaStep(anchors, means.grads, lecamDecay, inputs.last);
    return { state: { ...rest, ...over('disc_lecam', moved), ...means.state }, loss, outputs };
  };
}

/** Decoupled decay, where asked for, falls on filters only; not on biases, norms or the codebook. */
export function adamOptions({ optimizer, betas, weight_decay }: Stage1Config): AdamOptions {
  return {
    betas,
    epsilon: 1e-8,
    weightDecay: optimizer === 'adamw' ? weight_decay : 0,
    decays: (name) => name.endsWith('.weight'),
  };
}
