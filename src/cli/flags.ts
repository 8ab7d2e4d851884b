/**
 * Every option of every command: its words in `--help` and how its value is read. No option has a default here,
 * so that what the user left out stays visible as `undefined`.
 */
import { expected } from '../base/errors.js';
import type { Precision } from '../engine/device.js';
import { type Keep, sides } from '../sample/canvas-of.js';
import { readShard } from './shard.js';

export const defaultRun = 'checkpoints/default';
export const defaultClassifier = 'checkpoints/classifier';

export interface Flag<T> {
  /** What help calls the value; a switch has none. */
  readonly placeholder?: string;
  readonly describe: string;
  readonly kind: 'value' | 'switch' | 'each';
  readonly read: (value: string, flag: string) => T;
  /** Shown in help, where something else than the config decides. */
  readonly standard?: string;
  /** Values that a shell offers; there may be others. */
  readonly choices?: readonly string[];
}

const value = <T>(
  placeholder: string,
  describe: string,
  read: Flag<T>['read'],
  standard?: string,
): Flag<T> => ({ placeholder, describe, read, standard, kind: 'value' });

const oneOf = <T extends string>(describe: string, choices: readonly T[], standard?: string) => ({
  ...value('NAME', describe, choice(...choices), standard),
  choices,
});

const toggle = (describe: string): Flag<boolean> => ({ describe, kind: 'switch', read: () => true });

/** What `--to` may be. */
export const formats = ['onnx', 'web', 'taming', 'safetensors', 'run', 'torch'] as const;

