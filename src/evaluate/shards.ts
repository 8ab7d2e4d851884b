/** `vqgen evaluate` by several processes: what each computes of the passes, and the measures of all together. */
import { createHash } from 'node:crypto';
import path from 'node:path';
import * as z from 'zod';
import { expected, UserError } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { version } from '../base/root.js';
import { type Shard, shardText } from '../base/shard.js';
import {
  allParts,
  otherThan,
  type PartsPlace,
  partFolder,
  readPart,
  removeParts,
  type Work,
  withoutParts,
  writePart,
} from '../checkpoint/parts.js';
import { readRecords, writeRecords } from '../checkpoint/records.js';
import { runPaths } from '../checkpoint/run.js';
import { listSum, type Subset } from '../data/dataset.js';
import { obstacleInSamples } from '../sample/out.js';
import { type DrawingOptions, drawingOptions } from '../sample/source.js';
import { type EvaluateSummary, measure } from './evaluate.js';
import { type Job, type JobOptions, withJob } from './job.js';
import { trainingImages } from './memorising.js';
import { computing, digestOf, type Passes } from './passes.js';
import type { SampleBatch, TrainingBatch } from './samples.js';

export interface EvaluateShardSummary {
  readonly run: string;
  /** `3/8` */
  readonly shard: string;
  readonly skipped: number;
  readonly seconds: number;
  /** The folder of the part. */
  readonly file: string;
  /** Whether it was there already. */
  readonly already: boolean;
}

const notesSchema = z.object({
  found: z.object({ images: z.int(), right: z.int() }).optional(),
  skipped: z.array(z.object({ name: z.string(), reason: z.string() })),
  samples: z
    .object({ seed: z.int(), settings: z.record(z.string(), z.union([z.number(), z.string()])) })
    .optional(),
});

type Notes = z.infer<typeof notesSchema>;

const placeIn = (run: string): PartsPlace => ({
  home: path.join(runPaths(run).samples, 'evaluation-parts'),
  prefix: '',
  command: 'vqgen evaluate',
});

function workOf(job: Job, train: Subset | undefined, o: JobOptions): Work {
  const { config, tokenizer, measured, subset, space, classifier, draws, n } = job;
  const { seed = null } = o;
  const { dir: _, val_dir: __, ...data } = config.data;
  return {
    'version of vqgen': version,
    device: o.device.name,
    tokenizer: tokenizer.sha256,
    prior: measured?.prior.sha256 ?? null,
    config: createHash('sha256')
      .update(JSON.stringify({ ...config, data }))
      .digest('hex'),
    'list of images': listSum({ subset }),
    'list of training images': train ? listSum({ train }) : null,
    features: space.name,
    classifier: classifier?.name ?? null,
    ...(draws && { 'number of samples': n, seed, 'way of drawing': drawingIn(o) }),
  };
}

const drawingIn = (o: DrawingOptions) =>
  Object.keys(drawingOptions).map((key) => o[key as keyof DrawingOptions] ?? null);

/** Only the measures of all have a use for them. */
const ofMerge = { out: '--out', stats: '--stats', saveStats: '--save-stats' } as const;

/**
 * Computes the shard's own part of every pass, into a folder among the run's samples that is there whole or not at all;
 * nothing is done where it is there already.
 *
 * @throws UserError as `evaluate`, and for options of the merge
 */
