/**
 * What vqgen's perceptual network is shown while stage 1 trains: an original and its reconstruction, moved alike by
 * chance, so that no place within the cells of its deepest grid is another one's better. Shown them as they are, it
 * leaves a lattice in reconstructions that is fast to that grid: what it looks at is halved several times, and a change
 * that stands right to the halvings counts for more than the same change a pixel further (docs/log.md has what was
 * measured). Kettunen et al., "E-LPIPS", arXiv 1906.03973, move pictures so against another weakness of such distances.
 * The published distance is left as it is.
 */
import type * as tf from '@tensorflow/tfjs-core';
import { stream } from '../base/rng.js';
import { type HostTensors, int32 } from '../base/tensor.js';
import type { Stage1Config } from '../config/schema.js';
import type { Specs, Tensors } from '../engine/device.js';
import { moved } from '../nn/moved.js';

export interface Phases {
  /** @param batch images of a run */
  inputs(batch: number): Specs;
  /** Of the images of a step. */
  feed(o: { seed: number; step: number; batch: number }): HostTensors;
  /** Images [B, S, S, 3] → the same shape; as they are, where the inputs are left out. */
  apply(images: tf.Tensor, inputs: Tensors): tf.Tensor;
}

/** Side of a cell of the deepest grid that is compared, pixels: the network's fourth stage. */
const cell = 8;

const unmoved: Phases = { inputs: () => ({}), feed: () => ({}), apply: (images) => images };

/** @param size side S of an image */
export function phasesOf({ perceptual }: Pick<Stage1Config, 'perceptual'>, size: number): Phases {
  if (perceptual.kind !== 'vqgen') return unmoved;
  const mirrored = (at: number): number => (at < 0 ? -at - 1 : at >= size ? 2 * size - 1 - at : at);
  const sources = (by: number): number[] => Array.from({ length: size }, (_, at) => mirrored(at + by));
  return {
    inputs: (batch) => ({
      'phase.rows': { shape: [batch, size], dtype: 'int32' },
      'phase.columns': { shape: [batch, size], dtype: 'int32' },
    }),
    feed({ seed, step, batch }) {
      const ways = Array.from({ length: batch }, (_, i) => {
        const rng = stream(seed, 'phase', step, i);
        return [rng.below(cell) - cell / 2, rng.below(cell) - cell / 2] as const;
      });
      const along = (axis: 0 | 1) =>
        int32([batch, size], Int32Array.from(ways.flatMap((way) => sources(way[axis]))));
      return { 'phase.rows': along(0), 'phase.columns': along(1) };
    },
    apply(images, { 'phase.rows': rows, 'phase.columns': columns }) {
      return rows && columns ? moved(images as tf.Tensor4D, rows, columns) : images;
    },
  };
}