export const flags = {
  config: value('NAME|FILE', 'a shipped config, or a YAML file', text, 'drawn-32'),
  data: {
    ...value('DIR|FILE', 'folder of images, by classes, or an archive', text, 'built-in pictures'),
    kind: 'each',
  } as Flag<string>,
  val: {
    ...value('DIR', 'folder of unseen images; may be repeated', text, 'a tenth of the images'),
    kind: 'each',
  } as Flag<string>,
  steps: value('N', 'number of steps in all, those of earlier sessions included', wholeAbove(0)),
  budget: value(
    'TIME',
    'train for about this long in all, such as 30m or 1h: how many steps fit is planned from a trial',
    duration,
  ),
  accumulate: value(
    'N',
    'compute each batch as N smaller ones, one after another: the same step in less memory',
    wholeAbove(0),
  ),
  set: {
    placeholder: 'KEY=VALUE',
    describe: 'change a key of the config, such as stage1.ch=64; may be repeated',
    kind: 'each',
    read: (item: string) => item,
  } as Flag<string>,
  resume: toggle('go on from the newest checkpoint'),
  shard: value(
    'I/N',
    'do the I-th of N parts, from 1; 1/1: all of it, also in a job array',
    readShard,
    'as the job array says',
  ),
  shards: value(
    'N',
    'how many parts there are: of a Kubernetes job, and where --merge cannot tell',
    wholeAbove(0),
  ),
  merge: toggle('put together what the shards left'),
  'take-over': toggle('write where another computer or container was at it, which has ended'),
  'changed-pictures': toggle(
    'with --resume: go on though images were added, are gone or show something else',
  ),
  tensorboard: toggle('also write event files, with grids, for TensorBoard: tensorboard --logdir DIR'),
  split: value('NAME', 'put every image into one token file of this name', text, 'train and val'),
  corrupt: toggle('also show what the encoder saw in training, and what is restored from it'),
  check: toggle('also decode a few, as a picture: originals above decoded'),
  n: value('N', 'number of images', wholeAbove(0), '16'),
  temperature: value(
    'T',
    'below 1 likelier codes, above 1 more varied ones',
    numberIn('a number above 0', (v) => v > 0 && v < Number.POSITIVE_INFINITY),
  ),
  'top-k': value('K', 'draw among the K likeliest codes; 0: among all', wholeAbove(-1)),
  'top-p': value(
    'P',
    'draw among the likeliest codes that together have this probability',
    numberIn('a number above 0 and of at most 1', (v) => v > 0 && v <= 1),
  ),
  class: {
    placeholder: 'NAME',
    describe: 'draw this class; may be repeated: then in turn, each in columns of the grid',
    kind: 'each',
    read: text,
    standard: 'all classes, where the prior knows any',
  } as Flag<string>,
  'cfg-scale': value(
    'S',
    'classifier-free guidance: above 1 more of what tells a class from the others; 1: none',
    numberIn('a number of at least 0', (v) => v >= 0 && v < Number.POSITIVE_INFINITY),
  ),
  'cfg-growth': oneOf(
    'how guidance grows from 1 at the first code or pass to S at the last: linear or cosine; constant: not at all',
    ['constant', 'linear', 'cosine'],
  ),
  'decode-steps': value('N', 'of maskgit: passes in which a picture is drawn', wholeAbove(0)),
  order: oneOf(
    'of maskgit: confidence (what the network is surest of first) or halton (cells far from each other first)',
    ['confidence', 'halton'],
  ),
  'choice-temperature': value(
    'T',
    'of maskgit, by confidence: how much chance decides which codes are kept; 0: none',
    numberIn('a number of at least 0', (v) => v >= 0 && v < Number.POSITIVE_INFINITY),
  ),
  revise: value(
    'SHARE',
    'of maskgit trained with prior.substitute: share of the codes drawn so far that a pass may draw again; 0: none',
    numberIn('a number of at least 0 and below 1', (v) => v >= 0 && v < 1),
  ),
  maps: toggle('also write label maps: pictures into DIR/images, their maps into DIR/maps'),
  condition: value(
    'FILE|FOLDER',
    'of a prior that is told of edges, colours or maps: pictures, or maps; N are drawn for each',
    text,
  ),
  like: value(
    'FILE',
    'draw a picture or grid of vqgen sample again, by the recipe in it, and say what differs',
    text,
  ),
  only: value(
    'GRID',
    'of codes in several grids draw this one and those before it; those after it: their likeliest codes',
    text,
    'all grids',
  ),
  keep: {
    ...value(
      'PART',
      'what of the picture is kept: top, left, right or bottom half, or a fraction of its rows from the top',
      kept,
      'top',
    ),
    choices: sides,
  },
  box: value('X,Y,W,H', "what is redrawn, in the picture's own pixels, from its upper left", box),
  mask: value('FILE', 'what is redrawn: a picture as large as the other, white there', text),
  left: value(
    'P%',
    'how much is added at the left, in percent of the picture, to whole codes',
    percent,
    'nothing',
  ),
  right: value('P%', 'at the right', percent, 'nothing'),
  top: value('P%', 'at the top', percent, 'nothing'),
  bottom: value('P%', 'at the bottom', percent, 'nothing'),
  codings: value(
    'N',
    'codings of each training image: the second mirrored (with data.flip), further ones cropped elsewhere',
    wholeAbove(0),
  ),
  precision: {
    ...value('NAME', 'f32, or f16: mixed precision, for GPUs', text, 'f32'),
    choices: ['f32', 'f16'],
  },
  features: value(
    'FILE',
    'ONNX file of the network whose features are compared: the numbers of the standard one are called fid',
    text,
    "vqgen's own",
  ),
  stats: value('FILE', 'compare samples with these statistics', text, "those of --data's images"),
  'save-stats': value('FILE', "where statistics of --data's images go, for --stats", text),
  out: value('FILE', 'where the picture goes: .png, .jpg or .webp', text, "the run's samples/"),
  classifier: value(
    'DIR',
    'a classifier that train-perceptual made: how often it finds the right class',
    text,
  ),
  to: {
    ...value(
      'FORMAT',
      'onnx: encoder.onnx, decoder.onnx and prior.onnx for ONNX Runtime anywhere; web: a page that samples in the browser; taming: checkpoint and YAML for taming-transformers; safetensors: the same tensors without pickle; run: a run to hand on, without what only training needs; torch: a PyTorch project that trains it on, on many GPUs',
      text,
    ),
    choices: formats,
  },
  model: value('PATH', 'what vqgen export --to onnx wrote, or a file in it, in place of a run', text),
  size: value('S', 'side of the pictures in pixels', extent, '32'),
  port: value(
    'N',
    'port of this machine where the page is served',
    numberIn('a port from 1 to 65535', (v) => Number.isInteger(v) && v > 0 && v < 65536),
    'a free one',
  ),
  run: value('DIR', 'run folder', text, defaultRun),
  seed: value('S', `seed of everything random, up to ${Number.MAX_SAFE_INTEGER}`, wholeAbove(-1)),
  device: oneOf(
    'auto (a GPU if one is faster), cpu, webgpu (any GPU) or tfjs (TF.js)',
    ['auto', 'cpu', 'webgpu', 'tfjs'],
    'auto',
  ),
  threads: value('N', 'threads to compute with', wholeAbove(0), 'all cores'),
  json: toggle('print one JSON object as the last line of stdout, all else on stderr'),
  quiet: toggle('no progress and no notes'),
  help: toggle('show this help'),
} as const;

export type FlagName = keyof typeof flags;

/** Options that every command takes. */
export const commonFlags: readonly FlagName[] = ['seed', 'device', 'threads', 'json', 'quiet', 'help'];

/** What the user gave, read and checked. */
export type Flags = {
  -readonly [K in FlagName]?: K extends 'set' | 'class' | 'data' | 'val'
    ? string[]
    : ReturnType<(typeof flags)[K]['read']>;
};

/**
 * @param given raw values by option name; a repeated option keeps its last value, one of kind `each` keeps all
 * @throws UserError for a value that its option cannot take
 */
export function readFlags(given: Record<string, unknown>): Flags {
  const read: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(flags) as [FlagName, Flag<unknown>][]) {
    const values = [given[name] ?? []].flat();
    if (given[name] === undefined || values.at(-1) === false) continue;
    if (values.length === 0) throw expected('a value', `--${name}`, 'nothing');
    const results = values.map((raw) => flag.read(String(raw), `--${name}`));
    read[name] = flag.kind === 'each' ? results : results.at(-1);
  }
  return read as Flags;
}

