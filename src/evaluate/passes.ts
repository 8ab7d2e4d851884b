/**
 * The passes of `vqgen evaluate`, each a row of batches: computed here, all of them or a shard's part. Measures are made
 * of the rows alone, so that they are the same whoever computed them.
 */
import { createHash } from 'node:crypto';
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { type Range, rangeOf, type Shard } from '../base/shard.js';
import { streamEvalImages } from '../data/batches.js';
import type { Subset } from '../data/dataset.js';
import { toBytes } from '../data/pictures.js';
import { classOf, type Skipped } from '../data/source.js';
import { foundOn } from '../perceptual/classifier.js';
import { type ClassOf, inProportion } from '../sample/classes.js';
import type { Settings } from '../sample/source.js';
import { openSource } from '../sample/sources.js';
import type { Job, JobOptions } from './job.js';
import { type FolderBatch, observeFolder, spread, type ToldImage, toldImages } from './observe.js';
import { observeSamples, observeTraining, type SampleBatch, type TrainingBatch } from './samples.js';

export interface Passes {
  /** Of how many images a classifier finds the class; undefined where there is none. */
  found(): Promise<{ images: number; right: number } | undefined>;
  images(): AsyncIterable<FolderBatch>;
  /** The images that could not be read, once all were. */
  readonly skipped: readonly Skipped[];
  /** See `Statistics`, once all images were read. */
  digest(): Promise<string>;
  samples(): Promise<{ seed: number; settings: Settings; batches: AsyncIterable<SampleBatch> }>;
  training(train: Subset): AsyncIterable<TrainingBatch>;
}

/** @param shard whose part is computed; all unless given */
export function computing(job: Job, o: JobOptions, shard?: Shard): Passes {
  const { config, subset, space, batch, measured } = job;
  const { device, reporter, signal } = o;
  const { size } = config.data;
  const rangeIn = (total: number, batch: number): Range =>
    shard ? rangeOf(shard, total, batch) : { from: 0, to: total };
  const skipped: Skipped[] = [];
  const digest = createHash('sha256');
  return {
    skipped,
    digest: async () => digest.digest('hex'),
    async found() {
      const { classifier, known } = job;
      return classifier && known && foundOn(classifier, known, { shard, signal });
    },
    async *images() {
      const part = rangeIn(subset.indices.length, batch);
      const teller = await measured?.tell?.(device);
      const progress = progressOf(reporter, 'Evaluate', part, 'images');
      try {
        const { tokenizer } = job;
        const onPixels =
          o.saveStats === undefined ? undefined : (pixels: Uint8Array) => void digest.update(pixels);
        let done = 0;
        for await (const seen of observeFolder({
          ...{ config, subset, part, tokenizer, prior: measured?.prior, teller, space },
          ...{ skipped, onPixels, device, signal },
        })) {
          yield seen;
          done += seen.places.length;
          progress.update(done + skipped.length);
        }
      } finally {
        progress.stop();
        await teller?.conditioner.dispose();
      }
    },
    async samples() {
      const told = await ofKept(job, o);
      const source = await openSource({ ...o, classOf: proportions(job, reporter), ...told });
      const part = rangeIn(job.n, source.batch);
      async function* batches(): AsyncGenerator<SampleBatch> {
        const total = Math.ceil((part.to - part.from) / source.batch) * source.places;
        const progress = reporter.progress({ label: 'Sample', total, unit: 'places' });
        const onPlace = (done: number) => progress.update(done);
        try {
          yield* observeSamples(source, { part, batch, space, classifier: job.classifier, onPlace });
        } finally {
          progress.stop();
          await source.dispose();
        }
      }
      return { seed: source.seed, settings: source.settings, batches: batches() };
    },
    async *training(train) {
      const part = rangeIn(train.indices.length, batch);
      const progress = progressOf(reporter, 'Nearest of the training images', part, 'images');
      const onImages = (done: number) => progress.update(done);
      try {
        const mirrored = config.data.flip;
        yield* observeTraining(train, { part, size, mirrored, batch, space, onImages, signal });
      } finally {
        progress.stop();
      }
    },
  };
}

const progressOf = (reporter: Reporter, label: string, { from, to }: Range, unit: string) =>
  reporter.progress({ label, total: to - from, unit });

/** The digest of images that others computed with. */
export async function digestOf({ config, subset }: Job, { signal }: JobOptions): Promise<string> {
  const digest = createHash('sha256');
  const { size } = config.data;
  for await (const { images } of streamEvalImages(subset, { size, batchSize: 16, skipped: [], signal }))
    digest.update(toBytes(images));
  return digest.digest('hex');
}

/** Where the prior is told of images, samples are told of the kept ones, in turn, each of its own class. */
async function ofKept(
  { config, subset, measured, n }: Job,
  { device, signal }: JobOptions,
): Promise<{ toldOf?: (i: number) => Int32Array; classOf?: ClassOf }> {
  const teller = await measured?.tell?.(device);
  if (!measured || !teller) return {};
  let told: readonly ToldImage[];
  try {
    const { size } = config.data;
    const places = spread(subset.indices.length, n);
    told = await toldImages(subset, places, { prior: measured.prior, teller, size, signal });
  } finally {
    await teller.conditioner.dispose();
  }
  const at = (i: number) => must(told[i % told.length], 'told');
  return { toldOf: (i) => at(i).codes, classOf: (i) => at(i).label };
}

/**
 * Samples are of the prior's classes as often as the images are; of all alike where the images are of none of them.
 */
function proportions({ subset: { source, indices }, classes }: Job, reporter: Reporter): ClassOf | undefined {
  const counts = classes.map(() => 0);
  for (const i of indices) {
    const label = classes.indexOf(classOf(source, i));
    if (label >= 0) counts[label]!++;
  }
  const known = counts.reduce((sum, count) => sum + count, 0);
  if (classes.length > 0 && known < indices.length) {
    reporter.warn(
      `${indices.length - known} of ${indices.length} images are of no class that the run knows: their likelihoods are those of images without, or left out of the bound.`,
    );
  }
  return known > 0 ? inProportion(counts) : undefined;
}
