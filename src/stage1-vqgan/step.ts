/**
 * A whole training step of stage 1 as one pure function: one forward pass serves the generator's and the
 * discriminator's update. The stages each differentiate a part of it; what one stage finds at the reconstruction is
 * fed into the next (`injectGradient`). A device that traces the step merges what the stages compute twice.
 */
import * as tf from '@tensorflow/tfjs-core';
import { entry, pairs, picked } from '../base/lookup.js';
import type { Stage1Config } from '../config/schema.js';
import type { StepProgram, Tensors } from '../engine/device.js';
import { injectGradient, valueAndGradsOf } from '../nn/gradients.js';
import { over, under } from '../nn/params.js';
import type { Perceptual } from '../perceptual/distances.js';
import { accumulation, partial } from '../train/accumulation.js';
import { lossScaling } from '../train/loss-scale.js';
import { adamStep, emaStep } from '../train/optimizer.js';
import { adamOptions, type OptimizerSettings } from './adversary/update.js';
import { compared, lastLayer } from './autoencoder/index.js';
import { select } from './bottlenecks/quantiser.js';
import { gridsIn, type Latent, type Passed } from './latent.js';
import type { Networks } from './model.js';
import { objectiveAt } from './objective.js';
import { type StateSettings, stage1Partial, stage1State } from './state.js';

export type StepSettings = StateSettings &
  OptimizerSettings &
  Pick<Stage1Config, 'batch_size' | 'clip' | 'pixel' | 'perceptual'>;

/**
 * One run is a step, or with `stage1.accumulate` N > 1 one of its N micro-batches (see `train/accumulation.ts`); B
 * below is then a micro-batch's size. Gradients and what becomes of a codebook are those of the whole batch; λ and
 * BatchNorm see a micro-batch.
 *
 * State: `stage1State` and `stage1Partial`.
 * Inputs: `images` [B, S, S, 3] in [−1, 1]; scalars `lr`, `step` (1-based), `updates` (1 at Adam's first, which may be
 * a later step), `disc_step` (1 at the discriminator's first), with micro-batches `first` and `last`; what corruption
 * and bottleneck are fed.
 * Outputs: scalars `loss` (the generator's whole objective), `l1` (always the mean absolute error), `perceptual`,
 * the bottleneck's terms, and where the discriminator acts `generator`, `discriminator`, `adaptive_weight`;
 * each grid's codes, int32 [B, h, w], by its name; in float16 what `scaleValues` reads.
 *
 * @param networks without an adversary the program holds no trace of one
 */
