/** `vqgen train-prior`: token files → batches → steps → checkpoints. */

import { entry, must, pairs } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { scalar } from '../base/tensor.js';
import { beginStage, occupying } from '../checkpoint/begin.js';
import { resumable, setAside, tellOfDamage } from '../checkpoint/integrity.js';
import { findRunConfig, runPaths, writeRunConfig } from '../checkpoint/run.js';
import { allDamaged, loadModel, readState, type SavedState } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import type { Device, Graph, StepRunner } from '../engine/device.js';
import { countParams, over, under } from '../nn/params.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { checkCodes, gridsOf } from '../stage1-vqgan/model.js';
import { recordCondition } from '../tokenize/conditions/begun.js';
import { describeCondition } from '../tokenize/conditions/condition.js';
import type { Tokens } from '../tokenize/token-file.js';
import { meanOf, microBatches, withoutPartial } from '../train/accumulation.js';
import { type Budget, type Plan, planSteps, timeSteps } from '../train/budget.js';
import { type LoopResult, runLoop, type Stage } from '../train/loop.js';
import { scaleValues } from '../train/loss-scale.js';
import { lastValues } from '../train/metrics.js';
import { learningRate } from '../train/schedule.js';
import { collapseWarning } from '../train/usage-watch.js';
import type { Canvas } from './canvas.js';
import { checkBegun, checkBegunKind, checkClasses, chosenClasses, chosenCondition } from './conditions.js';
import { type PriorSettings, priorOf, priorSettings } from './index.js';
import {
  checkTokenizer,
  listed,
  type PresentTokenizer,
  priorClasses,
  recordClasses,
  recordTokenizer,
  tokensFor,
} from './model.js';
import { maskedPercents, type Prior } from './prior.js';
import {
  histogramEntropies,
  type Labelled,
  labelled,
  meanOverCells,
  trainingCanvases,
  uniformEntropy,
  validationRows,
} from './sequences.js';
import { lossNames, meanLosses, priorEvaluation, priorStart, priorStep } from './step.js';
import { drawnGrids } from './told.js';

