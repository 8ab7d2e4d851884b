/** What each command takes, says in `--help`, and calls. Implementations are imported only when they run. */
import { expected } from '../base/errors.js';
import { formatDuration, formatNumber } from '../base/progress.js';
import type { Budget } from '../train/budget.js';
import type { Command, Context } from './command.js';
import { editCommands } from './edit-commands.js';
import { exchangeCommands } from './exchange-commands.js';
import { exportedOf } from './exported.js';
import {
  defaultClassifier,
  defaultRun,
  drawingFlags,
  drawingOf,
  type Flags,
  onlyData,
  precisionAmong,
  shardFlags,
} from './flags.js';
import { openDevice, openRun, savedConfig } from './open.js';
import { type Outcome, runOption } from './outcome.js';
import { pictureCommands } from './picture-commands.js';
import { reportCommand } from './report-command.js';
import { shardOf } from './shard.js';
import { evaluatedShard, mergeTokens, sampledShard, tokenized, tokenizedShard } from './shards-done.js';
import { toolCommands } from './tool-commands.js';

export type { Command, Context, Meaning } from './command.js';

export const commands: readonly Command[] = [
  {
    name: 'train-stage1',
    describe: 'Train the tokenizer (VQGAN)',
    flags: [
      ...(['config', 'data', 'run', 'steps', 'budget', 'accumulate', 'precision', 'set'] as const),
      ...(['resume', 'take-over', 'changed-pictures', 'tensorboard'] as const),
    ],
    examples: [
      ['vqgen train-stage1', 'the built-in pictures, into checkpoints/default'],
      ['vqgen train-stage1 --config photos-64 --data photos/ --run checkpoints/mine', 'your own images'],
      ['vqgen train-stage1 --config photos-64 --data photos/ --budget 30m', 'as many steps as fit into it'],
      ['vqgen train-stage1 --run checkpoints/mine --resume --steps 9000', 'go on, to 9000 steps in all'],
    ],
    endsItself: true,
    computes: true,
    run: trainStage1,
  },
  {
    name: 'tokenize',
    describe: 'Turn images into tokens',
    flags: ['run', 'split', 'codings', 'set', 'check', 'model', ...shardFlags, 'take-over'],
    words: {
      usage: '[DATASET]',
      describe:
        'folder of images; left out, or the word dataset: the data set that the tokenizer was trained on',
      most: 1,
      choices: ['dataset'],
    },
    examples: [
      ['vqgen tokenize --check', 'the training and validation images of checkpoints/default'],
      [
        'vqgen tokenize --set prior.condition.kind=edges',
        'and where they have edges, for a prior to be told',
      ],
      ['vqgen tokenize more-photos/ --split test --run checkpoints/mine', 'into tokens/test.safetensors'],
      [
        'vqgen tokenize photos/ --split all --model exported/encoder.onnx',
        'into exported/tokens/all.safetensors',
      ],
      ['vqgen tokenize --shard 3/8', 'the third of eight parts; when all are there: vqgen tokenize --merge'],
    ],
    endsItself: true,
    computes: true,
    run: tokenize,
  },
  {
    name: 'train-prior',
    describe: 'Train the prior (transformer) on the tokens',
    flags: [
      ...(['run', 'steps', 'budget', 'accumulate', 'precision', 'set'] as const),
      ...(['resume', 'take-over', 'tensorboard'] as const),
    ],
    meanings: {
      precision: {
        placeholder: 'NAME',
        describe: 'f32, f16: mixed precision, for GPUs, or int8: products of 8-bit integers, for CPUs',
        choices: ['f32', 'f16', 'int8'],
      },
    },
    examples: [
      ['vqgen train-prior --run checkpoints/mine', "by the run's own config"],
      ['vqgen train-prior --set prior.layers=8 --set prior.dropout=0.2', 'a larger one'],
    ],
    endsItself: true,
    computes: true,
    run: trainPrior,
  },
  {
    name: 'sample',
    describe: 'Draw new images',
    flags: [
      ...(['n', 'run', 'class', 'condition', 'size'] as const),
      ...drawingFlags,
      ...(['only', 'precision', 'like', 'out', 'model'] as const),
      ...shardFlags,
    ],
    meanings: {
      precision: {
        placeholder: 'NAME',
        describe: 'f32, or int8: 8-bit weights, faster for a large prior',
        choices: ['f32', 'int8'],
      },
      size: { placeholder: 'WxH', describe: 'pixels, in whole codes: a window goes over what is larger' },
    },
    standards: { size: 'as trained', n: '16, with --condition 4' },
    examples: [
      ['vqgen sample --n 16', 'single pictures and a grid, into checkpoints/default/samples'],
      ['vqgen sample --n 4 --seed 7 --top-k 100 --out grid.png', 'always the same four'],
      ['vqgen sample --class cat --class car --cfg-scale 2', 'cats and cars, more like cats and cars'],
      ['vqgen sample --n 1 --size 256x128', 'larger than the pictures of the training'],
      ['vqgen sample --like grid.png', 'the same pictures again, byte for byte, or what differs'],
      ['vqgen sample --model exported/', 'with exported files, into exported/samples'],
    ],
    readsRun: true,
    endsItself: true,
    computes: true,
    run: sample,
  },
  ...pictureCommands,
  ...editCommands,
  {
    name: 'evaluate',
    describe: 'Measure a run: reconstructions, likelihoods, samples, and whether it memorises',
    flags: [
      ...(['data', 'run', 'n'] as const),
      ...drawingFlags,
      ...(['features', 'stats', 'save-stats', 'classifier', 'out'] as const),
      ...shardFlags,
    ],
    standards: { data: "the run's validation images", n: '256' },
    examples: [
      [
        'vqgen evaluate --data unseen-photos/ --run checkpoints/mine',
        'distances in the features of vqgen, fd_vqgen',
      ],
      [
        'vqgen evaluate --data unseen-photos/ --features inception.onnx --n 10000',
        'fid, with a network of yours',
      ],
      [
        'vqgen evaluate --data photos/ --save-stats photos.safetensors',
        'then, for any run: --stats photos.safetensors',
      ],
    ],
    readsRun: true,
    endsItself: true,
    computes: true,
    run: evaluate,
  },
  reportCommand,
  {
    name: 'train-perceptual',
    describe: "Train the classifier whose features serve as vqgen's perceptual loss and feature space",
    flags: ['data', 'val', 'out', 'steps', 'size', 'resume', 'take-over'],
    standards: { out: defaultClassifier, steps: '1000', seed: '0' },
    meanings: {
      data: { describe: 'folder of images, whose subfolders are the classes; may be repeated' },
      out: { placeholder: 'DIR', describe: 'where the classifier and its training go' },
    },
    examples: [
      ['vqgen train-perceptual', 'on the built-in drawings'],
      [
        'vqgen train-perceptual --data photos/train --data more/train --val photos/test --out checkpoints/seen',
        'then: vqgen train-stage1 --set stage1.perceptual.weights=checkpoints/seen',
      ],
    ],
    endsItself: true,
    computes: true,
    run: trainPerceptual,
  },
  ...exchangeCommands,
  ...toolCommands(() => commands),
];

