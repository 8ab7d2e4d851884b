/** Images → codes in token files, as they are read. */
import path from 'node:path';
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { type Range, rangeOf, type Shard } from '../base/shard.js';
import { type HostTensors, int32 } from '../base/tensor.js';
import { tokenFile } from '../checkpoint/run.js';
import type { Config } from '../config/schema.js';
import { streamEvalImages, viewsOf } from '../data/batches.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import type { Skipped } from '../data/source.js';
import type { Device, Graph } from '../engine/device.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { type Coded, checked } from './check.js';
import type { Conditioner } from './conditions/condition.js';
import { openConditioner } from './conditions/index.js';
import { codingsOf, type Job } from './subsets.js';
import { openTokenWriter, type TokenWriter } from './token-file.js';
import { type Teller, toldOf } from './told.js';

/** What is known of a token file beside what is in it. */
export interface Written {
  /** Of the split. */
  readonly name: string;
  readonly file: string;
  readonly codings: number;
  /** Row by row: that of an image as often as it has codings. */
  readonly names: readonly string[];
  /** The most different views that an image had. */
  readonly views: number;
  readonly skipped: readonly Skipped[];
  /** How often each code was used, of each grid by its name. */
  readonly counts: Counts;
}

export type Counts = Readonly<Record<string, Float64Array>>;

export const noCounts = (grids: readonly Grid[]): Counts =>
  Object.fromEntries(grids.map(({ name, vocab }) => [name, new Float64Array(vocab)]));

export function countIn({ counts }: { counts: Counts }, codes: HostTensors): void {
  for (const [name, of] of Object.entries(counts))
    for (const code of must(codes[name], name).data) of[code]!++;
}

export const imagesIn = ({ names, codings }: Pick<Written, 'names' | 'codings'>): number =>
  Math.floor(names.length / codings);

/** Which of a split's images a shard takes; all without. */
export const partOf = (shard: Shard | undefined, { indices }: Subset, batch: number): Range =>
  shard ? rangeOf(shard, indices.length, batch) : { from: 0, to: indices.length };

/**
 * @param folder where the files go first
 * @param o.run where they will stand
 * @param o.shard which part of them is written; all unless given
 * @param o.beforeFinishing called when all is encoded
 */
export async function writeTokens(
  { tokenizer, config, classes, subsets, telling, ...job }: Job,
  folder: string,
  o: {
    run: string;
    shard?: Shard;
    device: Device;
    reporter: Reporter;
    signal?: AbortSignal;
    beforeFinishing?: () => Promise<void>;
  },
): Promise<SplitFile[]> {
  const { size } = config.data;
  const batch = inferenceBatch(size);
  const graph = await tokenizer.encoder(batch);
  let conditioner: Conditioner | undefined;
  const files: SplitFile[] = [];
  const parts = Object.entries(subsets).map(([name, subset]) => {
    return { name, subset, part: partOf(o.shard, subset, batch) };
  });
  const progress = o.reporter.progress({
    label: 'Tokenize',
    total: parts.reduce((sum, { part }) => sum + part.to - part.from, 0),
    unit: 'images',
  });
  const info = { tokenizer: tokenizer.sha256, size, classes };
  try {
    conditioner =
      telling && (await openConditioner(telling.record, { ...o, tokenizer: telling.tokenizer, batch }));
    let before = 0;
    for (const { name, subset, part } of parts) {
      const teller = conditioner && { conditioner, maps: telling?.maps?.[name] };
      const place = { file: tokenFile(o.run, name), folder };
      const file = await openSplit(name, place, config, codingsOf(job, name), teller);
      files.push(file);
      const how = { graph, batch, config, seed: job.seed, part, signal: o.signal };
      await encodeSplit(file, subset, how, (done) => progress.update(before + done));
      before += part.to - part.from;
    }
    await o.beforeFinishing?.();
    for (const file of files)
      await file.writer.finish(
        { ...info, names: file.names, codings: file.codings },
        Int32Array.from(file.labels),
      );
    return files;
  } catch (error) {
    for (const { writer } of files) await writer.abort().catch(() => {});
    throw error;
  } finally {
    progress.stop();
    await graph.dispose();
    await conditioner?.dispose();
  }
}

/** A split while it is written. */
export interface SplitFile extends Written {
  readonly writer: TokenWriter;
  readonly teller?: Teller;
  readonly names: string[];
  readonly labels: number[];
  views: number;
  readonly skipped: Skipped[];
  /** The first few images and their codes, for `--check`. */
  readonly first: Coded[];
}

async function openSplit(
  name: string,
  { file, folder }: { file: string; folder: string },
  config: Config,
  codings: number,
  teller?: Teller,
): Promise<SplitFile> {
  const grids = gridsOf(config);
  const written = path.join(folder, path.basename(file));
  const writer = await openTokenWriter(written, grids, teller?.conditioner.record);
  return {
    name,
    file,
    writer,
    teller,
    codings,
    names: [],
    labels: [],
    views: 1,
    skipped: [],
    counts: noCounts(grids),
    first: [],
  };
}

async function encodeSplit(
  split: SplitFile,
  subset: Subset,
  o: { graph: Graph; batch: number; config: Config; seed: number; part: Range; signal?: AbortSignal },
  onProgress: (done: number) => void,
): Promise<void> {
  const { graph, batch, config, seed, part, signal } = o;
  const { size, flip } = config.data;
  const grids = gridsOf(config);
  const maps = split.teller?.maps;
  const viewsOfImage = viewsOf(split.codings, { size, flip, seed });
  const stream = streamEvalImages(subset, {
    ...{ size, batchSize: batch, part, skipped: split.skipped, signal },
    views: {
      each: split.codings,
      of: (picture, name) => {
        const crops = viewsOfImage(picture, name);
        split.views = Math.max(split.views, new Set(crops.map((crop) => JSON.stringify(crop))).size);
        return crops;
      },
    },
    maps: maps && ((name, picture) => maps.of(name, picture)),
  });
  for await (const batchOf of stream) {
    const { images, names, labels } = batchOf;
    const output = await graph.run({ images: padBatch(images, batch) });
    const codes = rowsOf(grids, output, 0, names.length);
    await split.writer.append(codes, split.teller && (await toldOf(split.teller, batchOf)));
    countIn(split, codes);
    for (let i = 0; i < names.length && split.first.length < checked; i++) {
      split.first.push({ image: imageAt(images, i), codes: rowsOf(grids, output, i, i + 1) });
    }
    split.names.push(...names);
    split.labels.push(...labels);
    onProgress(imagesIn(split) + split.skipped.length);
  }
}

/** Codes of the images `from` to `to` − 1, [n, h, w] of each grid. */
function rowsOf(grids: readonly Grid[], all: HostTensors, from: number, to: number): HostTensors {
  return Object.fromEntries(
    grids.map(({ name, height, width }) => {
      const area = height * width;
      const codes = must(all[name], name).data as Int32Array;
      return [name, int32([to - from, height, width], codes.slice(from * area, to * area))];
    }),
  );
}
