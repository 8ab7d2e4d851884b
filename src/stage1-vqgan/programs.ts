/** What a finished tokenizer does: images → latents, latents → images, images → reconstructions. */
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import type { GraphProgram, Specs, Tensors } from '../engine/device.js';
import { conv } from '../nn/conv.js';
import { over, specsOf, tensorSpecs, treeOf, under } from '../nn/params.js';
import type { Perceptual } from '../perceptual/distances.js';
import { discriminator, discriminatorSpecs, spectrum } from './adversary/discriminator.js';
import { decoder, decoderFeatures } from './autoencoder/decoder.js';
import { encoder } from './autoencoder/encoder.js';
import { bottleneckOf } from './bottlenecks/index.js';
import { latentSpecs } from './latent.js';
import { discriminatorLoss } from './losses.js';
import { modelSpecs } from './model.js';
import { objectiveAt } from './objective.js';

const imagesSpec = (config: Config, batch: number): Specs => ({
  images: { shape: [batch, config.data.size, config.data.size, 3], dtype: 'float32' },
});

/** `images` [B, S, S, 3] in [−1, 1] → the latent (`latentSpecs`): `codes` int32 [B, h, w] where it is one grid. */
export function encodeProgram(config: Config, weights: HostTensors, batch: number): GraphProgram {
  return {
    name: 'encode',
    inputs: imagesSpec(config, batch),
    constants: partOf(weights, 'encoder', 'bottleneck'),
    run: ({ images }, constants) => encode(config, constants, images!),
  };
}

/** The latent → `images` [B, S, S, 3], about [−1, 1]. */
export function decodeProgram(config: Config, weights: HostTensors, batch: number): GraphProgram {
  return {
    name: 'decode',
    inputs: latentSpecs(bottleneckOf(config).latent, batch),
    constants: partOf(weights, 'bottleneck', 'decoder'),
    run: (latent, constants) => ({ images: decode(config, constants, latent) }),
  };
}

/** `images` [B, S, S, 3] → `reconstruction`, same shape, and the latent. */
export function reconstructProgram(config: Config, weights: HostTensors, batch: number): GraphProgram {
  return {
    name: 'reconstruct',
    inputs: imagesSpec(config, batch),
    constants: partOf(weights, 'encoder', 'bottleneck', 'decoder'),
    run({ images }, constants) {
      const latent = encode(config, constants, images!);
      return { ...latent, reconstruction: decode(config, constants, latent) };
    },
  };
}

/**
 * What a validation looks at: `reconstruction`, and the scalars of a training step by their names, `loss` being the
 * generator's whole objective. The weights are inputs, the generator's by their plain names, the discriminator's under
 * `disc.` and `disc_u.`, so that the program is compiled once while they change.
 *
 * @param adversarial whether the discriminator acts
 */
export function evaluateProgram(
  config: Config,
  perceptual: Perceptual | undefined,
  { batch, adversarial }: { batch: number; adversarial: boolean },
): GraphProgram {
  const specs = modelSpecs(config);
  const discSpecs = discriminatorSpecs(config);
  const spectral = spectrum(config);
  const bottleneck = bottleneckOf(config);
  const judgingParams = (inputs: Tensors): Tensors => {
    const disc = under('disc', inputs);
    return spectral.normalised(disc, spectral.directions(disc, under('disc_u', inputs)));
  };
  return {
    name: 'evaluate',
    inputs: {
      ...imagesSpec(config, batch),
      ...bottleneck.inputs('eval', batch),
      ...tensorSpecs(specsOf(specs)),
      ...(adversarial && tensorSpecs(over('disc', specsOf(discSpecs)))),
      ...(adversarial && over('disc_u', tensorSpecs(spectral.specs))),
    },
    constants: perceptual?.constants ?? {},
    run(inputs, constants) {
      const images = inputs.images!;
      const model = treeOf(specs, inputs);
      const passed = bottleneck.pass(model.bottleneck, encoder(model.encoder, images), inputs);
      const last = decoderFeatures(model.decoder, passed.output);
      const reconstruction = conv(model.decoder.conv_out, last);
      const judge = adversarial ? treeOf(discSpecs, judgingParams(inputs)) : undefined;
      const { loss, terms } = objectiveAt(config.stage1, perceptual, constants, {
        images,
        last,
        convOut: model.decoder.conv_out,
        judge,
      });
      const discriminated = judge && {
        discriminator: discriminatorLoss(
          config.stage1.disc.loss,
          discriminator(judge, images),
          discriminator(judge, reconstruction),
        ),
      };
      return { reconstruction, loss: tf.add(loss, passed.loss), ...terms, ...passed.terms, ...discriminated };
    },
  };
}

function encode(config: Config, weights: Tensors, images: tf.Tensor): Tensors {
  const specs = modelSpecs(config);
  const { latent, encode } = bottleneckOf(config);
  const z = encoder(treeOf(specs.encoder, weights, 'encoder'), images);
  const made = encode(treeOf(specs.bottleneck, weights, 'bottleneck'), z);
  return Object.fromEntries(Object.keys(latentSpecs(latent, 1)).map((name, i) => [name, made[i]!]));
}

function decode(config: Config, weights: Tensors, given: Tensors): tf.Tensor {
  const specs = modelSpecs(config);
  const { latent, decode } = bottleneckOf(config);
  const parts = Object.keys(latentSpecs(latent, 1)).map((name) => given[name]!);
  const q = decode(treeOf(specs.bottleneck, weights, 'bottleneck'), parts);
  return decoder(treeOf(specs.decoder, weights, 'decoder'), q);
}

function partOf(weights: HostTensors, ...parts: string[]): HostTensors {
  return Object.fromEntries(Object.entries(weights).filter(([name]) => parts.includes(name.split('.')[0]!)));
}
