/** What a finished tokenizer does: images → latents, latents → images, images → reconstructions. */

import * as tf from '@tensorflow/tfjs-core';
import { entry, only, pairs } from '../base/lookup.js';
import type { HostTensors } from '../base/tensor.js';
import type { GraphProgram, TensorSpec, Tensors } from '../engine/device.js';
import { specsOf, tensorSpecs, under } from '../nn/params.js';
import type { Perceptual } from '../perceptual/distances.js';
import { decoded, lastLayer } from './autoencoder/index.js';
import { latentSpecs } from './latent.js';
import { pixelLoss, type ReconstructionSettings } from './losses.js';
import type { Model, Networks } from './model.js';
import { objectiveAt } from './objective.js';

const imagesSpec = ({ size }: Model, batch: number): Record<'images', TensorSpec> => ({
  images: { shape: [batch, size, size, 3], dtype: 'float32' },
});

/** `images` [B, S, S, 3] in [−1, 1] → the latent (`latentSpecs`): `codes` int32 [B, h, w] where it is one grid. */
export function encodeProgram(model: Model, weights: HostTensors, batch: number): GraphProgram<'images'> {
  return {
    name: 'encode',
    inputs: imagesSpec(model, batch),
    constants: partOf(weights, 'encoder', 'bottleneck'),
    run: ({ images }, constants) => encode(model, constants, images),
  };
}

/** The latent → `images` [B, S, S, 3], about [−1, 1]. */
export function decodeProgram(
  model: Model,
  weights: HostTensors,
  batch: number,
): GraphProgram<never, 'images'> {
  return {
    name: 'decode',
    inputs: latentSpecs(model.bottleneck.latent, batch),
    constants: partOf(weights, 'bottleneck', 'decoder'),
    run: (latent, constants) => ({ images: decode(model, constants, latent) }),
  };
}

/** `images` [B, S, S, 3] → `reconstruction`, same shape, and the latent. */
export function reconstructProgram(
  model: Model,
  weights: HostTensors,
  batch: number,
): GraphProgram<'images', 'reconstruction'> {
  return {
    name: 'reconstruct',
    inputs: imagesSpec(model, batch),
    constants: partOf(weights, 'encoder', 'bottleneck', 'decoder'),
    run({ images }, constants) {
      const latent = encode(model, constants, images);
      return { ...latent, reconstruction: decode(model, constants, latent) };
    },
  };
}

/**
 * Images as their corruption leaves them (`corruptionOf`, whose inputs it takes beside `images`): `seen`, as a
 * picture, and its `reconstruction`, both [B, S, S, 3].
 */
export function restoreProgram(
  model: Model,
  weights: HostTensors,
  batch: number,
): GraphProgram<'images', 'seen' | 'reconstruction'> {
  const { corruption } = model;
  return {
    name: 'restore',
    inputs: { ...imagesSpec(model, batch), ...corruption.inputs(batch) },
    constants: partOf(weights, 'encoder', 'bottleneck', 'decoder'),
    run({ images, ...inputs }, constants) {
      const seen = corruption.apply(images, inputs);
      const reconstruction = decode(model, constants, encode(model, constants, images, inputs));
      return { seen: corruption.shown(seen), reconstruction };
    },
  };
}

/**
 * What the bound on an image's likelihood is made of, where the latent is drawn around something: `images` and what
 * the bottleneck is fed at a validation → `kl` [B] in nats, `squared` [B], the mean squared error of what is decoded
 * from a draw, and the latent's mean less what it is drawn around, `away` [B, …].
 *
 * @returns undefined for other latents
 */
export function boundProgram(
  model: Model,
  weights: HostTensors,
  batch: number,
): GraphProgram<'images', 'kl' | 'squared' | 'away'> | undefined {
  const { net, bottleneck } = model;
  const { posterior, inputs } = bottleneck;
  if (!posterior) return undefined;
  return {
    name: 'bound',
    inputs: { ...imagesSpec(model, batch), ...inputs('eval', batch) },
    constants: partOf(weights, 'encoder', 'bottleneck', 'decoder'),
    run({ images, ...fed }, p) {
      const z = zOf(model, p, images, {});
      const { kl, away, drawn } = posterior(under('bottleneck', p), z, fed);
      const made = decoded(net, under('decoder', p), drawn);
      return { kl, away, squared: tf.mean(tf.square(tf.sub(images, made)), [1, 2, 3]) };
    },
  };
}

/**
 * Images as points between which one can walk, and back: the latent where it is numbers, else z before it becomes
 * codes. `toPoint`: `images` → `point`; `fromPoint`: `point` → `images`.
 */
