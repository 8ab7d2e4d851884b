/**
 * What the discriminator sees of pictures, real ones and reconstructions alike, in its own step as in the
 * generator's: moved, partly covered, in other colours, so that with few images it does not learn them by heart. As it
 * never sees a plain one, a reconstruction gains nothing by looking moved or covered. Zhao et al., "Differentiable
 * Augmentation for Data-Efficient GAN Training", arXiv 2006.10738; its sizes. Drawn by seed and step; an original and
 * its reconstruction are changed alike.
 */
import * as tf from '@tensorflow/tfjs-core';
import { type Rng, stream } from '../../base/rng.js';
import { float32, type HostTensors, int32 } from '../../base/tensor.js';
import type { Stage1Config } from '../../config/schema.js';
import type { Specs, Tensors } from '../../engine/device.js';

export interface Augmentation {
  /** @param batch images of a run */
  inputs(batch: number): Specs;
  /** Of the images of a step. */
  feed(step: number, batch: number): HostTensors;
  /** Images [B, S, S, 3] → the same shape; as they are, where the inputs are left out. */
  apply(images: tf.Tensor, inputs: Tensors): tf.Tensor;
}

type Kind = Stage1Config['disc']['augment'][number];

/** Of a side: how far pictures are moved at most, and how wide the hole is. */
const furthest = 1 / 8;
const hole = 1 / 2;

interface Way {
  /** By name, the shape of each image's part. */
  readonly inputs: Record<string, { shape: readonly number[]; dtype: 'float32' | 'int32' }>;
  draw(rng: Rng): Record<string, number[]>;
  apply(x: tf.Tensor4D, fed: Tensors): tf.Tensor;
}

/** In the order in which they are applied. */
const ways: Record<Kind, (size: number) => Way> = { colour, translation, cutout };

/** @param o.size side S of an image */
export function augmentationOf(
  kinds: Stage1Config['disc']['augment'],
  { size, seed }: { size: number; seed: number },
): Augmentation {
  const chosen = (Object.keys(ways) as Kind[]).filter((kind) => kinds.includes(kind));
  const each = chosen.map((kind) => ({ kind, ...ways[kind](size) }));
  return {
    inputs: (batch) =>
      Object.fromEntries(
        each.flatMap(({ inputs }) =>
          Object.entries(inputs).map(([name, { shape, dtype }]) => [
            `augment.${name}`,
            { shape: [batch, ...shape], dtype },
          ]),
        ),
      ),
    feed(step, batch) {
      const fed: HostTensors = {};
      for (const { kind, inputs, draw } of each) {
        const drawn = Array.from({ length: batch }, (_, i) => draw(stream(seed, 'augment', kind, step, i)));
        for (const [name, { shape, dtype }] of Object.entries(inputs)) {
          const values = drawn.flatMap((of) => of[name] ?? []);
          fed[`augment.${name}`] =
            dtype === 'int32'
              ? int32([batch, ...shape], Int32Array.from(values))
              : float32([batch, ...shape], Float32Array.from(values));
        }
      }
      return fed;
    },
    apply(images, inputs) {
      let x = images;
      for (const way of each) {
        const fed = Object.fromEntries(
          Object.keys(way.inputs).flatMap((name) => {
            const t = inputs[`augment.${name}`];
            return t ? [[name, t]] : [];
          }),
        );
        if (Object.keys(fed).length > 0) x = way.apply(x as tf.Tensor4D, fed);
      }
      return x;
    },
  };
}

/** Brighter or darker by up to half of 1, colours 0 to 2 times as strong, contrast 0.5 to 1.5 times. */
function colour(): Way {
  return {
    inputs: { colour: { shape: [3], dtype: 'float32' } },
    draw: (rng) => ({ colour: [rng.uniform() - 0.5, 2 * rng.uniform(), 0.5 + rng.uniform()] }),
    apply(x, { colour }) {
      const [brighter, saturation, contrast] = tf
        .split(colour!, 3, 1)
        .map((part) => tf.reshape(part, [x.shape[0], 1, 1, 1]));
      const stretched = (y: tf.Tensor, by: tf.Tensor, axes: number[]): tf.Tensor => {
        const mean = tf.mean(y, axes, true);
        return tf.add(tf.mul(tf.sub(y, mean), by), mean);
      };
      const bright = tf.add(x, brighter!);
      return stretched(stretched(bright, saturation!, [3]), contrast!, [1, 2, 3]);
    },
  };
}

/** Moved down and across by whole pixels; what comes in is 0, grey. */
function translation(size: number): Way {
  const most = Math.round(size * furthest);
  const sources = (by: number): number[] =>
    Array.from({ length: size }, (_, at) => Math.min(size - 1, Math.max(0, at - by)));
  return {
    inputs: {
      rows: { shape: [size], dtype: 'int32' },
      columns: { shape: [size], dtype: 'int32' },
      inside: { shape: [size, size, 1], dtype: 'float32' },
    },
    draw(rng) {
      const [down, across] = [rng.below(2 * most + 1) - most, rng.below(2 * most + 1) - most];
      const within = (at: number): boolean => at >= 0 && at < size;
      const inside = Array.from({ length: size * size }, (_, i) =>
        within(Math.floor(i / size) - down) && within((i % size) - across) ? 1 : 0,
      );
      return { rows: sources(down), columns: sources(across), inside };
    },
    apply(x, { rows, columns, inside }) {
      const moved = alongColumns(alongRows(x, rows!), columns!);
      return tf.mul(moved, inside!);
    },
  };
}

/** Row y of the result is row `sources` [B, S] of x [B, S, S, 3]. */
function alongRows(x: tf.Tensor4D, sources: tf.Tensor): tf.Tensor4D {
  const [batch, size, width, channels] = x.shape;
  const hot = tf.oneHot(tf.reshape(sources, [batch * size]) as tf.Tensor1D, size, 1, 0, 'float32');
  const chosen = tf.matMul(
    tf.reshape(hot, [batch, size, size]),
    tf.reshape(x, [batch, size, width * channels]),
  );
  return tf.reshape(chosen, x.shape);
}

function alongColumns(x: tf.Tensor4D, sources: tf.Tensor): tf.Tensor4D {
  const turned = (y: tf.Tensor4D): tf.Tensor4D => tf.transpose(y, [0, 2, 1, 3]);
  return turned(alongRows(turned(x), sources));
}

/** A square of half the side, its middle anywhere, is 0. */
function cutout(size: number): Way {
  const side = Math.round(size * hole);
  return {
    inputs: { open: { shape: [size, size, 1], dtype: 'float32' } },
    draw(rng) {
      const [top, left] = [0, 1].map(() => rng.below(size + 1) - Math.floor(side / 2)) as [number, number];
      const covers = (at: number, from: number): boolean => at >= from && at < from + side;
      const open = Array.from({ length: size * size }, (_, i) =>
        covers(Math.floor(i / size), top) && covers(i % size, left) ? 0 : 1,
      );
      return { open };
    },
    apply: (x, { open }) => tf.mul(x, open!),
  };
}
