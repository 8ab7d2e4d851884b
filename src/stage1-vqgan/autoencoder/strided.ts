/**
 * Encoder and decoder without normalisation and attention: strided convolutions, then residual blocks, and the same
 * backwards. They are those of VQ-VAE (van den Oord et al., arXiv 1711.00937, §4.1), and VQ-VAE-2 (Razavi et al.,
 * arXiv 1906.00446, appendix) goes from one level to the next by them.
 */
import * as tf from '@tensorflow/tfjs-core';
import { last } from '../../base/lookup.js';
import type { Stage1Config } from '../../config/schema.js';
import { type Conv, conv, convSpecs, imageConv, transposedConv, transposedConvSpecs } from '../../nn/conv.js';
import type { TensorTree } from '../../nn/params.js';
import { upsampleConv } from '../../nn/upsample-conv.js';

/** 3×3 to a quarter of the channels, 1×1 back. */
type Residual = { conv1: Conv; conv2: Conv };

export type Narrowing = {
  /** 4×4, stride 2. */
  halvings: Conv[];
  conv_out: Conv;
  blocks: Residual[];
};

export type Widening = {
  conv_in: Conv;
  blocks: Residual[];
  /** Of `doublingSpecs`. */
  doublings: Conv[];
};

/** Channels inside of a residual block: 32 of 128, as published. */
export const innerChannels = (channels: number): number => Math.max(1, Math.floor(channels / 4));

function residualSpecs(count: number, channels: number): Residual[] {
  const inner = innerChannels(channels);
  return Array.from({ length: count }, () => ({
    conv1: convSpecs(3, channels, inner),
    conv2: convSpecs(1, inner, channels),
  }));
}

/** Blocks x + 1×1(ReLU(3×3(ReLU(x)))), and a ReLU behind the last. Same shape. */
function residual(blocks: TensorTree<Residual[]>, x: tf.Tensor): tf.Tensor {
  let y = x;
  for (const { conv1, conv2 } of blocks) {
    y = tf.add(y, conv(conv2, tf.relu(imageConv(conv1, tf.relu(y)))));
  }
  return tf.relu(y);
}

/**
 * @param inputs channels of what it sees
 * @param halvings channels after each halving
 * @param o.outputs channels from the 3×3 convolution on. @param o.blocks how many residual blocks
 */
export function narrowingSpecs(
  inputs: number,
  halvings: readonly number[],
  { outputs, blocks }: { outputs: number; blocks: number },
): Narrowing {
  return {
    halvings: steps(inputs, halvings).map(([before, after]) => convSpecs(4, before, after)),
    conv_out: convSpecs(3, halvings.at(-1) ?? inputs, outputs),
    blocks: residualSpecs(blocks, outputs),
  };
}

/** x [B, H, W, in] → [B, H / 2^n, W / 2^n, out], none of it below 0. */
export function narrowed(params: TensorTree<Narrowing>, x: tf.Tensor): tf.Tensor {
  let y = x;
  for (const halving of params.halvings) y = tf.relu(imageConv(halving, y, { stride: 2 }));
  return residual(params.blocks, conv(params.conv_out, y));
}

/**
 * @param doublings channels after each doubling. @param o.width channels from the 3×3 convolution on. @param o.blocks
 * how many residual blocks. @param o.upsampling how a doubling is done; left out, as published
 */
export function wideningSpecs(
  inputs: number,
  doublings: readonly number[],
  { width, blocks, upsampling }: { width: number; blocks: number; upsampling?: Upsampling },
): Widening {
  return {
    conv_in: convSpecs(3, inputs, width),
    blocks: residualSpecs(blocks, width),
    doublings: steps(width, doublings).map((widths) => doublingSpecs(upsampling, ...widths)),
  };
}

type Upsampling = Stage1Config['upsampling'];

/**
 * `transposed`: 4×4, stride 2. Each of the four pixels under one has filter values of its own, and what they differ by
 * is a pattern that any picture can carry at no cost (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill
 * 2016). `nearest`: 3×3 behind an enlargement, as many products, and what is even stays even.
 */
const doublingSpecs = (upsampling: Upsampling = 'transposed', inputs: number, outputs: number): Conv =>
  upsampling === 'nearest' ? convSpecs(3, inputs, outputs) : transposedConvSpecs(4, inputs, outputs);

/** x [B, H, W, in] → [B, 2H, 2W, out], by what its filter is. */
export const doubled = (params: TensorTree<Conv>, x: tf.Tensor): tf.Tensor =>
  params.weight.shape[0] === 3 ? upsampleConv(params, x) : transposedConv(params, x);

/** Each width with the one before it, the first of which is `from`. */
function steps(from: number, widths: readonly number[]): [number, number][] {
  let before = from;
  return widths.map((width) => {
    const step: [number, number] = [before, width];
    before = width;
    return step;
  });
}

/** x [B, h, w, in] → [B, h · 2^n, w · 2^n, out]. */
export function widened(params: TensorTree<Widening>, x: tf.Tensor): tf.Tensor {
  return doubled(last(params.doublings), widenedButLast(params, x));
}

/** Everything but the last doubling. */
export function widenedButLast(params: TensorTree<Widening>, x: tf.Tensor): tf.Tensor {
  let y = residual(params.blocks, conv(params.conv_in, x));
  for (const doubling of params.doublings.slice(0, -1)) y = tf.relu(doubled(doubling, y));
  return y;
}