export function walkPrograms(
  model: Model,
  weights: HostTensors,
  batch: number,
): {
  toPoint: GraphProgram<'images', 'point'>;
  fromPoint: GraphProgram<'point', 'images'>;
  shape: readonly number[];
} {
  const { net, bottleneck, side } = model;
  const { latent, channels } = bottleneck;
  const coded = latent.kind === 'codes';
  const shape = coded ? [side, side, channels.in] : latent.shape;
  const inside = (p: Tensors) => under('bottleneck', p);
  return {
    shape,
    toPoint: {
      name: 'to-point',
      inputs: imagesSpec(model, batch),
      constants: partOf(weights, 'encoder', 'bottleneck'),
      run({ images }, p) {
        const z = zOf(model, p, images, {});
        return { point: coded ? z : only(bottleneck.encode(inside(p), z)) };
      },
    },
    fromPoint: {
      name: 'from-point',
      inputs: { point: { shape: [batch, ...shape], dtype: 'float32' } },
      constants: partOf(weights, 'bottleneck', 'decoder'),
      run({ point }, p) {
        const made = coded ? bottleneck.encode(inside(p), point) : [point];
        const q = bottleneck.decode(inside(p), made);
        return { images: decoded(net, under('decoder', p), q) };
      },
    },
  };
}

/**
 * What a validation looks at: `reconstruction` of clean images without the noise of training, the scalars of a
 * training step by their names, `loss` being the generator's whole objective, and what the bottleneck says of its
 * units. The weights are inputs, the generator's by their plain names, the discriminator's under `disc.` and
 * `disc_u.`, so that the program is compiled once while they change.
 *
 * @param networks with the adversary where it acts
 */
export function evaluateProgram(
  { model, adversary }: Networks,
  perceptual: Perceptual | undefined,
  settings: ReconstructionSettings,
  batch: number,
): GraphProgram<'images', 'reconstruction'> {
  const { net, bottleneck, corruption, specs } = model;
  return {
    name: 'evaluate',
    inputs: {
      ...imagesSpec(model, batch),
      ...bottleneck.inputs('eval', batch),
      ...tensorSpecs(specsOf(specs)),
      ...(adversary && tensorSpecs(adversary.judging)),
    },
    constants: perceptual?.constants ?? {},
    run(inputs, constants) {
      const images = inputs.images;
      const z = net.encode(under('encoder', inputs), corruption.apply(images, {}));
      const passed = bottleneck.pass(under('bottleneck', inputs), z, inputs);
      const decoder = under('decoder', inputs);
      const last = lastLayer(net, decoder, passed.mode ?? passed.output);
      const reconstruction = last.picture(last.filter);
      const judge = adversary?.judge(inputs);
      const at = { images, reconstruction, last, judge, planes: net.planes };
      const { loss, terms } = objectiveAt(settings, perceptual, constants, at);
      const discriminated = judge && { discriminator: judge.loss({ images, reconstruction }) };
      const noisy = passed.mode && {
        sampled_mse: pixelLoss('l2', images, decoded(net, decoder, passed.output)),
      };
      return {
        ...{
          reconstruction: net.planes.shown(reconstruction),
          loss: tf.add(loss, passed.loss),
          ...terms,
          ...passed.terms,
          ...noisy,
        },
        ...passed.units,
        ...discriminated,
      };
    },
  };
}

function zOf({ corruption, net }: Model, weights: Tensors, images: tf.Tensor, inputs: Tensors): tf.Tensor {
  const seen = corruption.apply(images, inputs);
  return net.encode(under('encoder', weights), seen);
}

/** @param inputs the corruption's, where images are to be corrupted */
function encode(model: Model, weights: Tensors, images: tf.Tensor, inputs: Tensors = {}): Tensors {
  const { latent, encode } = model.bottleneck;
  const made = encode(under('bottleneck', weights), zOf(model, weights, images, inputs));
  return Object.fromEntries(pairs(Object.keys(latentSpecs(latent, 1)), made));
}

function decode({ net, bottleneck }: Model, weights: Tensors, given: Tensors): tf.Tensor {
  const { latent, decode } = bottleneck;
  const parts = Object.keys(latentSpecs(latent, 1)).map((name) => entry(given, name));
  const q = decode(under('bottleneck', weights), parts);
  return decoded(net, under('decoder', weights), q);
}

function partOf(weights: HostTensors, ...parts: string[]): HostTensors {
  return Object.fromEntries(
    Object.entries(weights).filter(([name]) => parts.some((part) => name.startsWith(`${part}.`))),
  );
}
