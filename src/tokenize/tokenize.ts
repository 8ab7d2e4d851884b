/** `vqgen tokenize`: images → token files. Streams: what is in memory is a batch and the few images decoded ahead. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFilesAtomic } from '../base/files.js';
import { must } from '../base/lookup.js';
import { obstacleIn } from '../base/obstacles.js';
import type { Reporter } from '../base/progress.js';
import { type HostTensors, int32 } from '../base/tensor.js';
import { occupying } from '../checkpoint/begin.js';
import { runPaths, tokenFile, writeRunConfig } from '../checkpoint/run.js';
import { changeConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { streamEvalImages, viewsOf } from '../data/batches.js';
import { everyImage, readableSplits, type Splits, type Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import { layoutHint } from '../data/layout.js';
import { describeSkipped, type Skipped } from '../data/source.js';
import type { Device, Graph } from '../engine/device.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { checkCodes, gridsOf } from '../stage1-vqgan/model.js';
import { checkPictures } from '../stage1-vqgan/moved.js';
import { changesSince, namesIn } from '../stage1-vqgan/same-pictures.js';
import { codebookUse } from '../train/book-use.js';
import { collapseWarning } from '../train/usage-watch.js';
import { type Coded, checked, checkFile, writeCheck } from './check.js';
import type { Conditioner } from './conditions/condition.js';
import { openConditioner } from './conditions/index.js';
import { keeping } from './conditions/tokenizer.js';
import { openTokenWriter, sizesOf, type TokenWriter } from './token-file.js';
import { type Tokenizer, tokenizerOf } from './tokenizer.js';
import { type Teller, type Telling, tellingOf, toldOf } from './told.js';

export interface TokenizeOptions {
  /** Where the files go and, unless `tokenizer` is given, whose tokenizer it is. */
  readonly run: string;
  readonly tokenizer?: Tokenizer;
  /** A folder; the word `dataset`, or nothing, is the tokenizer's own data set. */
  readonly dataset?: string;
  /** Puts every image into one file of this name; without it `train` and `val`. */
  readonly split?: string;
  /** Codings of each training image; the config's unless given. */
  readonly codings?: number;
  /** Of the crops among them; the config's unless given. */
  readonly seed?: number;
  /** Changes of the config's sections `tokenize` and `prior`, which the run keeps. */
  readonly set?: readonly string[];
  /** Also decodes a few and writes originals above decoded. */
  readonly check?: boolean;
  /** As a lock's. */
  readonly takeOver?: boolean;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

export interface TokenizeSummary {
  readonly images: number;
  readonly skipped: number;
  readonly tokens: number;
  /** Of several grids the largest. */
  readonly vocab: number;
  readonly height: number;
  readonly width: number;
  /** Share of the codes that some image uses, of all grids together. */
  readonly usage: number;
  /** Of several. */
  readonly grids?: readonly (Grid & { readonly usage: number })[];
  readonly seconds: number;
  readonly file: string;
}

/** @throws UserError for a run without a tokenizer, or a data set without a readable image */
export async function tokenize(o: TokenizeOptions): Promise<TokenizeSummary> {
  checkTakesTokens(o.run);
  const exists = o.tokenizer === undefined;
  return occupying({ ...o, part: 'tokens', command: 'vqgen tokenize', exists }, () => tokenizeAll(o));
}

async function tokenizeAll(o: TokenizeOptions): Promise<TokenizeSummary> {
  const started = performance.now();
  const tokenizer = o.tokenizer ?? (await tokenizerOf(o.run, o.device, o.reporter));
  const config = changedConfig(tokenizer, o);
  checkCodes(config, o.run);
  const { classes, subsets } = await chooseSubsets(config, o);
  const codings = chooseCodings(config, o);
  const telling = await tellingOf(config, subsets, o);

  const work = { tokenizer, config, classes, subsets, codings, telling };
  const files: SplitFile[] = [];
  await keeping(telling?.tokenizer, o.run, () =>
    writeFilesAtomic(runPaths(o.run).tokens, async (folder) => {
      files.push(...(await writeTokens(work, folder, o)));
    }),
  );
  if (o.check)
    for (const { name, first } of files) await writeCheck(checkFile(o.run, name), first, tokenizer);
  return summarise(files, config, o, (performance.now() - started) / 1000);
}

/** What goes into token files. */
interface Work {
  readonly tokenizer: Tokenizer;
  readonly config: Config;
  readonly classes: readonly string[];
  readonly subsets: Readonly<Record<string, Subset>>;
  /** Of training images. */
  readonly codings: number;
  readonly telling?: Telling;
}

