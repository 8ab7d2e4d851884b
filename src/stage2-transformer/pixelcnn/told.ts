/**
 * What a grid's network is told beside the codes before: the class and the grids before it. Codes of an earlier grid
 * become features by a few convolutions that see all of it, are brought to the grid's size by the nearest neighbour
 * and added up; a 1×1 convolution takes them to what is added before each layer's gates (arXiv 1606.05328, §2.3: V·h
 * and V∗s).
 *
 * Shapes: B images, D width, L layers; a grid is h×w, an earlier one h'×w'.
 */
import * as tf from '@tensorflow/tfjs-core';
import { pairs } from '../../base/lookup.js';
import { firstAxis, lastAxis } from '../../base/tensor.js';
import { conv, convSpecs } from '../../nn/conv.js';
import { linear, linearSpecs } from '../../nn/linear.js';
import { lookup } from '../../nn/lookup.js';
import type { Init, ParamSpec, TensorTree } from '../../nn/params.js';
import type { Grid } from '../../stage1-vqgan/latent.js';

export interface ToldSizes {
  readonly width: number;
  readonly layers: number;
  readonly classes: number;
  readonly earlier: readonly Grid[];
}

const convolutions = 3;

const normal: Init = { kind: 'normal', mean: 0, std: 1 };

/** `classes` has a row for no class, then one for each; without classes and earlier grids there is nothing. */
export function toldSpecs({ width, layers, classes, earlier }: ToldSizes) {
  const added = layers * 2 * width;
  const byClass: ParamSpec = { shape: [classes + 1, added], init: { kind: 'zeros' } };
  const uniform: Init = { kind: 'uniform', bound: 1 / Math.sqrt(width) };
  return {
    classes: classes > 0 ? byClass : undefined,
    earlier: earlier.map(({ vocab }) => ({
      table: { shape: [vocab, width], init: normal } as ParamSpec,
      convs: Array.from({ length: convolutions }, () => convSpecs(3, width, width)),
    })),
    out: earlier.length > 0 ? linearSpecs(width, added, uniform) : undefined,
  };
}

export type Told = TensorTree<ReturnType<typeof toldSpecs>>;

/** Codes of the earlier grids, int32 [B, h', w'] each → [B, h, w, D]; none without earlier grids. */
export function featuresOf(params: Told, codes: readonly tf.Tensor[], grid: Grid): tf.Tensor | undefined {
  const features = pairs(params.earlier, codes).map(([{ table, convs }, own]) => {
    const embedded = lookup(table as tf.Tensor2D, own); // [B, h', w', D]
    return nearest(
      convs.reduce((x, params) => tf.relu(conv(params, x)), embedded),
      grid,
    );
  });
  return features.length === 0 ? undefined : features.reduce((a, b) => tf.add(a, b));
}

/**
 * What is added before the gates of each layer, L × [B, h, w, 2D]; of classes alone [B, 1, 1, 2D]; none where nothing
 * is told.
 *
 * @param o.labels int32 [B], −1 without a class; given where there are classes
 * @param o.features as `featuresOf` has them, or some rows of them
 */
export function additions(
  params: Told,
  layers: number,
  { labels, features }: { labels?: tf.Tensor; features?: tf.Tensor },
): tf.Tensor[] | undefined {
  const terms: tf.Tensor[] = [];
  if (params.out && features) terms.push(linear(params.out, features));
  if (params.classes && labels) {
    const rows = lookup(params.classes as tf.Tensor2D, tf.add(labels, tf.scalar(1, 'int32')));
    terms.push(tf.reshape(rows, [firstAxis(rows), 1, 1, lastAxis(rows)]));
  }
  if (terms.length === 0) return undefined;
  return tf.split(
    terms.reduce((a, b) => tf.add(a, b)),
    layers,
    3,
  );
}

/**
 * x [B, h', w', C] → [B, h, w, C], each cell from the one under its centre. A product with a matrix of zeros and
 * ones.
 */
function nearest(x: tf.Tensor, { height, width }: Grid): tf.Tensor {
  const [batch, rows, columns, channels] = x.shape as [number, number, number, number];
  if (rows === height && columns === width) return x;
  const from = rows * columns;
  const chosen = new Float32Array(height * width * from);
  for (let i = 0; i < height; i++) {
    const row = Math.floor(((i + 0.5) * rows) / height);
    for (let j = 0; j < width; j++)
      chosen[(i * width + j) * from + row * columns + Math.floor(((j + 0.5) * columns) / width)] = 1;
  }
  const matrix = tf.tensor3d(chosen, [1, height * width, from]);
  return tf.reshape(tf.matMul(matrix, tf.reshape(x, [batch, from, channels])), [
    batch,
    height,
    width,
    channels,
  ]);
}
