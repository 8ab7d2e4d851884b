/** `vqgen train-stage1`: images → batches → steps → checkpoints. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { entry } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import type { HostTensors } from '../base/tensor.js';
import { beginStage, occupying } from '../checkpoint/begin.js';
import { resumable, setAside, tellOfDamage } from '../checkpoint/integrity.js';
import { findRunConfig, gridFile, metricsFile, runPaths, writeRunConfig } from '../checkpoint/run.js';
import { allDamaged, type Checkpoint, hasCheckpoint, readState } from '../checkpoint/store.js';
import type { Config, Stage1Config } from '../config/schema.js';
import { trainBatch } from '../data/batches.js';
import { checkInFolder, type Dataset, imageSplits, openDataset } from '../data/dataset.js';
import { layoutHint } from '../data/layout.js';
import { patternIn, patternWarning } from '../data/pattern.js';
import { describeSkipped } from '../data/source.js';
import type { Device, StepRunner } from '../engine/device.js';
import { loadPerceptual } from '../perceptual/load.js';
import { meanOf } from '../train/accumulation.js';
import type { Budget } from '../train/budget.js';
import { type LoopResult, runLoop, type Stage } from '../train/loop.js';
import { scaleValues } from '../train/loss-scale.js';
import { lastValues, type Observation, readMetrics, type Values } from '../train/metrics.js';
import { bottleneckOf } from './bottlenecks/index.js';
import { stage1InTime } from './in-time.js';
import { withLabels } from './labels.js';
import { type Bottleneck, describeLatent, gridsIn } from './latent.js';
import { expectedMemory } from './memory.js';
import { afterStage1, type Model, type Networks, networksOf, stage1Params } from './model.js';
import { checkPictures, movedKeys, withMoved } from './moved.js';
import { stage1Runner } from './runner.js';
import { checkSame, namesIn, recordPictures } from './same-pictures.js';
import {
  afresh,
  firstAdversarialStep,
  followReconstruction,
  type Starts,
  savedStarts,
  startsOf,
  withStarts,
} from './starts.js';
import { initialState } from './state.js';
import { stepInputs } from './step-inputs.js';
import { evaluationGraphs, validation, validationPlan } from './validation.js';

export interface TrainStage1Options {
  readonly config: Config;
  readonly run: string;
  readonly resume: boolean;
  /** As a lock's. */
  readonly takeOver?: boolean;
  /** Whether a resumed run may go on though its pictures have changed. */
  readonly changedPictures?: boolean;
  /** A new run has as many steps as fit into it. */
  readonly budget?: Budget;
  /** As the loop's. */
  readonly tensorboard?: boolean;
  /** Where decoded images are kept; in the run unless given. */
  readonly cacheDir?: string;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

/** @throws UserError for missing or unreadable images, or a run in the way */
export const trainStage1 = (o: TrainStage1Options): Promise<LoopResult> =>
  occupying({ ...o, part: 'stage1', command: 'vqgen train-stage1', exists: o.resume }, () => train(o));

