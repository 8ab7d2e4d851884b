/** `vqgen train-perceptual`: folders of labelled images → a classifier whose features compare images. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { nth, only, picked } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { version } from '../base/root.js';
import { type HostTensors, scalar } from '../base/tensor.js';
import { beginTraining, differences } from '../checkpoint/begin.js';
import { writeWithSum } from '../checkpoint/content-sum.js';
import { resumable, setAside, tellOfDamage } from '../checkpoint/integrity.js';
import { inHalves } from '../checkpoint/safetensors.js';
import { type Checkpoint, latestCheckpoint, loadCheckpoint, readState } from '../checkpoint/store.js';
import { evalImages } from '../data/batches.js';
import { type Dataset, everyImage, type ImageSet, openSplits, type Splits } from '../data/dataset.js';
import { drawnImages } from '../data/drawn.js';
import { padBatch } from '../data/inference-batch.js';
import { layoutHint } from '../data/layout.js';
import { describeSkipped, joinSources, listImages, relabel, type Skipped } from '../data/source.js';
import { splitNames } from '../data/split.js';
import type { Device, Graph, StepRunner } from '../engine/device.js';
import { under } from '../nn/params.js';
import { type LoopResult, runLoop, type Stage } from '../train/loop.js';
import { lastValues } from '../train/metrics.js';
import { learningRate } from '../train/schedule.js';
import { classifierBatch } from './batches.js';
import { type Accuracy, accuracyOn, openClassifier } from './classifier.js';
import { trainedFile } from './load.js';
import { occupying } from './occupying.js';
import { readSettings, type Settings } from './settings.js';
import {
  classifierEvaluation,
  classifierState,
  classifierStep,
  foldProgram,
  initialClassifier,
} from './step.js';
import { pooling } from './trained-features.js';

export interface TrainPerceptualOptions {
  /** Folders whose subfolders are the classes; none: the built-in drawings. */
  readonly data: readonly string[];
  /** Folders of unseen images; none: a share of the data. */
  readonly val: readonly string[];
  readonly out: string;
  /** Side of the images, pixels. */
  readonly size?: number;
  readonly steps?: number;
  readonly seed?: number;
  readonly resume: boolean;
  /** As a lock's. */
  readonly takeOver?: boolean;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

export interface TrainPerceptualSummary {
  readonly run: string;
  readonly step: number;
  readonly loss: number;
  /** On unseen images, of the weights as they are in `file`; null where the training was stopped before its end. */
  readonly accuracy: number | null;
  /** The same of each folder of unseen images. */
  readonly val: readonly (Accuracy & { readonly data: string })[];
  readonly seconds: number;
  readonly classes: readonly string[];
  readonly file: string | null;
  readonly metrics: Readonly<Record<string, number>>;
  readonly stopped: boolean;
}

const allClassifiersDamaged =
  'No checkpoint is left: put back a copy of that file, or train into another --out.';

const batchSize = 64;
const smallest = 16;
const shareOfVal = 0.1;

/** Numbers of drawings and their seed are those of every run's data set. */
const drawings = { count: 8000, seed: 0 };

const recipe = ({ steps }: Settings) => ({
  steps,
  lr: 2e-3,
  warmup: Math.floor(steps / 20),
  schedule: 'cosine' as const,
  log_every: 50,
  eval_every: 500,
  checkpoint_every: 500,
  keep: 2,
});

/** @throws UserError for missing or unreadable images, fewer than two classes, or a training in the way */
export const trainPerceptual = (o: TrainPerceptualOptions): Promise<TrainPerceptualSummary> =>
  occupying(o, () => train(o));

async function train(o: TrainPerceptualOptions): Promise<TrainPerceptualSummary> {
  const { out } = o;
  const folder = path.join(out, 'training');
  const settingsFile = path.join(out, 'settings.json');
  const saved = existsSync(settingsFile) ? readSettings(settingsFile, out) : undefined;
  const settings = settingsOf(o, o.resume ? saved : undefined);
  const found = await resumable(folder, allClassifiersDamaged);
  const beginning = beginTraining({
    newest: found.sound?.checkpoint,
    ...{ option: '--out', place: out, folder, settings: settingsFile },
    changes: saved && differences(saved, settings),
    changeable: ['steps'],
    total: settings.steps,
    resume: o.resume,
  });
  await (o.resume ? setAside(folder, found, o.reporter) : tellOfDamage(found, o.reporter));
  const sources = await listSources(settings, o.reporter);
  const { classes } = sources.splits;
  if (beginning.kind === 'fresh') for (const hint of sources.hints) o.reporter.note(hint);
  const training = { ...o, sources, settings, settingsFile, folder };
  const result =
    beginning.kind === 'finished'
      ? await finished(training, beginning.checkpoint)
      : await runTraining(training, beginning.kind === 'resume' ? beginning.checkpoint : undefined);

  const { step, loss, seconds, metrics, stopped } = result;
  const common = { run: out, step, loss, seconds, classes, metrics, stopped };
  if (stopped) return { ...common, accuracy: null, val: [], file: null };
  const file = path.join(out, trainedFile);
  await writeTrained(file, classes, training);
  const val = await measure(file, training);
  const images = val.reduce((sum, part) => sum + part.images, 0);
  const accuracy = val.reduce((sum, part) => sum + part.accuracy * part.images, 0) / images;
  return { ...common, accuracy, val, file };
}