async function trainStage1(context: Context): Promise<Outcome> {
  const { flags, reporter, signal } = context;
  const { changeConfig, loadConfig } = await import('../config/load.js');
  const { findRunConfig } = await import('../checkpoint/run.js');
  const budget = budgetOf(flags, 'stage1');
  const run = flags.run ?? defaultRun;
  const resume = flags.resume ?? false;
  const { set } = flags;
  const overrides = {
    'data.dir': onlyData(flags),
    'stage1.steps': flags.steps,
    'stage1.accumulate': flags.accumulate,
    'stage1.precision': precisionAmong(['f32', 'f16'], flags),
    seed: flags.seed,
  };
  const saved = resume && flags.config === undefined ? findRunConfig(run) : undefined;
  const config = saved
    ? changeConfig(saved, { set, overrides, sections: Object.keys(saved) })
    : loadConfig({ config: flags.config, set, overrides });
  const { trainStage1 } = await import('../stage1-vqgan/train.js');
  const device = await openDevice(context);
  const { tensorboard, 'take-over': takeOver, 'changed-pictures': changedPictures } = flags;
  const whether = { resume, takeOver, changedPictures, tensorboard };
  const o = { config, run, ...whether, budget, device, reporter, signal };
  return trained(run, 'stage1', await trainStage1(o));
}

async function trainPrior(context: Context): Promise<Outcome> {
  const { flags, reporter, signal } = context;
  const budget = budgetOf(flags, 'prior');
  const run = flags.run ?? defaultRun;
  const { changeConfig } = await import('../config/load.js');
  const overrides = {
    'prior.steps': flags.steps,
    'prior.accumulate': flags.accumulate,
    'prior.precision': precisionAmong(['f32', 'f16', 'int8'], flags),
    'prior.seed': flags.seed,
  };
  const config = changeConfig(await savedConfig(run), { set: flags.set, overrides, sections: ['prior'] });
  const { trainPrior } = await import('../stage2-transformer/train.js');
  const device = await openDevice(context);
  const { resume = false, 'take-over': takeOver, tensorboard } = flags;
  const o = { config, run, resume, takeOver, tensorboard, budget, device, reporter, signal };
  return trained(run, 'prior', await trainPrior(o));
}

/** @throws UserError beside what sets the number of steps otherwise */
function budgetOf({ budget, steps, resume, set = [] }: Flags, stage: 'stage1' | 'prior'): Budget | undefined {
  if (budget === undefined) return undefined;
  const planned = ['steps', 'eval_every', 'checkpoint_every'].map((key) => `${stage}.${key}`);
  const other =
    steps !== undefined
      ? '--steps'
      : resume
        ? '--resume'
        : set.find((item) => planned.some((key) => item.startsWith(`${key}=`)));
  if (other === undefined) return { seconds: budget, spent: () => performance.now() / 1000 };
  throw expected(
    'nothing else that sets the steps',
    '--budget',
    other,
    'It plans the steps of a new training, and when it validates; one that goes on has its own: --resume alone.',
  );
}

