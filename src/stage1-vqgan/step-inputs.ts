/** What the host hands to a training step: images, what is drawn by chance, the learning rate. */
import { type HostTensors, scalar } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import { trainBatch } from '../data/batches.js';
import type { ImageSet } from '../data/dataset.js';
import { microBatches } from '../train/accumulation.js';
import { learningRate } from '../train/schedule.js';
import type { Networks } from './model.js';
import { firstAdversarialStep, type Starts } from './starts.js';

/**
 * What a step takes in beside the state, an entry for each run of its program; depends on nothing but the config, the
 * step (from 1), the learning rate's factor and the step since which Adam has moments.
 */
export async function stepInputs(
  { model: { size, corruption, bottleneck }, adversary }: Networks,
  { stage1, data: { flip }, seed }: Config,
  train: ImageSet,
  { step, starts, factor = 1, since = 0 }: { step: number; starts: Starts; factor?: number; since?: number },
): Promise<HostTensors[]> {
  const batch = await trainBatch(train, { size, flip, batchSize: stage1.batch_size, seed, step: step - 1 });
  const firstAdversarial = firstAdversarialStep(starts);
  const common = {
    lr: scalar(factor * learningRate(step, stage1, since)),
    step: scalar(step),
    updates: scalar(step - since),
    ...(step >= firstAdversarial && { disc_step: scalar(step - firstAdversarial + 1) }),
  };
  const { batched, runs = [{}] } = bottleneck.feed('train', step, batch.labels);
  const rows = {
    images: batch.images,
    ...corruption.feed(step, stage1.batch_size),
    ...(step >= firstAdversarial && adversary?.augmentation.feed(step, stage1.batch_size)),
    ...batched,
  };
  const entries = microBatches(stage1.accumulate, rows, common);
  const times = Math.max(entries.length, runs.length);
  return Array.from({ length: times }, (_, i) => ({
    ...entries[i % entries.length],
    ...runs[i % runs.length],
  }));
}