/** @throws UserError for a precision that the command does not have */
export function precisionAmong<T extends Precision>(
  names: readonly T[],
  { precision }: Flags,
): T | undefined {
  const found = names.find((name) => name === precision);
  if (found !== undefined || precision === undefined) return found;
  throw expected(`one of ${names.join(', ')}`, '--precision', precision);
}

/** The one folder of `--data`, for a command that does not take several. @throws UserError for more */
export function onlyData({ data = [] }: Flags): string | undefined {
  if (data.length < 2) return data[0];
  throw expected(
    'one folder',
    '--data',
    data.join(' and '),
    'Images in subfolders of one folder are taken together.',
  );
}

function text(given: string, flag: string): string {
  if (given.trim() === '') throw expected('a value', flag, 'nothing');
  return given;
}

function kept(given: string, flag: string): Keep {
  const half = sides.find((name) => name === given);
  const what = `one of ${sides.join(', ')} or a fraction between 0 and 1`;
  return half ?? numberIn(what, (v) => v > 0 && v < 1)(given, flag);
}

function box(given: string, flag: string) {
  const numbers = given.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  const [x = 0, y = 0, width = 0, height = 0] = numbers;
  if (numbers.length === 4 && numbers.every(Number.isInteger) && width > 0 && height > 0) {
    return { x, y, width, height };
  }
  throw expected('X,Y,W,H, whole numbers of pixels,', flag, given, `For example: ${flag} 120,80,200,150`);
}

/** `64` or `256x128`. */
function extent(given: string, flag: string): { width: number; height: number } {
  const [, width = '0', height = width] = /^(\d{1,6})(?:x(\d{1,6}))?$/i.exec(given) ?? [];
  const read = { width: Number(width), height: Number(height) };
  if (read.width > 0 && read.height > 0) return read;
  throw expected('pixels, a side or WxH,', flag, given, `For example: ${flag} 64, or ${flag} 256x128`);
}

/** The side of what must be square. */
export function squareOf(size: { width: number; height: number } | undefined): number | undefined {
  if (size === undefined || size.width === size.height) return size?.width;
  throw expected('the side of square pictures', '--size', `${size.width}x${size.height}`);
}

const mostPercent = 1000;

/** @returns a share: 0.5 of `50%` */
function percent(given: string, flag: string): number {
  const number = given.endsWith('%') && given.length > 1 ? Number(given.slice(0, -1)) : Number.NaN;
  if (number > 0 && number <= mostPercent) return number / 100;
  throw expected(`a percentage above 0% and up to ${mostPercent}%`, flag, given, `For example: ${flag} 50%`);
}

const secondsOf = { s: 1, m: 60, h: 3600 } as const;

/** @returns seconds, of `90s`, `30m` or `1.5h` */
function duration(given: string, flag: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([smh])$/.exec(given) ?? [];
  const seconds = Number(number) * secondsOf[(unit ?? 's') as keyof typeof secondsOf];
  if (seconds > 0 && seconds < Number.POSITIVE_INFINITY) return seconds;
  throw expected('a time with its unit, s, m or h,', flag, given, `For example: ${flag} 30m`);
}

function wholeAbove(limit: number) {
  const what = limit < 0 ? 'a whole number of at least 0' : 'a whole number above 0';
  return (given: string, flag: string): number => {
    const number = numberIn(what, (n) => Number.isInteger(n) && n > limit)(given, flag);
    if (Number.isSafeInteger(number)) return number;
    throw expected(`a whole number of at most ${Number.MAX_SAFE_INTEGER}`, flag, given);
  };
}

function numberIn(what: string, accepts: (value: number) => boolean) {
  return (given: string, flag: string): number => {
    const number = given.trim() === '' ? Number.NaN : Number(given);
    if (!accepts(number)) throw expected(what, flag, given);
    return number;
  };
}

function choice<T extends string>(...names: readonly T[]) {
  return (given: string, flag: string): T => {
    const name = names.find((name) => name === given);
    if (name === undefined) throw expected(`one of ${names.join(', ')}`, flag, given);
    return name;
  };
}

/** The flags of works that several processes may do together. */
export const shardFlags = ['shard', 'shards', 'merge'] as const satisfies readonly FlagName[];

/** The flags of how codes are drawn. */
export const drawingFlags = [
  ...(['cfg-scale', 'cfg-growth', 'temperature', 'top-k', 'top-p'] as const),
  ...(['decode-steps', 'order', 'choice-temperature', 'revise'] as const),
] as const satisfies readonly FlagName[];

/** What they say, by the names of the code. */
export const drawingOf = (flags: Flags) => ({
  temperature: flags.temperature,
  topK: flags['top-k'],
  topP: flags['top-p'],
  cfgScale: flags['cfg-scale'],
  cfgGrowth: flags['cfg-growth'],
  decodeSteps: flags['decode-steps'],
  order: flags.order,
  choiceTemperature: flags['choice-temperature'],
  revise: flags.revise,
});