interface Trained {
  readonly step: number;
  readonly loss: number;
  readonly seconds: number;
  readonly metrics: Record<string, number>;
  readonly stopped: boolean;
}

async function trained(run: string, stage: 'stage1' | 'prior', result: Trained): Promise<Outcome> {
  const { afterStage1 } = await import('../stage1-vqgan/model.js');
  const config = await savedConfig(run);
  const { step, loss, seconds, metrics, stopped } = result;
  const [command, next] =
    stage === 'stage1' ? ['train-stage1', afterStage1(config)] : ['train-prior', 'sample --n 16'];
  const measures = Object.entries(metrics).map(([key, value]) => `${key} ${formatNumber(value)}`);
  return {
    summary: { run, stage, step, loss, seconds, metrics },
    stopped,
    lines: [
      `${stopped ? 'Stopped and saved' : 'Trained'}: step ${step} in ${run}, ${formatDuration(seconds)}`,
      measures.join('  '),
      `Next: vqgen ${stopped ? `${command} --resume` : next}${runOption(run)}`,
    ],
  };
}

async function tokenize(context: Context): Promise<Outcome> {
  const { flags, words, reporter, signal } = context;
  const shard = shardOf(flags, process.env);
  if (flags.merge) return mergeTokens(context);
  const exported = await exportedOf(flags);
  const run = flags.run ?? exported?.folder ?? defaultRun;
  const { tokenize } = await import('../tokenize/tokenize.js');
  const device = exported ? await openDevice(context, undefined, 'cpu') : await openDevice(context, run);
  const tokenizer = await exported?.tokenizer();
  const { split, codings, seed, set, check = false } = flags;
  const o = {
    ...{ run, tokenizer, dataset: words[0], split, codings, seed, set, check },
    takeOver: flags['take-over'],
    ...{ device, reporter, signal },
  };
  if (shard) return tokenizedShard({ ...o, shard });
  return tokenized(await tokenize(o), run, split === undefined && !exported);
}

async function sample(context: Context): Promise<Outcome> {
  const { flags, reporter, signal } = context;
  if (flags.like !== undefined) return (await import('./like.js')).drawAlike(context, flags.like);
  const shard = shardOf(flags, process.env);
  const precision = precisionAmong(['f32', 'int8'], flags);
  const exported = await exportedOf(flags);
  const run = flags.run ?? exported?.folder ?? defaultRun;
  const { sample } = await import('../sample/sample.js');
  const opened = exported
    ? { run, device: await openDevice(context, undefined, 'cpu'), reporter }
    : await openRun(context, run);
  const { class: classes, condition, only, seed, out, size: extent } = flags;
  const { n = condition === undefined ? 16 : 4 } = flags;
  if (exported && extent) {
    throw expected(
      'nothing',
      '--size',
      `${extent.width}x${extent.height} with --model`,
      'A run draws it: --run.',
    );
  }
  const o = {
    ...{ ...opened, ...drawingOf(flags), open: exported?.source, model: flags.model },
    ...{ n, classes, condition, only, seed, extent, precision, out, signal },
  };
  if (shard) return sampledShard({ ...o, shard });
  const { shards } = flags;
  const summary = await sample({ ...o, merge: flags.merge ? { shards } : undefined });
  const drawn = [...new Set(summary.classes)];
  return {
    summary,
    lines: [
      `${summary.images} images in ${formatDuration(summary.seconds)}, seed ${summary.seed}`,
      ...(drawn.length > 0 ? [`Classes, in turn: ${drawn.join(', ')}`] : []),
      summary.grid,
    ],
  };
}

async function evaluate(context: Context): Promise<Outcome> {
  const { flags, reporter, signal } = context;
  const shard = shardOf(flags, process.env);
  const run = flags.run ?? defaultRun;
  const data = onlyData(flags);
  const device = await openDevice(context, run);
  const { n, features, classifier, stats, 'save-stats': saveStats, out, threads, seed, shards } = flags;
  const o = {
    ...{ run, data, n, features, classifier, stats, saveStats, out, threads },
    ...drawingOf(flags),
    ...{ seed, device, reporter, signal },
  };
  if (shard) return evaluatedShard({ ...o, shard });
  const { measuresTable } = await import('./measures-table.js');
  const { evaluate } = await import('../evaluate/evaluate.js');
  const summary = flags.merge
    ? await (await import('../evaluate/shards.js')).mergeEvaluation({ ...o, shards })
    : await evaluate(o);
  return { summary, lines: measuresTable(summary) };
}

async function trainPerceptual(context: Context): Promise<Outcome> {
  const { flags, reporter, signal } = context;
  const { runTrainPerceptual } = await import('./train-perceptual.js');
  return runTrainPerceptual({ flags, reporter, signal, device: await openDevice(context) });
}
