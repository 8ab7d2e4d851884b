/** Convolutions, NHWC, with filters [kh, kw, in, out] as TF.js has them. */
import * as tf from '@tensorflow/tfjs-core';
import { inParts } from './in-parts.js';
import type { Init, ParamSpec, TensorTree } from './params.js';

export type Conv = { weight: ParamSpec; bias: ParamSpec };
export type ConvWithoutBias = { weight: ParamSpec };

interface ConvOptions {
  readonly stride?: number;
  /** `same` as TensorFlow pads (for stride 2 and even sizes: right and bottom only), or zeros on every side. */
  readonly pad?: 'same' | number;
}

/** A square filter and its bias, both U(±1/√(in·k²)) unless told otherwise: PyTorch's default. */
export function convSpecs(kernel: number, inputs: number, outputs: number, init?: Init): Conv {
  const uniform: Init = { kind: 'uniform', bound: 1 / Math.sqrt(inputs * kernel * kernel) };
  return {
    weight: { shape: [kernel, kernel, inputs, outputs], init: init ?? uniform },
    bias: { shape: [outputs], init: uniform },
  };
}

/** A square filter for `transposedConv`, [k, k, out, in], and its bias, both U(±1/√(out·k²)): PyTorch's default. */
export function transposedConvSpecs(kernel: number, inputs: number, outputs: number): Conv {
  const init: Init = { kind: 'uniform', bound: 1 / Math.sqrt(outputs * kernel * kernel) };
  return {
    weight: { shape: [kernel, kernel, outputs, inputs], init },
    bias: { shape: [outputs], init },
  };
}

/** x [B, H, W, in] → [B, H/stride, W/stride, out] (padding `same`). */
export function conv(
  params: TensorTree<Conv> | TensorTree<ConvWithoutBias>,
  x: tf.Tensor,
  { stride = 1, pad = 'same' }: ConvOptions = {},
): tf.Tensor {
  const image = x as tf.Tensor4D;
  const filter = params.weight as tf.Tensor4D;
  return 'bias' in params
    ? tf.fused.conv2d({ x: image, filter, strides: stride, pad, bias: params.bias })
    : tf.conv2d(image, filter, stride, pad);
}

/** As `conv`, large images a few at a time. */
export function imageConv(
  params: TensorTree<Conv> | TensorTree<ConvWithoutBias>,
  x: tf.Tensor,
  options?: ConvOptions,
): tf.Tensor {
  const channels = Math.max(...params.weight.shape.slice(2));
  return inParts([x], channels, (x) => [conv(params, x, options)])[0];
}

/**
 * The transpose of a `conv` of stride 2 that takes `out` channels to `in`, large images a few at a time: x [B, H, W,
 * in] → [B, 2H, 2W, out].
 */
export function transposedConv(params: TensorTree<Conv>, x: tf.Tensor): tf.Tensor {
  const filter = params.weight as tf.Tensor4D;
  const [, , outputs, inputs] = filter.shape;
  return inParts([x], Math.max(inputs, 4 * outputs), (x) => {
    const [batch, height, width] = x.shape as [number, number, number];
    const shape: [number, number, number, number] = [batch, 2 * height, 2 * width, outputs];
    return [tf.add(tf.conv2dTranspose(x as tf.Tensor4D, filter, shape, 2, 'same'), params.bias)];
  })[0];
}
