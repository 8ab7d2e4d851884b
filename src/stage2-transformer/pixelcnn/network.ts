/**
 * The gated PixelCNN (van den Oord et al., arXiv 1606.05328) of one grid of codes. Two stacks of masked convolutions:
 * the vertical one sees the rows above a cell, the horizontal one the cells to its left and, through the vertical
 * one, the rows above, so that together they see all codes before it and no others. The first layer has mask A, and
 * no residual; the others mask B, for what they see excludes the cell.
 *
 * Shapes: B images, h×w cells, K codes, D width, L layers, p rows or columns that the first layer looks back.
 */
import * as tf from '@tensorflow/tfjs-core';
import { must } from '../../base/lookup.js';
import { conv, convSpecs } from '../../nn/conv.js';
import { type Dropout, noDropout } from '../../nn/dropout.js';
import { linear, linearSpecs } from '../../nn/linear.js';
import { lookup } from '../../nn/lookup.js';
import { gatedTanh, type Mask, maskedConv, maskedConvSpecs } from '../../nn/masked-conv.js';
import type { Init, ParamSpec, TensorTree } from '../../nn/params.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import { attended, attentionSpecs } from './attention.js';
import { additions, featuresOf, toldSpecs } from './told.js';

export interface NetworkSizes {
  readonly layers: number;
  readonly width: number;
  /** Of the attention. */
  readonly heads: number;
  /** Layers after each of which an attention stands; 0: none. */
  readonly attentionEvery: number;
  readonly classes: number;
  readonly grid: Grid;
  /** Grids that are known when this one is drawn. */
  readonly earlier: readonly Grid[];
}

/** How a layer looks around. */
export const lookOf = (layer: number): { kernel: number; mask: Mask } =>
  layer === 0 ? { kernel: 7, mask: 'A' } : { kernel: 3, mask: 'B' };

/** Which attention stands after a layer, if any. */
export const attentionAfter = ({ attentionEvery: every }: NetworkSizes, layer: number): number | undefined =>
  every > 0 && (layer + 1) % every === 0 ? (layer + 1) / every - 1 : undefined;

export const attentions = ({ layers, attentionEvery: every }: NetworkSizes): number =>
  every > 0 ? Math.floor(layers / every) : 0;

export type Network = ReturnType<typeof networkSpecs>;
type Layer = ReturnType<typeof layerSpecs>;

function layerSpecs(width: number, layer: number) {
  const look = lookOf(layer);
  return {
    vertical: maskedConvSpecs('vertical', look, width, 2 * width),
    down: convSpecs(1, 2 * width, 2 * width),
    horizontal: maskedConvSpecs('horizontal', look, width, 2 * width),
    out: convSpecs(1, width, width),
  };
}

/**
 * Embeddings N(0, 1), convolutions U(±1/√n) with n inputs, the last one a tenth of that: training starts near ln K.
 */
export function networkSpecs(o: NetworkSizes) {
  const { layers, width, grid } = o;
  const uniform = (inputs: number, gain = 1): Init => ({ kind: 'uniform', bound: gain / Math.sqrt(inputs) });
  return {
    table: { shape: [grid.vocab, width], init: { kind: 'normal', mean: 0, std: 1 } } as ParamSpec,
    layers: Array.from({ length: layers }, (_, layer) => layerSpecs(width, layer)),
    attention: Array.from({ length: attentions(o) }, () => attentionSpecs(width)),
    told: toldSpecs(o),
    expand: linearSpecs(width, 4 * width, uniform(width)),
    head: linearSpecs(4 * width, grid.vocab, uniform(4 * width, 0.1)),
  };
}

/** Weight decay acts on the weights of convolutions and linear layers only: not on tables and biases. */
export const decays = (name: string): boolean => name.endsWith('.weight');

/**
 * What the network is told: labels int32 [B] where there are classes, codes int32 [B, h', w'] of each earlier grid.
 */
export interface Known {
  readonly labels?: tf.Tensor;
  readonly earlier: readonly tf.Tensor[];
}

/**
 * Codes int32 [B, h, w] → logits [B·h·w, K] of each cell's code from those before it.
 *
 * @param dropout acts behind the gate of each layer's horizontal stack, L times
 */
export function networkLogits(
  o: NetworkSizes,
  params: TensorTree<Network>,
  codes: tf.Tensor,
  { labels, earlier }: Known,
  dropout: Dropout = noDropout,
): tf.Tensor {
  const { layers, width, heads, grid } = o;
  const features = featuresOf(params.told, earlier, grid);
  const told = additions(params.told, layers, { labels, features });
  const x = lookup(params.table as tf.Tensor2D, codes); // [B, h, w, D]
  let [v, h] = [x, x];
  for (const [i, layer] of params.layers.entries()) {
    const { mask } = lookOf(i);
    const below = maskedConv('vertical', layer.vertical, v, mask); // [B, h, w, 2D]
    const across = acrossAndDown(layer, { h, below, mask });
    const out = conv(layer.out, dropout(gatedTanh(plus(across, told?.[i]))));
    h = i === 0 ? out : tf.add(h, out);
    if (i < layers - 1) v = gatedTanh(plus(below, told?.[i]));
    const attention = attentionAfter(o, i);
    if (attention !== undefined) {
      const weights = must(params.attention[attention], `attention ${attention}`);
      h = tf.add(h, attended(weights, heads, { x, h, grid }));
    }
  }
  return readOut(params, tf.reshape(h, [-1, width]));
}

/**
 * What the horizontal stack sees in its row and, through the vertical one, above it: [B, h, w, 2D]. The biases of both
 * are added once.
 */
function acrossAndDown(
  { horizontal, down }: Pick<TensorTree<Layer>, 'horizontal' | 'down'>,
  { h, below, mask }: { h: tf.Tensor; below: tf.Tensor; mask: Mask },
): tf.Tensor {
  const all = { weight: horizontal.weight, bias: tf.add(horizontal.bias, down.bias) };
  return tf.add(maskedConv('horizontal', all, h, mask), conv({ weight: down.weight }, below));
}

/** [N, D] → logits [N, K]. */
export const readOut = (params: TensorTree<Network>, h: tf.Tensor): tf.Tensor =>
  linear(params.head, tf.relu(linear(params.expand, h)));

/** What is told, where anything is. */
export const plus = (x: tf.Tensor, told: tf.Tensor | undefined): tf.Tensor => (told ? tf.add(x, told) : x);