/** @param saved what a resumed training began with: it stands for what is not given */
function settingsOf(o: TrainPerceptualOptions, saved?: Settings): Settings {
  const absolute = (folders: readonly string[]) => folders.map((folder) => path.resolve(folder));
  const { size = saved?.size ?? 32, steps = saved?.steps ?? 1000, seed = saved?.seed ?? 0 } = o;
  const data = o.data.length > 0 ? absolute(o.data) : (saved?.data ?? []);
  const val = o.val.length > 0 ? absolute(o.val) : (saved?.val ?? []);
  if (size < smallest) {
    throw expected(`at least ${smallest}`, '--size', size, 'The classifier halves its images four times.');
  }
  if (val.length > 0 && data.length === 0) {
    throw expected('--data', '--val', 'no --data', 'The built-in drawings bring unseen ones of their own.');
  }
  return { data, val, size, steps, seed, pooling };
}

interface Sources {
  readonly splits: Splits;
  /** The unseen images by the folder that they are from. */
  readonly unseen: readonly { readonly data: string; readonly subset: Splits['val'] }[];
  /** Of folders that are hardly meant as classes. */
  readonly hints: readonly string[];
}

async function listSources({ data, val }: Settings, reporter: Reporter): Promise<Sources> {
  const listed = (folders: readonly string[], where: string, without: readonly Skipped[] = []) =>
    Promise.all(folders.map((folder) => listImages(folder, where, { reporter, without })));
  const unseen = val.map((name) => ({ name, reason: 'for validation, --val' }));
  const own =
    data.length > 0 ? await listed(data, '--data', unseen) : [drawnImages(drawings.count, drawings.seed)];
  const source = joinSources(own);
  const { classes } = source;
  const hints = data.length === 0 ? [] : own.flatMap(({ origin, names }) => hintAt(origin.value, names, val));
  if (classes.length < 2) {
    throw expected(
      'images of at least two classes',
      '--data',
      source.origin.value,
      hints[0] ?? 'Subfolders are the classes.',
    );
  }
  if (val.length === 0) {
    const parts = splitNames(source.names, shareOfVal);
    const splits = {
      classes,
      train: { source, indices: parts.train },
      val: { source, indices: parts.val },
    };
    return { splits, unseen: [{ data: source.origin.value, subset: splits.val }], hints };
  }
  const others = await listed(val, '--val');
  for (const { classes: named, origin } of others) {
    const strange = named.find((name) => !classes.includes(name));
    if (strange !== undefined) {
      throw expected(
        `only classes of --data (${classes.join(', ')})`,
        '--val',
        `${origin.value} with ${strange}`,
      );
    }
  }
  const joined = relabel(joinSources(others), classes);
  return {
    splits: { classes, train: everyImage(source), val: everyImage(joined) },
    unseen: others.map((other) => ({ data: other.origin.value, subset: everyImage(other) })),
    hints,
  };
}

function hintAt(dir: string, names: readonly string[], val: readonly string[]): string[] {
  const hint = layoutHint(dir, names, {
    one: (place) => `--data ${place}`,
    two: (place, other) => `--data ${place} --val ${other}`,
    split: val.length === 0,
  });
  return hint ? [hint] : [];
}

type Training = TrainPerceptualOptions & {
  readonly sources: Sources;
  readonly settings: Settings;
  readonly settingsFile: string;
  readonly folder: string;
};

async function finished({ out, folder, reporter }: Training, checkpoint: Checkpoint): Promise<LoopResult> {
  const { step, seconds, best } = readState(checkpoint);
  reporter.note(`The classifier in ${out} is finished at step ${step}.`);
  return { step, seconds, best, ...(await lastValues(folder)), stopped: false };
}

