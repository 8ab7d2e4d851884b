/** A trained classifier at work: what pictures show, and how often that is what their folder is called. */

import * as tf from '@tensorflow/tfjs-core';
import { nth, pairs } from '../base/lookup.js';
import { rangeOf, type Shard } from '../base/shard.js';
import type { HostTensor } from '../base/tensor.js';
import { streamEvalImages } from '../data/batches.js';
import type { Subset } from '../data/dataset.js';
import { padBatch } from '../data/inference-batch.js';
import { resizeImages } from '../data/pictures.js';
import type { Skipped } from '../data/source.js';
import type { Device, GraphProgram } from '../engine/device.js';
import { loadTrained, type Trained } from './load.js';
import { classLogits } from './trained-features.js';

export interface Classifier {
  readonly name: string;
  readonly file: string;
  readonly classes: readonly string[];
  /** Side of the images that it was trained on; others are resized to it. */
  readonly size: number;
  /** Images [n, S, S, 3] in [−1, 1]. */
  classify(images: HostTensor): Promise<Classified>;
  dispose(): Promise<void>;
}

export interface Classified {
  /** The likeliest class of each image. */
  readonly classes: readonly string[];
  /** [n, K] */
  readonly probabilities: Float32Array;
}

const batch = 32;

/**
 * @param place a folder that `train-perceptual` made, or its file
 * @throws UserError when it holds no such classifier
 */
export async function openClassifier(
  device: Device,
  place: string,
  where = '--classifier',
): Promise<Classifier> {
  const trained = await loadTrained(place, where);
  const { name, file, classes, size } = trained;
  const graph = await device.prepare(classifyProgram(trained));
  return {
    ...{ name, file, classes, size },
    async classify(given) {
      const images = await resizeImages(given, size);
      const [n] = images.shape as [number];
      const area = size * size * 3;
      const probabilities = new Float32Array(n * classes.length);
      for (let at = 0; at < n; at += batch) {
        const part = Math.min(batch, n - at);
        const data = (images.data as Float32Array).slice(at * area, (at + part) * area);
        const padded = padBatch({ dtype: 'float32', shape: [part, size, size, 3], data }, batch);
        const shares = (await graph.run({ images: padded })).probabilities.data as Float32Array;
        probabilities.set(shares.subarray(0, part * classes.length), at * classes.length);
      }
      const likeliest = Array.from({ length: n }, (_, i) => {
        const own = probabilities.subarray(i * classes.length, (i + 1) * classes.length);
        return nth(classes, own.indexOf(Math.max(...own)));
      });
      return { classes: likeliest, probabilities };
    },
    dispose: () => graph.dispose(),
  };
}

function classifyProgram({ weights, size, pooling }: Trained): GraphProgram<'images', 'probabilities'> {
  return {
    name: 'classify',
    inputs: { images: { shape: [batch, size, size, 3], dtype: 'float32' } },
    constants: weights,
    run: ({ images }, constants) => ({ probabilities: tf.softmax(classLogits(constants, images, pooling)) }),
  };
}

/** Of how many images, and the share of them that were given the class that was meant. */
export interface Accuracy {
  readonly images: number;
  readonly accuracy: number;
}

/** The share of labelled images whose class is found. @throws UserError when no image can be read */
export async function accuracyOn(
  classifier: Classifier,
  subset: Subset,
  o: Parameters<typeof foundOn>[2] = {},
): Promise<Accuracy> {
  const { images, right } = await foundOn(classifier, subset, o);
  return { images, accuracy: right / images };
}

/**
 * Of how many labelled images the class is found.
 *
 * @param o.shard whose part of them is looked at; all unless given. @throws UserError when no image can be read
 */
export async function foundOn(
  classifier: Classifier,
  subset: Subset,
  o: { skipped?: Skipped[]; shard?: Shard; signal?: AbortSignal } = {},
): Promise<{ images: number; right: number }> {
  const { skipped = [], shard, signal } = o;
  const { classes } = subset.source;
  const part = shard && rangeOf(shard, subset.indices.length, batch);
  let images = 0;
  let right = 0;
  for await (const seen of streamEvalImages(subset, {
    ...{ size: classifier.size, batchSize: batch, part, skipped, signal },
  })) {
    const found = (await classifier.classify(seen.images)).classes;
    right += pairs(found, seen.labels).filter(([name, label]) => name === classes[label]).length;
    images += found.length;
  }
  return { images, right };
}