export function stage1Step(
  networks: Networks,
  perceptual: Perceptual | undefined,
  settings: StepSettings,
): StepProgram {
  const { model, adversary } = networks;
  const { size, net, corruption, bottleneck } = model;
  const { batch_size, accumulate, precision, clip, ema: decay } = settings;
  const batch = batch_size / accumulate;
  const learned = Object.keys(model.trained);
  const accumulated = accumulation(accumulate, precision === 'f16');
  const scaling = lossScaling(precision);
  const optimizer = adamOptions(settings);

  return {
    name: adversary ? 'stage1-gan' : 'stage1-ae',
    precision,
    constants: perceptual?.constants ?? {},
    state: { ...stage1State(networks, settings), ...stage1Partial(networks, settings) },
    inputs: {
      images: { shape: [batch, size, size, 3], dtype: 'float32' },
      lr: { shape: [], dtype: 'float32' },
      step: { shape: [], dtype: 'float32' },
      updates: { shape: [], dtype: 'float32' },
      ...(adversary && { disc_step: { shape: [], dtype: 'float32' } as const }),
      ...adversary?.augmentation.inputs(batch),
      ...accumulated.inputs,
      ...corruption.inputs(batch),
      ...bottleneck.inputs('train', batch),
    },

    step(state, inputs, constants) {
      const { images, lr, step, updates } = picked(inputs, ['images', 'lr', 'step', 'updates']);
      const scale = scaling.of(state);

      // 1. One forward pass: z, what the bottleneck makes of it, the reconstruction.
      const before = under('model', state);
      const seen = corruption.apply(images, inputs);
      const z = net.encode(under('encoder', before), seen);
      const begun = bottleneck.begin?.(under('bottleneck', before), z, inputs);
      const params = begun ? { ...before, ...over('bottleneck', begun.p) } : before;
      const io = { ...inputs, ...begun?.inputs };
      const passed = bottleneck.pass(under('bottleneck', params), z, io);
      const last = lastLayer(net, under('decoder', params), passed.output);
      const reconstruction = last.picture(last.filter);

      // 2. The objective, and its gradient at the reconstruction.
      const judge = adversary?.judge(state, inputs);
      const at = { images, reconstruction, last, judge, scale, planes: net.planes };
      const objective = objectiveAt(settings, perceptual, constants, at);

      // 3. The discriminator's update, on the same reconstructions.
      const opposed = adversary?.update({ images, reconstruction }, state, inputs);

      // 4. The generator's update.
      const trained = picked(params, learned);
      const passAgain = (p: Tensors) => {
        const all = { ...params, ...p };
        const z = net.encode(under('encoder', all), seen);
        const passed = bottleneck.pass(under('bottleneck', all), z, io);
        const reconstruction = compared(net, under('decoder', all), passed.output);
        return tf.add(passed.loss, injectGradient(reconstruction, objective.gradient));
      };
      const own = valueAndGradsOf(trained, passAgain, scale);
      const { grads, state: sums } = accumulated.add('model', own.grads, state, inputs);
      const scaled = scaling.settle(grads, state, { clip, step: updates, last: inputs.last });
      const adam = { ...optimizer, acts: scaled.acts };
      const updated = adamStep(trained, scaled.grads, state, lr, scaled.step, adam);

      // 5. What the bottleneck moves by itself, and the average.
      const after = { ...params, ...updated.params };
      const moved = bottleneck.after?.(
        under('bottleneck', after),
        z,
        passed,
        { ...state, ...under(partial('codebook'), state) },
        io,
      );
      const next = moved ? { ...after, ...over('bottleneck', moved.p) } : after;
      const ema = decay > 0 ? emaStep(under('ema', state), next, emaDecay(decay, step), scaled.acts) : {};
      for (const [name, fresh] of Object.entries(over('bottleneck', moved?.fresh ?? {}))) {
        const old = tf.sub(1, fresh);
        for (const key of ['m', 'v'].map((which) => `adam.${which}.${name}`)) {
          const moment = updated.state[key];
          if (moment) updated.state[key] = tf.mul(moment, old);
        }
        if (decay > 0) ema[name] = select(fresh, entry(next, name), entry(ema, name));
      }

      return {
        state: {
          ...over('model', next),
          ...updated.state,
          ...over('ema', ema),
          ...scaled.state,
          ...sums,
          ...moved?.state,
          ...over(partial('codebook'), moved?.partial ?? {}),
          ...opposed?.state,
        },
        outputs: {
          loss: tf.add(objective.loss, passed.loss),
          ...objective.terms,
          ...passed.terms,
          ...opposed?.outputs,
          ...scaled.outputs,
          ...codesByGrid(bottleneck.latent, passed),
        },
      };
    },
  };
}

/** Each grid's codes by its name. */
function codesByGrid(latent: Latent, { codes }: Passed): Tensors {
  return Object.fromEntries(pairs(gridsIn(latent), codes).map(([{ name }, of]) => [name, of]));
}

/** The average forgets faster while the run is young, so that it does not remember the random start. */
function emaDecay(decay: number, step: tf.Tensor): tf.Tensor {
  return tf.minimum(decay, tf.div(tf.add(step, 1), tf.add(step, 10)));
}
