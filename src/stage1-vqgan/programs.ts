/** What a finished tokenizer does: images → codes, codes → images, images → reconstructions. */
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
import { discriminatorLoss } from './losses.js';
import { codeSide, modelSpecs } from './model.js';
import { objectiveAt } from './objective.js';

const imagesSpec = (config: Config, batch: number): Specs => ({
  images: { shape: [batch, config.data.size, config.data.size, 3], dtype: 'float32' },
});

/** `images` [B, S, S, 3] in [−1, 1] → `codes` int32 [B, h, w]. */
export function encodeProgram(config: Config, weights: HostTensors, batch: number): GraphProgram {
  return {
    name: 'encode',
    inputs: imagesSpec(config, batch),
    constants: partOf(weights, 'encoder', 'bottleneck'),
    run: ({ images }, constants) => ({ codes: encode(config, constants, images!) }),
  };
}

/** `codes` int32 [B, h, w] → `images` [B, S, S, 3], about [−1, 1]. */
export function decodeProgram(config: Config, weights: HostTensors, batch: number): GraphProgram {
  const side = codeSide(config);
  return {
    name: 'decode',
    inputs: { codes: { shape: [batch, side, side], dtype: 'int32' } },
    constants: partOf(weights, 'bottleneck', 'decoder'),
    run: ({ codes }, constants) => ({ images: decode(config, constants, codes!) }),
  };
}

/** `images` [B, S, S, 3] → `reconstruction`, same shape, and `codes` int32 [B, h, w]. */
export function reconstructProgram(config: Config, weights: HostTensors, batch: number): GraphProgram {
  return {
    name: 'reconstruct',
    inputs: imagesSpec(config, batch),
    constants: partOf(weights, 'encoder', 'bottleneck', 'decoder'),
    run: ({ images }, constants) => reconstruct(config, constants, images!),
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
  const judgingParams = (inputs: Tensors): Tensors => {
    const disc = under('disc', inputs);
    return spectral.normalised(disc, spectral.directions(disc, under('disc_u', inputs)));
  };
  return {
    name: 'evaluate',
    inputs: {
      ...imagesSpec(config, batch),
      ...tensorSpecs(specsOf(specs)),
      ...(adversarial && tensorSpecs(over('disc', specsOf(discSpecs)))),
      ...(adversarial && over('disc_u', tensorSpecs(spectral.specs))),
    },
    constants: perceptual?.constants ?? {},
    run(inputs, constants) {
      const images = inputs.images!;
      const model = treeOf(specs, inputs);
      const passed = bottleneckOf(config.stage1).pass(model.bottleneck, encoder(model.encoder, images));
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

function reconstruct(config: Config, weights: Tensors, images: tf.Tensor): Tensors {
  const codes = encode(config, weights, images);
  return { codes, reconstruction: decode(config, weights, codes) };
}

function encode(config: Config, weights: Tensors, images: tf.Tensor): tf.Tensor {
  const specs = modelSpecs(config);
  const z = encoder(treeOf(specs.encoder, weights, 'encoder'), images);
  return bottleneckOf(config.stage1).encode(treeOf(specs.bottleneck, weights, 'bottleneck'), z);
}

function decode(config: Config, weights: Tensors, codes: tf.Tensor): tf.Tensor {
  const specs = modelSpecs(config);
  const q = bottleneckOf(config.stage1).decode(treeOf(specs.bottleneck, weights, 'bottleneck'), codes);
  return decoder(treeOf(specs.decoder, weights, 'decoder'), q);
}

function partOf(weights: HostTensors, ...parts: string[]): HostTensors {
  return Object.fromEntries(Object.entries(weights).filter(([name]) => parts.includes(name.split('.')[0]!)));
}