async function runTraining(o: Training, from?: Checkpoint): Promise<LoopResult> {
  const { device, settings, reporter, signal } = o;
  const { size } = settings;
  const dataset = await openSplits(o.sources.splits, {
    ...{ size, val_fraction: shareOfVal, cacheDir: path.join(o.out, '.cache'), reporter, signal },
  });
  const { train, val, skipped } = dataset;
  const classes = dataset.classes.length;
  if (skipped.length > 0) reporter.warn(describeSkipped(skipped, skipped.length + train.count + val.count));
  reporter.note(
    `Images: ${train.count} for training, ${val.count} for validation, ${classes} classes, ${size}×${size} pixels.`,
  );
  const sizes = { classes, size, batch: batchSize };
  const runner = await device.prepareStep(classifierStep(sizes));
  const graph = await device.prepare(classifierEvaluation(sizes));
  try {
    if (!from) signal?.throwIfAborted(); // Nothing is written yet.
    await writeFileAtomic(o.settingsFile, `${JSON.stringify({ vqgen: version, ...settings }, null, 2)}\n`);
    return await runLoop(stage(o, dataset, runner, graph), { from, reporter, signal });
  } finally {
    await runner.dispose();
    await graph.dispose();
  }
}

function stage(
  { settings, folder }: Training,
  dataset: Dataset,
  runner: StepRunner,
  graph: Graph<'images', 'logits'>,
): Stage {
  const { size, seed } = settings;
  const classes = dataset.classes.length;
  const schedule = recipe(settings);
  return {
    name: 'Classifier',
    folder,
    cadence: schedule,
    runner,
    unit: 'images',
    unitsPerStep: batchSize,
    books: [],
    bestBy: { key: 'accuracy', higher: true },
    lr: schedule.lr,
    guarded: { key: 'loss' },
    initialState: () => initialClassifier(classes, seed),
    inputs: async (step, { factor }) => [
      {
        ...(await classifierBatch(dataset.train, classes, {
          size,
          flip: true,
          batchSize,
          seed,
          step: step - 1,
        })),
        lr: scalar(factor * learningRate(step, schedule)),
        step: scalar(step),
      },
    ],
    observe(_, outputs) {
      const { loss, accuracy } = picked(only(outputs), ['loss', 'accuracy']);
      return { values: { loss: only(loss.data), accuracy: only(accuracy.data) } };
    },
    evaluate: (_, state, signal) =>
      validate(dataset.val, under('model', state), graph, { size, classes, signal }),
    fields: ({ loss, accuracy, 'val accuracy': val }) => ({
      ...(loss !== undefined && { loss }),
      ...(accuracy !== undefined && { accuracy }),
      ...(val !== undefined && { 'val accuracy': val }),
    }),
  };
}

/** Validation images between two parts of a training, spread over the set. */
const mostImages = 2048;

async function validate(
  set: ImageSet,
  model: HostTensors,
  graph: Graph<'images', 'logits'>,
  { size, classes, signal }: { size: number; classes: number; signal?: AbortSignal },
): Promise<{ loss: number; accuracy: number }> {
  const n = Math.min(set.count, mostImages);
  const indices = Array.from({ length: n }, (_, i) => Math.floor((i * set.count) / n));
  const sums = { loss: 0, accuracy: 0 };
  for (let at = 0; at < n && !signal?.aborted; at += batchSize) {
    const part = indices.slice(at, at + batchSize);
    const images = padBatch(await evalImages(set, part, size), batchSize);
    const logits = (await graph.run({ ...model, images })).logits.data as Float32Array;
    for (const [i, index] of part.entries()) {
      const own = logits.subarray(i * classes, (i + 1) * classes);
      const label = nth(set.labels, index);
      const highest = Math.max(...own);
      const rest = own.reduce((sum, v) => sum + Math.exp(v - highest), 0);
      sums.loss += highest + Math.log(rest) - nth(own, label);
      sums.accuracy += own.indexOf(highest) === label ? 1 : 0;
    }
  }
  return { loss: sums.loss / n, accuracy: sums.accuracy / n };
}

/** The newest checkpoint as a network of its own, in half precision, with what it is about. */
async function writeTrained(file: string, classes: readonly string[], o: Training): Promise<void> {
  const checkpoint = latestCheckpoint(o.folder);
  if (!checkpoint) throw new Error('internal: a training that ended left no checkpoint');
  const state = await loadCheckpoint(checkpoint, classifierState(classes.length));
  const graph = await o.device.prepare(foldProgram(classes.length));
  try {
    const weights = await graph.run(under('model', state));
    const halves = Object.entries(weights).map(([name, t]) => [name, inHalves(t)]);
    await writeWithSum(file, Object.fromEntries(halves), {
      format: 'vqgen-classifier',
      classes: JSON.stringify(classes),
      size: `${o.settings.size}`,
      pooling,
    });
  } finally {
    await graph.dispose();
  }
}

async function measure(
  file: string,
  { device, signal, sources }: Training,
): Promise<TrainPerceptualSummary['val']> {
  const classifier = await openClassifier(device, file);
  try {
    const results: TrainPerceptualSummary['val'][number][] = [];
    for (const { data, subset } of sources.unseen)
      results.push({ data, ...(await accuracyOn(classifier, subset, { signal })) });
    return results;
  } finally {
    await classifier.dispose();
  }
}