/** @param folder where the files go first */
async function writeTokens(
  { tokenizer, config, classes, subsets, codings, telling }: Work,
  folder: string,
  o: TokenizeOptions,
): Promise<SplitFile[]> {
  const { size } = config.data;
  const batch = inferenceBatch(size);
  const graph = await tokenizer.encoder(batch);
  let conditioner: Conditioner | undefined;
  const files: SplitFile[] = [];
  const progress = o.reporter.progress({
    label: 'Tokenize',
    total: Object.values(subsets).reduce((sum, { indices }) => sum + indices.length, 0),
    unit: 'images',
  });
  const info = { tokenizer: tokenizer.sha256, size, classes };
  try {
    conditioner =
      telling && (await openConditioner(telling.record, { ...o, tokenizer: telling.tokenizer, batch }));
    let before = 0;
    for (const [name, subset] of Object.entries(subsets)) {
      const teller = conditioner && { conditioner, maps: telling?.maps?.[name] };
      const place = { file: tokenFile(o.run, name), folder };
      const file = await openSplit(name, place, config, name === trainSplit ? codings : 1, teller);
      files.push(file);
      const seed = o.seed ?? config.seed;
      await encodeSplit(file, subset, { graph, batch, config, seed, signal: o.signal }, (done) =>
        progress.update(before + done),
      );
      before += subset.indices.length;
    }
    if (o.set?.length) await writeRunConfig(o.run, config);
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

/** @throws UserError for what cannot be set, or is not this run's */
function changedConfig({ config }: Tokenizer, { set = [], tokenizer }: TokenizeOptions): Config {
  const [first] = set;
  if (first === undefined) return config;
  if (tokenizer) throw expected('nothing', '--set with --model', first, 'Exported files have their config.');
  const other = set.find((item) => item.startsWith('prior.') && !item.startsWith('prior.condition'));
  if (other === undefined) return changeConfig(config, { set, sections: ['tokenize', 'prior'] });
  throw expected(
    'a key of tokenize or prior.condition',
    '--set',
    other,
    'The others of the prior go with vqgen train-prior.',
  );
}

/** @throws UserError where nothing can be written, before the work */
function checkTakesTokens(run: string): void {
  const obstacle = obstacleIn(runPaths(run).tokens) ?? obstacleIn(run);
  if (!obstacle) return;
  const next = 'Tokens go into the run: copy it to where you may write, and name the copy.';
  throw expected('a run that takes tokens', '--run', `${run}, ${obstacle}`, next);
}

/** The word for the images that the tokenizer was trained on. */
const ownWord = 'dataset';
const elsewhere = `The ${ownWord} in the working folder is named ./${ownWord}.`;

/** What goes into which file. */
async function chooseSubsets(
  config: Config,
  { run, dataset = ownWord, split, tokenizer, reporter, signal }: TokenizeOptions,
): Promise<{ classes: readonly string[]; subsets: Record<string, Subset> }> {
  const own = dataset === ownWord;
  if (own && tokenizer) {
    throw expected(
      'a folder of images',
      'DATASET',
      'none',
      `An exported tokenizer does not know what it was trained on.${existsSync(ownWord) ? ` ${elsewhere}` : ''}`,
    );
  }
  if (own) checkPictures(run, config.data);
  const { dir, val_dir, ...rest } = config.data;
  if (own && existsSync(ownWord) && dir !== path.resolve(ownWord)) {
    reporter.note(`The images are those of the run: ${dir ?? 'the built-in pictures'}. ${elsewhere}`);
  }
  const data = own ? config.data : { ...rest, dir: dataset, val_dir: null };
  const splits: Splits = await readableSplits(data, own ? 'data.dir' : 'DATASET', {
    reporter,
    signal,
  });
  const { classes, train, val } = splits;
  for (const { changes } of own && dir !== null ? changesSince(run, namesIn(splits)) : []) {
    reporter.warn(
      `Of the images that the tokenizer was trained on ${changes}: they are taken as they are now.`,
    );
  }
  if (data.dir !== null) {
    const hint = layoutHint(data.dir, train.source.names, {
      one: (place) => `vqgen tokenize ${place}`,
      two: (place, other) => `vqgen tokenize ${place} --split train, then ${other} with --split val`,
      split: data.val_dir === null,
    });
    if (hint) reporter.note(hint);
  }
  if (split === undefined) return { classes, subsets: { train, val } };
  if (!/^[\w-][\w.-]*$/.test(split)) {
    throw expected(
      'a file name of letters, digits, dots and dashes',
      '--split',
      split,
      'For example: --split test',
    );
  }
  return { classes, subsets: { [split]: everyImage(train.source) } };
}

/** Which split of several codings an image has: validation looks at what evaluation looks at. */
const trainSplit = 'train';

/** @throws UserError for several codings of another split */
function chooseCodings(config: Config, { codings, split = trainSplit }: TokenizeOptions): number {
  if (split === trainSplit || codings === undefined || codings === 1)
    return codings ?? config.tokenize.codings;
  throw expected(
    '1',
    '--codings',
    `${codings} with --split ${split}`,
    'Only training images have several codings: leave one of the two out.',
  );
}

/** A split while it is written. */
interface SplitFile {
  readonly name: string;
  readonly file: string;
  readonly writer: TokenWriter;
  readonly teller?: Teller;
  readonly codings: number;
  /** Row by row: that of an image as often as it has codings. */
  readonly names: string[];
  readonly labels: number[];
  /** The most different views that an image had. */
  views: number;
  readonly skipped: Skipped[];
  /** How often each code was used, of each grid by its name. */
  readonly counts: Readonly<Record<string, Float64Array>>;
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
    counts: Object.fromEntries(grids.map(({ name, vocab }) => [name, new Float64Array(vocab)])),
    first: [],
  };
}

async function encodeSplit(
  split: SplitFile,
  subset: Subset,
  o: { graph: Graph; batch: number; config: Config; seed: number; signal?: AbortSignal },
  onProgress: (done: number) => void,
): Promise<void> {
  const { graph, batch, config, seed } = o;
  const { size, flip } = config.data;
  const grids = gridsOf(config);
  const maps = split.teller?.maps;
  const viewsOfImage = viewsOf(split.codings, { size, flip, seed });
  const stream = streamEvalImages(subset, {
    ...{ size, batchSize: batch, skipped: split.skipped, signal: o.signal },
    views: (picture, name) => {
      const crops = viewsOfImage(picture, name);
      split.views = Math.max(split.views, new Set(crops.map((crop) => JSON.stringify(crop))).size);
      return crops;
    },
    maps: maps && ((name, picture) => maps.of(name, picture)),
  });
  for await (const batchOf of stream) {
    const { images, names, labels } = batchOf;
    const output = await graph.run({ images: padBatch(images, batch) });
    const codes = rowsOf(grids, output, 0, names.length);
    await split.writer.append(codes, split.teller && (await toldOf(split.teller, batchOf)));
    for (const [name, counts] of Object.entries(split.counts))
      for (const code of must(codes[name], name).data) counts[code]!++;
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

const imagesIn = ({ names, codings }: SplitFile): number => Math.floor(names.length / codings);

/** How often each code of a grid was used, of all files together. */
function countsIn(files: readonly SplitFile[], { name, vocab }: Grid): number[] {
  const all = files.map(({ counts }) => must(counts[name], name));
  return Array.from({ length: vocab }, (_, code) => all.reduce((sum, counts) => sum + counts[code]!, 0));
}

function summarise(
  files: readonly SplitFile[],
  config: Config,
  { run, check, reporter }: TokenizeOptions,
  seconds: number,
): TokenizeSummary {
  const grids = gridsOf(config);
  const images = files.reduce((sum, file) => sum + imagesIn(file), 0);
  const rows = files.reduce((sum, { names }) => sum + names.length, 0);
  const skipped = files.flatMap((file) => file.skipped);
  const usedOf = (grid: Grid): number => countsIn(files, grid).filter(Boolean).length;
  const uses = grids.map((grid) => ({ name: grid.name, counts: countsIn(files, grid) }));
  const collapse = images > 1 ? collapseWarning(codebookUse(uses)) : undefined;
  if (collapse) reporter.warn(collapse);
  const sum = (of: (grid: Grid) => number) => grids.reduce((total, grid) => total + of(grid), 0);
  if (skipped.length > 0) reporter.warn(describeSkipped(skipped, images + skipped.length));
  for (const file of files) {
    const each = file.codings > 1 ? `, ${file.codings} codings of each,` : '';
    reporter.note(`${imagesIn(file)} images${each} in ${file.file}`);
    if (file.views < file.codings) {
      reporter.warn(
        `No image has more than ${file.views} different codings, though ${file.codings} were asked for: crops differ where one side is longer, ` +
          'and mirrored ones come with data.flip.',
      );
    }
  }
  if (check) {
    const pictures = files.map(({ name }) => checkFile(run, name));
    reporter.note(`Originals above decoded codes: ${pictures.join(', ')}`);
  }
  return {
    images,
    skipped: skipped.length,
    tokens: rows * cellsIn(grids),
    ...sizesOf(grids.map((grid) => ({ ...grid, usage: usedOf(grid) / grid.vocab }))),
    usage: sum(usedOf) / sum(({ vocab }) => vocab),
    seconds,
    file: must(files[0], 'file').file,
  };
}