async function train(given: TrainStage1Options): Promise<LoopResult> {
  const { run, device, reporter } = given;
  const folder = runPaths(run).stage1;
  const known = withKnownLabels(await withClasses(given.config), run);
  const o = { ...given, config: asPlanned(known, given) };
  if (bottleneckOf(o.config).importedOnly) {
    throw expected(
      'a bottleneck that vqgen trains',
      'stage1.bottleneck.kind',
      o.config.stage1.bottleneck.kind,
      'Imported ones encode, decode and carry a prior, but are not trained on.',
    );
  }
  const saved = o.resume && hasCheckpoint(folder) ? findRunConfig(run) : undefined;
  const { changedPictures: changed = false } = o;
  const moved = saved ? await movedKeys({ run, saved, config: o.config, changed }, reporter) : [];
  const found = await resumable(folder, allDamaged(run, 'stage1'));
  const newest = found.sound?.checkpoint;
  const beginning = beginStage({
    ...{ run, stage: 'stage1', config: o.config, newest, resume: o.resume },
    moved: [...moved, 'data.max_unreadable'],
  });
  await (o.resume ? setAside(folder, found, reporter) : tellOfDamage(found, reporter));
  if (beginning.kind === 'finished') {
    if (saved && moved.length > 0) await writeRunConfig(run, withMoved(saved, o.config));
    const { step, seconds, best } = readState(beginning.checkpoint);
    const next = afterStage1(o.config);
    reporter.note(`The tokenizer in ${run} is finished at step ${step}. Next: vqgen ${next} --run ${run}`);
    return { step, seconds, best, ...(await lastValues(folder)), stopped: false };
  }
  const from = beginning.kind === 'resume' ? beginning.checkpoint : undefined;
  const { data } = o.config;
  const perceptual = await loadPerceptual(o.config);
  if (saved) checkPictures(run, data);
  checkInFolder(data);
  // Maps of strange colours are no pictures that cannot be read: `withLabels` looks at all of them.
  const splits = await imageSplits({ ...data, labels: [] }, undefined, reporter);
  const { cacheDir = path.join(run, '.cache') } = o;
  const same = { data, changed, reporter };
  if (from && !changed) checkSame(run, namesIn(splits), same); // Before all of them are read.
  const dataset = await openDataset(data, { cacheDir, reporter, signal: o.signal }, splits);
  if (from) checkSame(run, dataset.contents, same);
  const counted = await withLabels(o.config, dataset, o);
  const whole =
    o.budget && !from ? await stage1InTime(counted, o.budget, { ...o, dataset, perceptual }) : counted;
  const starts = startsAt(from) ?? startsOf(whole);
  const config = withStarts(whole, starts);
  const networks = networksOf(config);
  describe(networks, config.stage1, dataset, reporter);
  if (!from) hintAtFolders(config, dataset, reporter);

  const { batch, images } = validationPlan(dataset.val.count, config.data.size, config.stage1);
  const graphs = evaluationGraphs(networks, perceptual, config.stage1, device, batch);
  const runner = await stage1Runner(networks, perceptual, config.stage1, device, {
    adversarial: (from?.step ?? 0) + 1 >= firstAdversarialStep(starts),
    onSwitch: () => reporter.note('From here on the discriminator acts; a step takes longer.'),
  });
  try {
    if (!from) o.signal?.throwIfAborted(); // Nothing is written yet.
    await writeRunConfig(run, withTrainedPrior(whole, run));
    await recordPictures(run, config.data, dataset.contents);
    const gridOf = (step: number) => gridFile(folder, step);
    const evaluate = toldOnce(validation(networks, config.stage1, dataset.val, graphs, gridOf), (step) => {
      if (existsSync(gridOf(step))) reporter.note(`Originals above their reconstructions: ${gridOf(step)}`);
    });
    const warning = await warnings(networks.model.bottleneck, folder, from?.step ?? 0);
    const stage = stage1(config, networks, folder, dataset, runner, evaluate);
    const result = await runLoop({ ...stage, kept: afresh(starts), warning }, { ...o, from });
    const seen = patternWarning('Reconstructions', patternIn(result.metrics), {
      pictures: images,
      stage1: config.stage1,
    });
    if (seen && !result.stopped) reporter.warn(seen);
    const { skipped, train, val } = dataset;
    if (skipped.length > 0) {
      reporter.warn(describeSkipped(skipped, skipped.length + train.count + val.count));
    }
    return result;
  } finally {
    await runner.dispose();
    await graphs.dispose();
  }
}

/** @param tell after the first validation: pictures are worth looking at long before a training ends */
function toldOnce(evaluate: Stage['evaluate'], tell: (step: number) => void): Stage['evaluate'] {
  let told = false;
  return async (step, ...rest) => {
    const measured = await evaluate(step, ...rest);
    if (!told) tell(step);
    told = true;
    return measured;
  };
}

function startsAt(from: Checkpoint | undefined): Starts | undefined {
  const kept = from && readState(from).kept;
  return kept && savedStarts(kept, from.path);
}

/** The same command again means the same training: it has the steps that were planned. */
function asPlanned(config: Config, { run, budget }: TrainStage1Options): Config {
  const saved = budget && findRunConfig(run);
  if (!saved) return config;
  const { steps, eval_every, checkpoint_every } = saved.stage1;
  return { ...config, stage1: { ...config.stage1, steps, eval_every, checkpoint_every } };
}

/** The colours of label maps are those that the run began with. */
function withKnownLabels(config: Config, run: string): Config {
  const { pictures, labels } = config.data;
  if (pictures !== 'labels' || labels.length > 0) return config;
  const saved = hasCheckpoint(runPaths(run).stage1) ? findRunConfig(run) : undefined;
  return saved ? { ...config, data: { ...config.data, labels: saved.data.labels } } : config;
}

/**
 * The names of the classes that have means of their own, in the config from here on.
 *
 * @throws UserError when there are none, or others than a run began with
 */
async function withClasses(config: Config): Promise<Config> {
  const { bottleneck } = config.stage1;
  if (!bottleneck.class_means) return config;
  const { classes } = await imageSplits(config.data);
  const known = bottleneck.classes;
  if (known.length > 0 && known.join('\n') !== classes.join('\n')) {
    throw expected(
      `images of the classes that the run began with (${known.join(', ')})`,
      '--data',
      classes.join(', '),
      'To train on others, begin a new run: --run DIR.',
    );
  }
  if (classes.length < 2) {
    throw expected(
      'images in two or more subfolders',
      '--data',
      config.data.dir,
      'The subfolders are the classes that stage1.bottleneck.class_means gives means to; false needs none.',
    );
  }
  return { ...config, stage1: { ...config.stage1, bottleneck: { ...bottleneck, classes: [...classes] } } };
}

/** What the run's config says of a prior that has a checkpoint stays true, whatever this call's config says. */
function withTrainedPrior(config: Config, run: string): Config {
  const saved = hasCheckpoint(runPaths(run).prior) ? findRunConfig(run) : undefined;
  return saved ? { ...config, prior: saved.prior } : config;
}

