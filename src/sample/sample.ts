/** `vqgen sample`: codes drawn from the prior, decoded by the tokenizer, written as PNGs and one grid. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { stream } from '../base/rng.js';
import { float32, int32 } from '../base/tensor.js';
import { readRunConfig, runPaths } from '../checkpoint/run.js';
import { latestCheckpoint } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { arranged, captionsOf, imageAt, mostColumns, mostPictures, writeGrid } from '../data/grid.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { writePng } from '../data/pictures.js';
import type { Device, Graph, Precision } from '../engine/device.js';
import { codeSide } from '../stage1-vqgan/model.js';
import { decodeProgram } from '../stage1-vqgan/programs.js';
import { decodeLoop, guided } from '../stage2-transformer/autoregressive.js';
import { type Choice, choose } from '../stage2-transformer/choose.js';
import { type CachedModel, openCachedModel } from '../stage2-transformer/gpt/cache.js';
import type { GptSizes } from '../stage2-transformer/gpt/gpt.js';
import { loadModels } from '../stage2-transformer/model.js';
import { type ClassOf, chosenClasses, inTurn } from './classes.js';
import { type Int8Loss, reportInt8Loss } from './int8-loss.js';
import { checkOutOrRun, obstacleInSamples, samplesName } from './out.js';

export interface SampleOptions {
  /** Where the pictures go and, unless `models` are given, whose models draw. */
  readonly run: string;
  readonly models?: Models;
  readonly n: number;
  /** These and the seed are the config's unless given. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly cfgScale?: number;
  readonly seed?: number;
  /** Names of the classes to draw, in turn; every class that the prior knows unless given. */
  readonly classes?: readonly string[];
  /** Of the prior's products; `f32` unless given. */
  readonly precision?: Precision;
  /** Where the grid goes; beside the pictures unless given. */
  readonly out?: string;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

export interface SampleSummary {
  readonly images: number;
  readonly grid: string;
  /** The single pictures; none where only `out` can be written. */
  readonly files: readonly string[];
  readonly seed: number;
  readonly seconds: number;
  readonly tokens_per_second: number;
  /** The class of each image; only of a prior that knows classes. */
  readonly classes?: readonly string[];
  /** Only with int8 weights: what they cost, or null where there is nothing to measure it on. */
  readonly int8?: Int8Loss | null;
}

/** Sequences drawn at a time: always as many, so that an image does not depend on how many were asked for. */
export const sampleBatch = 16;

/** @throws UserError for a run without a trained tokenizer and prior, or settings out of range */
export async function sample(o: SampleOptions): Promise<SampleSummary> {
  if (!Number.isInteger(o.n) || o.n < 1) throw expected('a positive whole number', '--n', o.n);
  checkOutOrRun(o.out, o.run);
  const obstacle = obstacleInSamples(o.run);
  if (obstacle)
    o.reporter.warn(`Only the grid is written, no single pictures: ${o.run} takes none, ${obstacle}.`);
  const started = performance.now();
  let drawing = 0;
  const sampler = await openSampler(o);
  const { seed, size, tokens, int8, classes } = sampler;
  const batches = Math.ceil(o.n / sampleBatch);
  const progress = o.reporter.progress({ label: 'Sample', total: batches * tokens, unit: 'places' });
  const folder = path.join(runPaths(o.run).samples, sampler.name);
  const digits = Math.max(4, `${o.n - 1}`.length);
  const shown: Float32Array[] = [];
  const files: string[] = [];
  const labels: number[] = [];
  try {
    for (let first = 0; first < o.n; first += sampleBatch) {
      const drawn = await sampler.draw(first, (place) =>
        progress.update((first / sampleBatch) * tokens + place + 1),
      );
      drawing += drawn.seconds;
      for (const [row, image] of drawn.images.slice(0, o.n - first).entries()) {
        if (!obstacle) {
          const file = path.join(folder, `${`${first + row}`.padStart(digits, '0')}.png`);
          await writePng(file, float32([size, size, 3], image));
          files.push(file);
        }
        labels.push(drawn.labels[row]!);
        if (shown.length < mostPictures(size)) shown.push(image);
      }
    }
  } finally {
    progress.stop();
    await sampler.dispose();
  }
  if (!obstacle) await tellOfOthers(folder, files, o.reporter);
  const grid = o.out ?? path.join(folder, 'grid.png');
  if (shown.length < o.n) o.reporter.note(`The grid shows the first ${shown.length} of ${o.n} images.`);
  await writeGridOf(grid, shown, { size, labels, classes, reporter: o.reporter });
  return {
    images: o.n,
    grid,
    files,
    seed,
    seconds: (performance.now() - started) / 1000,
    tokens_per_second: (o.n * tokens) / drawing,
    ...(classes.length > 0 && { classes: labels.map((label) => classes[label]!) }),
    ...(int8 !== undefined && { int8 }),
  };
}