export async function evaluateShard(
  o: JobOptions & { readonly shard: Shard },
): Promise<EvaluateShardSummary> {
  const started = performance.now();
  const { shard, run, reporter } = o;
  for (const [key, option] of Object.entries(ofMerge)) {
    const given = o[key as keyof typeof ofMerge];
    const next = 'It goes with --merge. --shard 1/1 measures all here.';
    if (given !== undefined)
      throw expected('nothing', option, `${given} with --shard ${shardText(shard)}`, next);
  }
  const obstacle = obstacleInSamples(run);
  if (obstacle) throw expected('a run that takes parts', '--run', `${run}, ${obstacle}`);
  const place = placeIn(run);
  const file = partFolder(place, shard);
  return withJob(o, async (job) => {
    const train = job.draws ? await trainingImages(o, job.config) : undefined;
    const work = workOf(job, train, o);
    const before = readPart(place, shard, notesSchema);
    const already = before !== undefined && otherThan(work, before.work) === undefined;
    if (already) reporter.note(`Part ${shardText(shard)} is complete already: ${file}`);
    else {
      reporter.note(`Shard ${shardText(shard)} of images, samples and training images`);
      await writePart(place, shard, work, (folder) =>
        writePasses(computing(job, o, shard), folder, job, train),
      );
    }
    const { skipped } = must(readPart(place, shard, notesSchema), 'part').notes;
    const seconds = (performance.now() - started) / 1000;
    return { run, shard: shardText(shard), skipped: skipped.length, seconds, file, already };
  });
}

const files = { images: 'images', samples: 'samples', training: 'training' } as const;
const fileIn = (folder: string, pass: keyof typeof files): string =>
  path.join(folder, `${files[pass]}.safetensors`);

async function writePasses(
  passes: Passes,
  folder: string,
  { draws }: Job,
  train: Subset | undefined,
): Promise<Notes> {
  const found = await passes.found();
  await writeRecords(fileIn(folder, 'images'), passes.images());
  const drawn = draws ? await passes.samples() : undefined;
  if (drawn) await writeRecords(fileIn(folder, 'samples'), drawn.batches);
  if (train) await writeRecords(fileIn(folder, 'training'), passes.training(train));
  const { seed, settings } = drawn ?? {};
  return {
    ...(found && { found }),
    skipped: passes.skipped.map(({ name, reason }) => ({ name, reason })),
    ...(seed !== undefined && settings && { samples: { seed, settings: { ...settings } } }),
  };
}

/**
 * The measures of one process, from the parts of all shards, which are removed then.
 *
 * @param o as the shards were called, and what goes with all
 * @param o.shards how many parts there are, where those of several divisions lie there
 * @throws UserError for a part that is missing, damaged or of another work
 */
export async function mergeEvaluation(
  o: JobOptions & { readonly shards?: number },
): Promise<EvaluateSummary> {
  const started = performance.now();
  const place = placeIn(o.run);
  const measures = await withJob(o, async (job) => {
    const train = job.draws ? await trainingImages(o, job.config) : undefined;
    const { device: _, ...now } = workOf(job, train, o);
    const parts = allParts(place, { shards: o.shards, notes: notesSchema, now });
    const result = await measure(job, storedPasses(place, parts, job, o), o);
    await removeParts(place, parts);
    return result;
  });
  return { ...measures, seconds: (performance.now() - started) / 1000 };
}

function storedPasses(
  place: PartsPlace,
  parts: readonly { shard: Shard; notes: Notes }[],
  job: Job,
  o: JobOptions,
): Passes {
  async function* records<R>(pass: keyof typeof files): AsyncGenerator<R> {
    for (const { shard } of parts) {
      o.signal?.throwIfAborted();
      try {
        yield* readRecords<R>(fileIn(partFolder(place, shard), pass));
      } catch (error) {
        throw error instanceof UserError ? withoutParts(place, [shard], 'damaged') : error;
      }
    }
  }
  const founds = parts.flatMap(({ notes }) => notes.found ?? []);
  return {
    skipped: parts.flatMap(({ notes }) => notes.skipped),
    digest: () => digestOf(job, o),
    async found() {
      if (founds.length === 0) return undefined;
      const sum = (of: 'images' | 'right') => founds.reduce((all, found) => all + found[of], 0);
      return { images: sum('images'), right: sum('right') };
    },
    images: () => records('images'),
    async samples() {
      const { seed, settings } = must(parts[0]?.notes.samples, 'samples');
      return { seed, settings, batches: records<SampleBatch>('samples') };
    },
    training: () => records<TrainingBatch>('training'),
  };
}
