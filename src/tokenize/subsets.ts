/** What `vqgen tokenize` takes: which pictures, by which config, and what is told of them. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { changeConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { everyImage, readableSplits, type Splits, type Subset } from '../data/dataset.js';
import { layoutHint } from '../data/layout.js';
import type { Device } from '../engine/device.js';
import { checkCodes } from '../stage1-vqgan/model.js';
import { checkPictures } from '../stage1-vqgan/moved.js';
import { changesSince, namesIn } from '../stage1-vqgan/same-pictures.js';
import { type Tokenizer, tokenizerOf } from './tokenizer.js';
import { type Telling, tellingOf } from './told.js';

export interface JobOptions {
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
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

/** What goes into token files. */
export interface Job {
  readonly tokenizer: Tokenizer;
  readonly config: Config;
  readonly classes: readonly string[];
  /** By the names of their files. */
  readonly subsets: Readonly<Record<string, Subset>>;
  /** Of training images. */
  readonly codings: number;
  readonly seed: number;
  readonly telling?: Telling;
}

/** @throws UserError for a run without a tokenizer, and a data set without a readable image */
export async function openJob(o: JobOptions): Promise<Job> {
  const tokenizer = o.tokenizer ?? (await tokenizerOf(o.run, o.device, o.reporter));
  const config = changedConfig(tokenizer, o);
  checkCodes(config, o.run);
  const { classes, subsets } = await chooseSubsets(config, o);
  const codings = chooseCodings(config, o);
  const telling = await tellingOf(config, subsets, o);
  return { tokenizer, config, classes, subsets, codings, seed: o.seed ?? config.seed, telling };
}

/** Codings of an image of the split: validation looks at what evaluation looks at. */
export const codingsOf = ({ codings }: Pick<Job, 'codings'>, split: string): number =>
  split === trainSplit ? codings : 1;

/** @throws UserError for what cannot be set, or is not this run's */
function changedConfig({ config }: Tokenizer, { set = [], tokenizer }: JobOptions): Config {
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

/** The word for the images that the tokenizer was trained on. */
const ownWord = 'dataset';
const elsewhere = `The ${ownWord} in the working folder is named ./${ownWord}.`;

/** What goes into which file. */
async function chooseSubsets(
  config: Config,
  { run, dataset = ownWord, split, tokenizer, reporter, signal }: JobOptions,
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

/** Which images have several codings. */
const trainSplit = 'train';

/** @throws UserError for several codings of another split */
function chooseCodings(config: Config, { codings, split = trainSplit }: JobOptions): number {
  if (split === trainSplit || codings === undefined || codings === 1)
    return codings ?? config.tokenize.codings;
  throw expected(
    '1',
    '--codings',
    `${codings} with --split ${split}`,
    'Only training images have several codings: leave one of the two out.',
  );
}
