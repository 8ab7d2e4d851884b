/** What a finished tokenizer does: images → codes, codes → images, images → reconstructions. */
import type * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import type { GraphProgram, Specs, Tensors } from '../engine/device.js';
import { specsOf, treeOf } from '../nn/params.js';
import { nearestCode } from './bottleneck.js';
import { decoder } from './decoder.js';
import { encoder } from './encoder.js';
import { codeSide, modelSpecs, tensorSpecs, under } from './model.js';

const imagesSpec = (config: Config, batch: number): Specs => ({
  images: { shape: [batch, config.data.size, config.data.size, 3], dtype: 'float32' },
});

/**
 * The weights to use of a checkpoint's `model.safetensors`: the running average where there is one; plain names
 * (`encoder.…`, `bottleneck.…`, `decoder.…`).
 */
export function inferenceWeights(checkpoint: HostTensors): HostTensors {
  const ema = under('ema', checkpoint);
  return Object.keys(ema).length > 0 ? ema : under('model', checkpoint);
}

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

/** As `reconstructProgram`, with the weights as inputs by their plain names: compiled once while they change. */
export function evaluateProgram(config: Config, batch: number): GraphProgram {
  return {
    name: 'evaluate',
    inputs: { ...imagesSpec(config, batch), ...tensorSpecs(specsOf(modelSpecs(config))) },
    constants: {},
    run: ({ images, ...weights }) => reconstruct(config, weights, images!),
  };
}

function reconstruct(config: Config, weights: Tensors, images: tf.Tensor): Tensors {
  const codes = encode(config, weights, images);
  return { codes, reconstruction: decode(config, weights, codes) };
}

function encode(config: Config, weights: Tensors, images: tf.Tensor): tf.Tensor {
  const specs = modelSpecs(config);
  const z = encoder(treeOf(specs.encoder, weights, 'encoder'), images);
  return nearestCode(config.stage1).encode(treeOf(specs.bottleneck, weights, 'bottleneck'), z);
}

function decode(config: Config, weights: Tensors, codes: tf.Tensor): tf.Tensor {
  const specs = modelSpecs(config);
  const q = nearestCode(config.stage1).decode(treeOf(specs.bottleneck, weights, 'bottleneck'), codes);
  return decoder(treeOf(specs.decoder, weights, 'decoder'), q);
}

function partOf(weights: HostTensors, ...parts: string[]): HostTensors {
  return Object.fromEntries(Object.entries(weights).filter(([name]) => parts.includes(name.split('.')[0]!)));
}
