/** `vqgen tokenize` by several processes: the part of each, and the token files that all parts make. */
import path from 'node:path';
import * as z from 'zod';
import { expected, UserError } from '../base/errors.js';
import { writeFilesAtomic } from '../base/files.js';
import { must, pairs } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { version } from '../base/root.js';
import { type Shard, shardText } from '../base/shard.js';
import { type HostTensors, int32 } from '../base/tensor.js';
import { occupying } from '../checkpoint/begin.js';
import { checkContent } from '../checkpoint/content-sum.js';
import { soundCheckpoint } from '../checkpoint/integrity.js';
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
import { readRunConfig, runPaths, tokenFile, writeRunConfig } from '../checkpoint/run.js';
import { openSafetensors } from '../checkpoint/safetensors.js';
import { parseConfig } from '../config/layers.js';
import { listSum } from '../data/dataset.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { describeSkipped, noneReadable } from '../data/source.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { keeping, namedPlace, namedTokenizer } from './conditions/tokenizer.js';
import { type Counts, countIn, imagesIn, noCounts, partOf, type Written, writeTokens } from './encode.js';
import { type Job, type JobOptions, openJob } from './subsets.js';
import { openTokenReader, openTokenWriter, type TokenReader, type TokenWriter } from './token-file.js';
import { checkTakesTokens, summarise, type TokenizeSummary } from './tokenize.js';

export interface TokenizeShardSummary {
  /** `3/8` */
  readonly shard: string;
  readonly images: number;
  readonly skipped: number;
  readonly tokens: number;
  readonly seconds: number;
  /** The folder of the part. */
  readonly file: string;
  /** Whether it was there already. */
  readonly already: boolean;
}

const splitNotes = z.object({
  name: z.string(),
  codings: z.int().positive(),
  images: z.int().nonnegative(),
  views: z.int().positive(),
  skipped: z.array(z.object({ name: z.string(), reason: z.string() })),
  origin: z.object({ where: z.string(), value: z.string() }),
});

const notesSchema = z.object({
  splits: z.array(splitNotes).min(1),
  /** Sections of the config, where `--set` changed them. */
  config: z.looseObject({}).optional(),
});

type Notes = z.infer<typeof notesSchema>;

const placeIn = ({ run, split }: { run: string; split?: string }): PartsPlace => ({
  home: path.join(runPaths(run).tokens, 'parts'),
  prefix: split === undefined ? '' : `${split}-`,
  command: 'vqgen tokenize',
});

const workOf = ({ tokenizer, subsets, codings, seed, telling, config }: Job, o: JobOptions): Work => ({
  'version of vqgen': version,
  device: o.device.name,
  tokenizer: tokenizer.sha256,
  'list of images': listSum(subsets),
  codings,
  ...(codings > 1 && { seed }),
  condition: telling?.record ?? null,
  'change of the config': o.set?.length ? { tokenize: config.tokenize, prior: config.prior } : null,
});

/**
 * Writes the tokens of the shard's own images into a part of the run, whole or not at all; nothing is done where it
 * is there already.
 *
 * @throws UserError as `tokenize`
 */
export async function tokenizeShard(
  o: JobOptions & { readonly shard: Shard; readonly check?: boolean; readonly takeOver?: boolean },
): Promise<TokenizeShardSummary> {
  const { shard, run, reporter } = o;
  if (o.check) {
    const next = `Without it, then vqgen reconstruct shows some. --shard 1/1 tokenizes all here.`;
    throw expected('nothing', '--check', `shard ${shardText(shard)} of several`, next);
  }
  checkTakesTokens(run);
  const place = placeIn(o);
  const within = partFolder(place, shard);
  const how = { part: 'tokens', command: `vqgen tokenize --shard ${shardText(shard)}` } as const;
  return occupying({ ...o, ...how, exists: o.tokenizer === undefined, within }, async () => {
    const started = performance.now();
    const job = await openJob(o);
    const work = workOf(job, o);
    const before = await soundPart(place, shard, work);
    if (before) reporter.note(`Part ${shardText(shard)} is complete already: ${within}`);
    else {
      reporter.note(`Shard ${shardText(shard)}: ${describeRanges(job, shard)}`);
      await writePart(place, shard, work, (folder) => writeAll(job, folder, o));
    }
    const { splits } = before ?? must(readPart(place, shard, notesSchema), 'part').notes;
    const sum = (of: (split: Notes['splits'][number]) => number) => splits.reduce((all, s) => all + of(s), 0);
    const skipped = splits.flatMap((split) => split.skipped);
    const images = sum((split) => split.images);
    if (skipped.length > 0) reporter.warn(describeSkipped(skipped, images + skipped.length));
    return {
      ...{ shard: shardText(shard), images, skipped: skipped.length },
      tokens: sum((split) => split.images * split.codings) * cellsIn(gridsOf(job.config)),
      seconds: (performance.now() - started) / 1000,
      ...{ file: within, already: before !== undefined },
    };
  });
}

async function writeAll(job: Job, folder: string, o: JobOptions & { readonly shard: Shard }): Promise<Notes> {
  const files = await writeTokens(job, folder, o);
  const { tokenize, prior } = job.config;
  return {
    splits: files.map(({ name, codings, views, skipped, names }) => {
      const { origin } = must(job.subsets[name], name).source;
      return { name, codings, images: imagesIn({ names, codings }), views, skipped, origin };
    }),
    ...(o.set?.length && { config: { tokenize, prior } }),
  };
}

function describeRanges({ subsets, config }: Job, shard: Shard): string {
  const ranges = Object.entries(subsets).map(([name, subset]) => {
    const { from, to } = partOf(shard, subset, inferenceBatch(config.data.size));
    const which = to > from ? `images ${from + 1} to ${to}` : 'no image';
    return `${which} of ${subset.indices.length} (${name})`;
  });
  return ranges.join(', ');
}

