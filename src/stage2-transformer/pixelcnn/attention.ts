/**
 * Attention between gated layers, after PixelSNAIL (Chen et al., arXiv 1712.09763): a cell's query is made of its
 * features, keys and values of features and code, so a cell attends to those before it only, and to one place at the
 * start that is learned. Both know where their cells lie.
 *
 * Shapes: B images, T = h·w cells, D width.
 */
import * as tf from '@tensorflow/tfjs-core';
import { causalParts, selfAttention } from '../../nn/attention.js';
import { cachedAttention, type Past } from '../../nn/cached-attention.js';
import { linear, linearSpecs } from '../../nn/linear.js';
import type { Init, ParamSpec, TensorTree } from '../../nn/params.js';
import type { Grid } from '../../stage1-vqgan/latent.js';

export type Attention = ReturnType<typeof attentionSpecs>;

export function attentionSpecs(width: number) {
  const of = (inputs: number): Init => ({ kind: 'uniform', bound: 1 / Math.sqrt(inputs) });
  return {
    query: linearSpecs(width, width, of(width)),
    /** Of embedded code and features to key and value. */
    keyValue: linearSpecs(2 * width, 2 * width, of(2 * width)),
    /** What a cell's coordinates add to its query, and to key and value. */
    place: { query: placeSpecs(width), keyValue: placeSpecs(2 * width) },
    /** Key and value of the place before the first cell. */
    start: { shape: [1, 2 * width], init: { kind: 'normal', mean: 0, std: 1 } } as ParamSpec,
    out: linearSpecs(width, width, of(width)),
  };
}

const placeSpecs = (outputs: number) => ({
  weight: { shape: [2, outputs], init: { kind: 'normal', mean: 0, std: 0.5 } } as ParamSpec,
});

/** [T, 2]: (i − h/2)/h and (j − w/2)/w of each cell. */
export function coordinates({ height, width }: Grid): Float32Array {
  return Float32Array.from({ length: 2 * height * width }, (_, n) => {
    const cell = n >> 1;
    return n % 2 === 0 ? Math.floor(cell / width) / height - 0.5 : (cell % width) / width - 0.5;
  });
}

/** x, h [B, h, w, D], embedded codes and features → what is added to the features, [B, h, w, D]. */
export function attended(
  params: TensorTree<Attention>,
  heads: number,
  { x, h, grid }: { x: tf.Tensor; h: tf.Tensor; grid: Grid },
): tf.Tensor {
  const [batch, height, columns, width] = h.shape as [number, number, number, number];
  const cells = height * columns;
  const [embedded, features] = [x, h].map((t) => tf.reshape(t, [batch, cells, width])) as [
    tf.Tensor,
    tf.Tensor,
  ];
  const places = tf.tensor2d(coordinates(grid), [cells, 2]);
  const q = tf.add(linear(params.query, features), linear(params.place.query, places)); // [B, T, D]
  const own = tf.add(
    linear(params.keyValue, tf.concat([embedded, features], 2)),
    linear(params.place.keyValue, places),
  ); // [B, T, 2D]
  const later = tf.pad(own, [
    [0, 0],
    [1, 0],
    [0, 0],
  ]);
  const before = tf.slice(later, [0, 0, 0], own.shape);
  const start = tf.reshape(params.start, [1, 1, 2 * width]);
  const kv = tf.add(
    before,
    tf.pad(start, [
      [0, 0],
      [0, cells - 1],
      [0, 0],
    ]),
  );
  const rows = tf.reshape(tf.concat([q, kv], 2), [batch * cells, 3 * width]);
  const mixed = selfAttention(rows, heads, { tokens: cells, causal: causalParts(cells) }); // [B·T, D]
  return tf.reshape(linear(params.out, mixed), h.shape);
}

/** What one cell needs: all [B, …] but the coordinates. */
export interface Step {
  /** Features of the cell [B, D]. */
  readonly h: tf.Tensor;
  /** Embedded code and features of the cell before, both [B, D]. */
  readonly before: { readonly x: tf.Tensor; readonly h: tf.Tensor };
  /** [2, 2], of the cell and of the one before. */
  readonly places: tf.Tensor;
  /** [1, 1]: 1 of the first cell, before which there is the start; 0 of others. */
  readonly first: tf.Tensor;
  readonly past: Past;
}

/** `attended` of one cell, [B, D], and query, key and value [B, 3D] of which the cache takes the latter two. */
export function attendedStep(
  params: TensorTree<Attention>,
  heads: number,
  { h, before, places, first, past }: Step,
): { mixed: tf.Tensor; qkv: tf.Tensor } {
  const [here, there] = tf.split(places, 2) as [tf.Tensor, tf.Tensor]; // each [1, 2]
  const q = tf.add(linear(params.query, h), linear(params.place.query, here));
  const own = tf.add(
    linear(params.keyValue, tf.concat([before.x, before.h], 1)),
    linear(params.place.keyValue, there),
  );
  const kv = tf.add(tf.mul(first, params.start), tf.mul(tf.sub(1, first), own)); // [B, 2D]
  const qkv = tf.concat([q, kv], 1);
  return { mixed: linear(params.out, cachedAttention(qkv, past, heads)), qkv };
}