function describe(
  networks: Networks,
  stage1: Stage1Config,
  { train, val, classes }: Dataset,
  reporter: Reporter,
): void {
  const { size, bottleneck } = networks.model;
  const parts = Object.entries(stage1Params(networks)).map(
    ([part, count]) => `${part} ${count.toLocaleString('en')}`,
  );
  const memory = expectedMemory(networks, stage1) / 2 ** 30;
  reporter.note(
    `Images: ${train.count} for training, ${val.count} for validation, ${classes.length} class${classes.length === 1 ? '' : 'es'}, ` +
      `${size}×${size} pixels → ${describeLatent(bottleneck.latent)}.`,
  );
  reporter.note(`Parameters: ${parts.join(', ')}. Memory: about ${memory.toPrecision(2)} GB.`);
}

function hintAtFolders(
  { data: { dir, val_dir } }: Config,
  { train, val }: Dataset,
  reporter: Reporter,
): void {
  if (dir === null) return;
  const hint = layoutHint(dir, val_dir === null ? [...train.names, ...val.names] : train.names, {
    one: (place) => `--data ${place}`,
    two: (place, other) => `--data ${place} --set data.val_dir=${other}`,
    split: val_dir === null,
  });
  if (hint) reporter.note(hint);
}

/** The largest L1 that two pictures in [−1, 1] can have: what is above it is no picture. */
const farthest = 2;

function stage1(
  config: Config,
  networks: Networks,
  folder: string,
  { train }: Dataset,
  runner: StepRunner,
  evaluate: Stage['evaluate'],
): Stage {
  const { stage1, seed } = config;
  const { model } = networks;
  return {
    name: 'Stage 1',
    folder,
    cadence: stage1,
    runner,
    unit: 'images',
    unitsPerStep: stage1.batch_size,
    books: gridsIn(model.bottleneck.latent),
    bestBy: { key: model.net.planes.labels ? 'label_accuracy' : 'psnr', higher: true },
    lr: stage1.lr,
    guarded: {
      ...{ key: 'l1', anew: model.bottleneck.settles, most: farthest },
      ...(model.net.planes.labels && { least: 0.2 }), // It comes near 0, and a few codes that are lost triple it.
    },
    initialState: () => initialState(networks, stage1, seed),
    inputs: (step, { kept, ...course }) =>
      stepInputs(networks, config, train, { step, ...course, starts: kept as Starts }),
    follows: followReconstruction(stage1),
    rowName: async (step, row) => {
      const { data, seed } = config;
      const batch = { ...data, seed, batchSize: stage1.batch_size, step: step - 1 };
      const { indices } = await trainBatch(train, batch);
      return train.names[indices[row] ?? -1];
    },
    observe: (step, outputs) => observe(step, outputs.slice(-stage1.accumulate), model),
    evaluate,
    fields: ({ loss, l1, codebook_usage: used, perplexity, kl, active_units: active, ...more }) => ({
      ...(loss !== undefined && { loss }),
      ...(l1 !== undefined && { l1 }),
      ...(used !== undefined && { 'codes used': `${Math.round(100 * used)} %` }),
      ...(perplexity !== undefined && { perplexity: perplexity.toPrecision(3) }),
      ...(kl !== undefined && { kl: kl.toPrecision(3) }),
      ...(active !== undefined && { 'active units': active.toFixed(0) }),
      ...shownOf(more),
    }),
  };
}

const shownOf = ({ label_accuracy: accuracy, 'val psnr': psnr }: Values): Record<string, string> => ({
  ...(accuracy !== undefined && { 'label accuracy': `${(100 * accuracy).toFixed(1)} %` }),
  ...(psnr !== undefined && { 'val psnr': `${psnr.toFixed(1)} dB` }),
});

/** What the bottleneck warns of; what a run said before `step` is not said again. */
async function warnings(bottleneck: Bottleneck, folder: string, step: number): Promise<Stage['warning']> {
  const watch = bottleneck.watch();
  for (const line of await readMetrics(metricsFile(folder))) {
    if (line.step <= step && line.split === 'train') watch(line.step, line as unknown as Values);
  }
  return watch;
}

const scalars = ['loss', 'l1', 'perceptual', 'generator', 'discriminator', 'adaptive_weight'];

/**
 * Terms that do not act in this step are 0; codes count from the first step that quantises.
 *
 * @param outputs of each micro-batch once
 */
function observe(
  step: number,
  outputs: readonly HostTensors[],
  { bottleneck: { latent, terms, settles }, net }: Model,
): Observation {
  const names = [...scalars, ...(net.planes.labels ? ['label_accuracy'] : []), ...terms];
  const values = Object.fromEntries(names.map((name) => [name, meanOf(outputs, name) ?? 0]));
  Object.assign(values, scaleValues(outputs));
  const codes = gridsIn(latent).map(({ name }) =>
    outputs.flatMap((output) => Array.from(entry(output, name).data)),
  );
  return { values, ...(step >= settles && { codes }) };
}