/** What is noted of the part; undefined where it is not there, is damaged, or is of another work. */
async function soundPart(place: PartsPlace, shard: Shard, work: Work): Promise<Notes | undefined> {
  const found = readPart(place, shard, notesSchema);
  if (!found || otherThan(work, found.work) !== undefined) return undefined;
  for (const { name } of found.notes.splits)
    if (!(await isSound(path.join(partFolder(place, shard), `${name}.safetensors`)))) return undefined;
  return found.notes;
}

async function isSound(file: string): Promise<boolean> {
  try {
    const opened = await openSafetensors(file);
    await checkContent(opened, file).finally(() => opened.close());
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

export interface MergeOptions {
  readonly run: string;
  readonly split?: string;
  /** How many parts there are, where those of several divisions lie there. */
  readonly shards?: number;
  /** Whether the run has no tokenizer of its own: an exported one made the parts. */
  readonly exported?: boolean;
  readonly takeOver?: boolean;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

/**
 * The token files that one process writes, byte for byte, from the parts of all shards, which are removed then. Rows
 * are copied as they are read: memory does not grow with them.
 *
 * @throws UserError for a part that is missing, damaged or of another work
 */
export async function mergeTokens(o: MergeOptions): Promise<TokenizeSummary> {
  const { run, reporter } = o;
  checkTakesTokens(run);
  const command = 'vqgen tokenize --merge';
  return occupying({ ...o, part: 'tokens', command, exists: true }, async () => {
    const started = performance.now();
    const config = o.exported ? undefined : readRunConfig(run);
    const place = placeIn(o);
    const sound = config && (await soundCheckpoint(runPaths(run).stage1)).sound;
    const now = sound && { tokenizer: sound.sha256 };
    const parts = allParts(place, { shards: o.shards, notes: notesSchema, now });
    const { notes } = must(parts[0], 'part');
    const changed =
      notes.config && config && parseConfig({ ...config, ...notes.config }, runPaths(run).config);
    const told = changed ?? config;
    const at = told && namedPlace(told, run);
    const files: Merged[] = [];
    await keeping(at === undefined ? undefined : await namedTokenizer(at), run, () =>
      writeFilesAtomic(runPaths(run).tokens, async (folder) => {
        for (const { name } of notes.splits)
          files.push(await mergeSplit(name, folder, { ...o, place, parts }));
        if (changed) await writeRunConfig(run, changed);
      }),
    );
    await removeParts(place, parts);
    const { grids } = must(files[0], 'file');
    return summarise(files, grids, reporter, (performance.now() - started) / 1000);
  });
}

type Merged = Written & { readonly grids: readonly Grid[] };

/** Of each grid by its name. */
const tensorsOf = (grids: readonly Grid[], codes: readonly (Uint16Array | Uint32Array)[]): HostTensors =>
  Object.fromEntries(
    pairs(grids, codes).map(([{ name, height, width }, data]) => [
      name,
      int32([data.length / height / width, height, width], Int32Array.from(data)),
    ]),
  );

/** Rows that are copied at a time. */
const rowsAtOnce = 4096;

async function mergeSplit(
  name: string,
  folder: string,
  o: MergeOptions & { place: PartsPlace; parts: ReturnType<typeof allParts<Notes>> },
): Promise<Merged> {
  const { place, parts, reporter, signal } = o;
  const own = parts.map(({ shard, notes }) => {
    const file = path.join(partFolder(place, shard), `${name}.safetensors`);
    return {
      shard,
      file,
      of: must(
        notes.splits.find((split) => split.name === name),
        name,
      ),
    };
  });
  const { codings, origin } = must(own[0], 'part').of;
  const skipped = own.flatMap(({ of }) => of.skipped);
  const total = own.reduce((sum, { of }) => sum + of.images * codings, 0);
  if (total === 0) throw noneReadable({ origin }, skipped);
  const progress = reporter.progress({ label: `Merge ${name}`, total, unit: 'rows' });
  const [names, labels]: [string[], number[]] = [[], []];
  let into: { writer: TokenWriter; info: TokenReader['info']; counts: Counts } | undefined;
  try {
    for (const { shard, file } of own) {
      const reader = await openTokenReader(file, '').catch((error) => {
        throw error instanceof UserError ? withoutParts(place, [shard], 'damaged') : error;
      });
      try {
        const { info, count } = reader;
        const open = async () => {
          const written = path.join(folder, `${name}.safetensors`);
          const writer = await openTokenWriter(written, info.grids, info.condition);
          return { writer, info, counts: noCounts(info.grids) };
        };
        into ??= await open();
        for (let at = 0; at < count; at += rowsAtOnce) {
          signal?.throwIfAborted();
          const { codes, told } = await reader.rows(at, rowsAtOnce);
          const tensors = tensorsOf(info.grids, codes);
          countIn(into, tensors);
          await into.writer.append(tensors, told && Int32Array.from(told));
          progress.update(names.length + at);
        }
        names.push(...info.names);
        labels.push(...reader.labels);
      } finally {
        await reader.close();
      }
    }
    const { writer, info, counts } = must(into, 'part');
    await writer.finish({ ...info, names }, Int32Array.from(labels));
    const views = Math.max(...own.map(({ of }) => of.views));
    const { grids } = info;
    return { name, file: tokenFile(o.run, name), codings, names, views, skipped, counts, grids };
  } catch (error) {
    await into?.writer.abort().catch(() => {});
    throw error;
  } finally {
    progress.stop();
  }
}