/** A trained prior and its decoder, not opened yet. */
export interface Models {
  readonly config: Config;
  readonly sizes: GptSizes;
  /** Names of the classes that the prior knows. */
  readonly classes: readonly string[];
  open(o: {
    /** Sequences at a time. */
    readonly batch: number;
    /** Images at a time. */
    readonly decodeBatch: number;
  }): Promise<{ model: CachedModel; decoder: Graph; int8?: Int8Loss | null }>;
}

export interface Drawn {
  readonly images: Float32Array[];
  readonly labels: Int32Array;
  readonly seconds: number;
}

/** A trained prior and its decoder, ready to draw. */
export interface Sampler {
  readonly seed: number;
  /** Of the folder of what it draws. */
  readonly name: string;
  readonly choice: Choice;
  /** Side of an image, pixels. */
  readonly size: number;
  /** Codes of an image. */
  readonly tokens: number;
  /** Names of the classes that the prior knows. */
  readonly classes: readonly string[];
  /** 1 without guidance. */
  readonly cfgScale: number;
  readonly int8?: Int8Loss | null;
  /**
   * The images `first` … `first + sampleBatch − 1` of the seed, [S, S, 3] in about [−1, 1], the class of each, an index into `classes` (−1 of a
   * prior without), and how long their codes took.
   *
   * @param first a multiple of `sampleBatch`
   * @param onPlace called after each place of the code grid
   */
  draw(first: number, onPlace: (place: number) => void): Promise<Drawn>;
  dispose(): Promise<void>;
}

export type SamplerOptions = Omit<SampleOptions, 'n' | 'out'> & {
  /** In place of `classes`. */
  readonly classOf?: ClassOf;
};

/** @throws UserError as `sample` */
export async function openSampler(o: SamplerOptions): Promise<Sampler> {
  const { config, sizes, classes, open } = o.models ?? (await modelsOf(o));
  const choice = choiceOf(o, config.sample, config.stage1.codes);
  const seed = o.seed ?? config.seed;
  const { size } = config.data;
  const side = codeSide(config);
  const decodeBatch = inferenceBatch(size);
  const chosen = chosenClasses(o.classes, classes);
  const classOf = classes.length > 0 ? (o.classOf ?? inTurn(chosen)) : undefined;
  const cfgScale = guidanceOf(o.cfgScale, config, classes);
  const batch = cfgScale === 1 ? sampleBatch : 2 * sampleBatch;
  const { model, decoder, int8 } = await open({ batch, decodeBatch });
  const { tokens, codes: start } = sizes;
  const { nextLogits } = model;
  return {
    seed,
    name: samplesName(
      { seed, choice, cfgScale, precision: o.precision, classes: chosen.map((label) => classes[label]!) },
      usualOf(config, classes),
    ),
    choice,
    size,
    tokens,
    classes,
    cfgScale,
    int8,
    async draw(first, onPlace) {
      const before = performance.now();
      // The last batch draws images that nobody asked for, too: a padded place would be another place.
      const streams = Array.from({ length: sampleBatch }, (_, row) => stream(seed, 'sample', first + row));
      const labels = Int32Array.from({ length: sampleBatch }, (_, row) => classOf?.(first + row) ?? -1);
      const codes = await decodeLoop({
        batch: sampleBatch,
        tokens,
        start: labels.map((label) => start + 1 + label),
        nextLogits: cfgScale === 1 ? nextLogits : guided(nextLogits, { scale: cfgScale, start }),
        pick: (row, logits) => choose(logits, choice, streams[row]!.uniform()),
        onToken: onPlace,
        signal: o.signal,
      });
      const seconds = (performance.now() - before) / 1000;
      return { seconds, labels, images: await decodeImages(decoder, codes, { batch: decodeBatch, side }) };
    },
    async dispose() {
      await model.dispose();
      await decoder.dispose();
    },
  };
}

/** A run's. Nothing but `open` keeps the weights, of which the sessions have copies. */
async function modelsOf({ run, device, precision, reporter, signal, ...o }: SamplerOptions): Promise<Models> {
  const config = readRunConfig(run);
  const { prior, tokenizer } = await loadModels(run);
  const { sizes, classes } = prior;
  chosenClasses(o.classes, classes); // A mistake is told before anything else is.
  const newest = latestCheckpoint(runPaths(run).prior)!.step;
  if (prior.step < newest) {
    reporter.note(
      `The prior is that of step ${prior.step}, the best by validation; the newest is of step ${newest}.`,
    );
  }
  return {
    config,
    sizes,
    classes,
    async open({ batch, decodeBatch }) {
      const int8 =
        precision === 'int8'
          ? await reportInt8Loss({ run, config, prior, tokenizer, device, reporter, signal })
          : undefined;
      const decoder = await device.prepare(decodeProgram(config, tokenizer.tensors, decodeBatch));
      try {
        const model = await openCachedModel({ sizes, weights: prior.tensors, batch, precision, device });
        return { decoder, model, int8 };
      } catch (error) {
        await decoder.dispose();
        throw error;
      }
    },
  };
}