export interface TrainPriorOptions {
  readonly config: Config;
  readonly run: string;
  readonly resume: boolean;
  /** As a lock's. */
  readonly takeOver?: boolean;
  /** A new prior has as many steps as fit into it. */
  readonly budget?: Budget;
  /** As the loop's. */
  readonly tensorboard?: boolean;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

/** Tokens that a validation looks at. */
const validationTokens = 2 ** 16;

/** Tokens of the last look at masked shares. */
const tellingTokens = 2 ** 13;

const bits = (nats: number): number => nats / Math.LN2;

/** @throws UserError for a missing tokenizer or token file, tokens of another tokenizer, or a run in the way */
export const trainPrior = (o: TrainPriorOptions): Promise<LoopResult> =>
  occupying({ ...o, part: 'prior', command: 'vqgen train-prior', exists: true }, () => train(o));

async function train(o: TrainPriorOptions): Promise<LoopResult> {
  const { config, run, device, reporter } = o;
  const folder = runPaths(run).prior;
  checkCodes(config, run);
  const grids = gridsOf(config);
  const found = await resumable(folder, allDamaged(run, 'prior'));
  const newest = found.sound?.checkpoint;
  const beginning = beginStage({ run, stage: 'prior', config, newest, resume: o.resume });
  await (o.resume ? setAside(folder, found, reporter) : tellOfDamage(found, reporter));
  if (beginning.kind !== 'fresh') checkBegunKind(run, config.prior.condition.kind);
  if (beginning.kind === 'finished') {
    checkTokenizer(run, await presentTokenizer(run, reporter));
    const state = readState(beginning.checkpoint);
    reporter.note(finished(run, state, config.prior));
    const { step, seconds, best } = state;
    return { step, seconds, best, ...(await lastValues(folder)), stopped: false };
  }
  const tokenizer = await presentTokenizer(run, reporter);
  const train = await tokensFor(run, 'train', grids, tokenizer);
  const val = await tokensFor(run, 'val', grids, tokenizer);
  const from = beginning.kind === 'resume' ? beginning.checkpoint : undefined;
  if (from) checkTokenizer(run, tokenizer);
  const classes = from ? priorClasses(run) : chosenClasses(train, config.prior);
  if (from) checkClasses(run, train, classes);
  const told = await chosenCondition(run, { train, val }, { config, begun: from !== undefined, reporter });
  if (from) checkBegun(run, told);
  const settings = priorSettings(config);
  const prior = priorOf(settings, grids, { classes, grids: told ? [told.grid] : [] });

  const entropies = histogramEntropies(train);
  const entropy = meanOverCells(train.grids, entropies);
  const vocabularies = train.grids.map(({ vocab }) => vocab).join(' and ');
  reporter.note(
    `Prior: ${countParams(prior.learned).toLocaleString('en')} parameters, ${prior.described}; ` +
      `${train.count / train.codings} training and ${val.count / val.codings} validation sequences of ${cellsIn(prior.grids)} codes` +
      `${train.codings > 1 ? `, the former in ${train.codings} codings each` : ''}.`,
  );
  if (told) reporter.note(`It is told: ${describeCondition(told)}.`);
  if (classes.length > 0) reporter.note(`It learns ${classes.length} classes: ${listed(classes)}.`);
  reporter.note(
    `Nothing learned: ${uniformEntropy(train.grids).toFixed(2)} bits per token (log₂ of ${vocabularies} codes). ` +
      `Only how frequent codes are: ${entropy.toFixed(2)} (entropy of their histogram).${eachGrid(train.grids, entropies)}`,
  );

  const collapse = collapseWarning({ perplexity: 2 ** entropy });
  if (collapse) reporter.warn(collapse);

  const program = priorStep(settings, prior);
  const runner = withoutPartial(program, await device.prepareStep(program));
  const evaluation = await device.prepare(priorEvaluation(prior, microBatch(settings)));
  try {
    if (!from) o.signal?.throwIfAborted(); // Nothing is written yet.
    const known = labelled(train, classes);
    const given = { settings, prior };
    const whole =
      o.budget && !from ? await inTime(given, o.budget, { ...o, runner, train: known, val }) : given;
    const { steps, eval_every, checkpoint_every } = whole.settings;
    const plan: Plan = { steps, eval_every, checkpoint_every };
    // Meanwhile the tokenizer may have been trained on: what the file says of it now stays.
    const saved = findRunConfig(run) ?? config;
    await writeRunConfig(run, { ...saved, prior: { ...config.prior, ...plan } });
    if (!from) {
      await recordClasses(run, classes);
      await recordCondition(run, told);
      await recordTokenizer(run, tokenizer.sha256);
    }
    const validate = validation(labelled(val, classes), whole.prior, evaluation, whole.settings);
    const stage = priorStage(whole.settings, folder, whole.prior, { train: known, validate }, runner);
    const result = await runLoop(stage, { ...o, from });
    if (!result.stopped) {
      reporter.note(verdict(result, entropy, uniformEntropy(train.grids)));
      const { signal } = o;
      await tellOfMasked(prior, { run, val: labelled(val, classes), evaluation, settings, reporter, signal });
    }
    return result;
  } finally {
    await runner.dispose();
    await evaluation.dispose();
  }
}

/** Without the weights. */
async function presentTokenizer(run: string, reporter: Reporter): Promise<PresentTokenizer> {
  const { tensors: _, ...present } = await loadModel(run, 'stage1', { reporter });
  return present;
}

interface Trained {
  readonly settings: PriorSettings;
  readonly prior: Prior;
}

/** With as many steps as fit into the time. @throws UserError when it is too short */
async function inTime(
  { settings, prior }: Trained,
  budget: Budget,
  o: {
    runner: StepRunner;
    train: Labelled;
    val: Tokens;
    reporter: Reporter;
    signal?: AbortSignal;
  },
): Promise<Trained> {
  const { runner, reporter, signal } = o;
  const { seed, precision, batch_size, warmup } = settings;
  const state = priorStart(prior, seed, precision);
  const inputs = await stepInputs(settings, prior, o.train)(1, { factor: 1, since: 0, kept: {} });
  const step = await timeSteps(runner, { state, inputs, budget, signal });
  const rows = Math.min(o.val.count, mostValidated(settings, prior));
  const validation = validationShare * step * (rows / batch_size);
  const secondsOf = (steps: number): number => steps * step;
  const planned = { ...settings, ...planSteps(budget, { secondsOf, validation, warmup, reporter }) };
  return { settings: planned, prior: priorOf(planned, drawnGrids(prior), prior.condition) };
}

/** A sequence costs a validation about this share of what it costs a step. */
const validationShare = 0.4;

/** Both numbers for each of several grids. */
function eachGrid(grids: readonly Grid[], entropies: readonly number[]): string {
  if (grids.length === 1) return '';
  const each = pairs(grids, entropies).map(
    ([{ name, vocab }, entropy]) => `${name} ${Math.log2(vocab).toFixed(2)} and ${entropy.toFixed(2)}`,
  );
  return ` Of each grid: ${each.join('; ')}.`;
}

function finished(
  run: string,
  { step, best, stale }: SavedState,
  { steps }: Pick<PriorSettings, 'steps'>,
): string {
  const next = `Next: vqgen sample --run ${run}`;
  if (step >= steps || !best) return `The prior in ${run} is finished at step ${step}. ${next}`;
  return (
    `The prior in ${run} is finished: it ended early at step ${step} of ${steps}, ${stale} validations after its best at step ${best.step}. ` +
    `To go on all the same: --resume --set prior.patience=0. ${next}`
  );
}

function priorStage(
  settings: PriorSettings,
  folder: string,
  model: Prior,
  data: { train: Labelled; validate: Stage['evaluate'] },
  runner: Stage['runner'],
): Stage {
  const { seed, batch_size, precision } = settings;
  const names = lossNames(model);
  return {
    name: 'Prior',
    folder,
    cadence: settings,
    runner,
    unit: 'tokens',
    unitsPerStep: batch_size * cellsIn(model.grids),
    books: [],
    bestBy: { key: 'loss', higher: false },
    patience: settings.patience,
    lr: settings.lr,
    guarded: { key: 'loss' },
    initialState: () => priorStart(model, seed, precision),
    inputs: stepInputs(settings, model, data.train),
    observe: (_, outputs) => {
      const losses = Object.fromEntries(names.map((name) => [name, must(meanOf(outputs, name), name)]));
      // What a prior that draws anywhere minimises is not what a token costs.
      return { values: { ...(model.maskedBy ? losses : lossValues(losses)), ...scaleValues(outputs) } };
    },
    evaluate: data.validate,
    fields: ({ loss, bits_per_token, 'val loss': val, ...values }) => ({
      ...(loss !== undefined && { loss }),
      ...(bits_per_token !== undefined && { 'bits/token': bits_per_token }),
      ...(val !== undefined && { val }),
      ...Object.fromEntries(
        names.slice(1).flatMap((name) => (name in values ? [[name, entry(values, name)]] : [])),
      ),
    }),
  };
}

function stepInputs(settings: PriorSettings, model: Prior, train: Labelled): Stage['inputs'] {
  const { seed, batch_size, accumulate, class_dropout } = settings;
  const { classes, grids } = model.condition;
  const classDropout = classes.length + grids.length > 0 ? class_dropout : 0;
  const canvases = trainingCanvases(train, { batchSize: batch_size, seed, classDropout });
  return async (step, { factor, since }) => {
    const { batched = {}, common } = model.feed('train', step, canvases(step));
    const lr = scalar(factor * learningRate(step, settings, since));
    return microBatches(accumulate, batched, { ...common, lr, step: scalar(step - since) });
  };
}

/** Nats by `lossNames`, and bits in their place. */
const lossValues = (losses: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(losses).flatMap(([name, nats]) => [
      [name, nats],
      [name.replace('loss', 'bits_per_token'), bits(nats)],
    ]),
  );

const microBatch = ({ batch_size, accumulate }: Pick<PriorSettings, 'batch_size' | 'accumulate'>): number =>
  batch_size / accumulate;

const mostValidated = ({ batch_size }: PriorSettings, { grids }: Prior): number =>
  Math.max(batch_size, Math.floor(validationTokens / cellsIn(grids)));

/** Mean loss over a fixed choice of validation sequences. */
function validation(val: Labelled, model: Prior, graph: Graph, settings: PriorSettings): Stage['evaluate'] {
  const rows = validationRows(val.tokens.count, mostValidated(settings, model));
  const batch = microBatch(settings);
  return async (_, state, signal) => {
    const weights = over('model', under('model', state));
    return lossValues(await meanLosses(graph, model, val, rows, { batch, weights, signal }));
  };
}

/** Of a prior that draws anywhere: what its loss is, and what masked codes cost by how many are masked. */
async function tellOfMasked(
  prior: Prior,
  o: {
    run: string;
    val: Labelled;
    evaluation: Graph;
    settings: PriorSettings;
    reporter: Reporter;
    signal?: AbortSignal;
  },
): Promise<void> {
  const { maskedBy } = prior;
  if (!maskedBy) return;
  const { run, val, evaluation, settings, reporter, signal } = o;
  const { tensors } = await loadModel(run, 'prior', { best: true, reporter });
  const rows = validationRows(val.tokens.count, Math.ceil(tellingTokens / cellsIn(prior.grids)));
  const bitsOf = async (percent: number): Promise<string> => {
    const feed = (key: number, batch: Canvas) => maskedBy(percent, key, batch);
    const weights = over('model', tensors);
    const { loss } = await meanLosses(evaluation, prior, val, rows, {
      batch: microBatch(settings),
      weights,
      feed,
      signal,
    });
    return `${percent} % ${bits(loss).toFixed(2)}`;
  };
  const each: string[] = [];
  const total = maskedPercents.length;
  const progress = reporter.progress({ label: 'Masked shares', total, unit: 'shares' });
  try {
    for (const percent of maskedPercents) {
      each.push(await bitsOf(percent));
      if (signal?.aborted) return;
      progress.update(each.length);
    }
  } finally {
    progress.stop();
  }
  reporter.note(
    `That is a bound: the mean over all orders of drawing one code a pass, ${cellsIn(drawnGrids(prior))} passes a picture. ` +
      `Bits of a masked code by how many are masked (pseudo-likelihood): ${each.join(', ')}.`,
  );
}

/** Of the checkpoint that later commands use. */
function verdict({ metrics, best }: LoopResult, entropy: number, uniform: number): string {
  const learned = bits(best?.value ?? metrics.loss ?? Number.NaN);
  const percent = entropy > 0 ? Math.round(100 * (1 - learned / entropy)) : 0;
  return (
    `Validation: ${learned.toFixed(2)} bits per token, ${Math.abs(percent)} % ${percent < 0 ? 'over' : 'under'} the ` +
    `histogram's ${entropy.toFixed(2)} (log₂ K is ${uniform.toFixed(2)}).`
  );
}
