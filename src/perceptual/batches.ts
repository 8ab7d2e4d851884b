/** What a classifier learns from in one step: images moved about and mirrored, and what each of them shows. */
import { stream } from '../base/rng.js';
import { float32, type HostTensor, type HostTensors } from '../base/tensor.js';
import { type BatchOptions, trainBatch } from '../data/batches.js';
import type { ImageSet } from '../data/dataset.js';

/**
 * The share of a target that all classes have alike (Szegedy et al., arXiv 1512.00567): no image is certain, and the
 * loss does not fall to 0.
 */
const smoothing = 0.1;

/** How far an image is moved at most, as a share of its side. */
const furthest = 1 / 8;

/** `images` [B, S, S, 3] and `targets` [B, K] of a step; depends on nothing but the options. */
export async function classifierBatch(set: ImageSet, classes: number, o: BatchOptions): Promise<HostTensors> {
  const { images, labels } = await trainBatch(set, o);
  const targets = float32([o.batchSize, classes]);
  targets.data.fill(smoothing / classes);
  labels.forEach((label, i) => {
    targets.data[i * classes + label]! += 1 - smoothing;
  });
  return { images: moved(images, o), targets };
}

/** Each image moved down and across by whole pixels at random; what comes in at the border is its mirror image. */
function moved({ shape, data }: HostTensor, { seed, step }: BatchOptions): HostTensor {
  const [images, size] = shape as [number, number];
  const most = Math.floor(size * furthest);
  const result = new Float32Array(data.length);
  const mirrored = (k: number): number => (k < 0 ? -k - 1 : k >= size ? 2 * size - 1 - k : k);
  let to = 0;
  for (let i = 0; i < images; i++) {
    const rng = stream(seed, 'move', step, i);
    const down = rng.below(2 * most + 1) - most;
    const across = rng.below(2 * most + 1) - most;
    for (let y = 0; y < size; y++) {
      const row = (i * size + mirrored(y + down)) * size;
      for (let x = 0; x < size; x++) {
        const from = (row + mirrored(x + across)) * 3;
        result[to++] = data[from]!;
        result[to++] = data[from + 1]!;
        result[to++] = data[from + 2]!;
      }
    }
  }
  return float32(shape, result);
}