/** Pictures of an earlier call stay, and are not of this one. */
async function tellOfOthers(folder: string, files: readonly string[], { note }: Reporter): Promise<void> {
  const others = (await fs.readdir(folder)).filter(
    (name) => /^\d+\.png$/.test(name) && !files.includes(path.join(folder, name)),
  );
  if (others.length > 0) note(`${folder} also holds ${others.length} pictures of an earlier call.`);
}

/** codes [B, T] → images [S, S, 3], decoded in batches of one size. */
async function decodeImages(
  decoder: Graph,
  codes: Int32Array,
  { batch, side }: { batch: number; side: number },
): Promise<Float32Array[]> {
  const images: Float32Array[] = [];
  for (let at = 0; at < codes.length; at += batch * side * side) {
    const part = codes.slice(at, at + batch * side * side);
    const decoded = await decoder.run({ codes: int32([batch, side, side], part) });
    for (let i = 0; i < batch; i++) images.push(imageAt(decoded.images!, i));
  }
  return images;
}

/** Every class in columns of its own, under its name. */
async function writeGridOf(
  file: string,
  images: readonly Float32Array[],
  o: {
    size: number;
    /** Of the images and more. */
    labels: readonly number[];
    classes: readonly string[];
    reporter: Reporter;
  },
): Promise<void> {
  const labels = o.labels.slice(0, images.length);
  const { columns, cells } = arranged(labels, mostColumns(o.size));
  const drawn = [...new Set(o.labels)].flatMap((label) => o.classes[label] ?? []);
  const names = captionsOf(drawn, o.size);
  const nameOf = (cell: number | undefined): string | undefined =>
    cell === undefined ? undefined : names[drawn.indexOf(o.classes[labels[cell]!] ?? '')];
  const captions = cells.map(nameOf).map((name, i, all) => {
    const before = [all[i - columns], i % columns > 0 ? all[i - 1] : undefined];
    return before.includes(name) ? undefined : name;
  });
  const numbered = names.flatMap((name, i) => (name === `#${i + 1}` ? `${name} ${drawn[i]}` : []));
  if (numbered.length > 0) o.reporter.note(`In the grid: ${numbered.join(', ')}.`);
  await writeGrid(
    file,
    cells.map((cell) => (cell === undefined ? undefined : images[cell])),
    { size: o.size, columns, captions },
  );
}

/** How strongly a class acts. @throws UserError where the prior cannot draw without class beside with */
function guidanceOf(given: number | undefined, config: Config, classes: readonly string[]): number {
  const scale = given ?? config.sample.cfg_scale;
  if (!(scale >= 0 && scale < Number.POSITIVE_INFINITY)) {
    throw expected('a number of at least 0', '--cfg-scale', scale, '1 is no guidance.');
  }
  if (scale === 1 || (classes.length === 0 && given === undefined)) return 1;
  const next = 'Guidance goes from what a prior draws without class to what it draws with one.';
  if (classes.length === 0) {
    throw expected('1', '--cfg-scale', `${scale}, where the prior was trained without classes`, next);
  }
  if (config.prior.class_dropout === 0) {
    throw expected('1', '--cfg-scale', `${scale}, where prior.class_dropout was 0`, next);
  }
  return scale;
}

/** What is drawn of a run unless a call says otherwise. */
function usualOf({ sample }: Config, classes: readonly string[]) {
  const { temperature, top_k: topK, top_p: topP } = sample;
  const cfgScale = classes.length > 0 ? sample.cfg_scale : 1;
  return { choice: { temperature, topK, topP }, cfgScale, classes };
}

function choiceOf(
  o: Pick<SampleOptions, 'temperature' | 'topK' | 'topP'>,
  defaults: { temperature: number; top_k: number; top_p: number },
  codes: number,
): Choice {
  const { temperature = defaults.temperature, topK = defaults.top_k, topP = defaults.top_p } = o;
  if (!(temperature > 0))
    throw expected(
      'a number above 0',
      '--temperature',
      temperature,
      'Near 0 always draws the likeliest code.',
    );
  if (!Number.isInteger(topK) || topK < 0 || topK > codes) {
    throw expected(`a whole number from 0 to ${codes}`, '--top-k', topK, '0 draws among all codes.');
  }
  if (!(topP > 0 && topP <= 1)) {
    throw expected('a number above 0 and up to 1', '--top-p', topP, '1 draws among all codes.');
  }
  return { temperature, topK, topP };
}
