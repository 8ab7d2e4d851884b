/** What is done for a room: trainings, tokens and pictures, by the functions behind the commands of these names. */
import { cpSync, existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { writeFileAtomic, writeFolderAtomic } from '../base/files.js';
import type { Reporter } from '../base/progress.js';
import { readRunConfig, runPaths, writeRunConfig } from '../checkpoint/run.js';
import { hasCheckpoint } from '../checkpoint/store.js';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { openDataset, readableSplits, type Subset } from '../data/dataset.js';
import { tilesOf } from '../data/tiles.js';
import type { Device } from '../engine/device.js';
import { trainStage1 } from '../stage1-vqgan/train.js';
import { trainPrior } from '../stage2-transformer/train.js';
import { tokenize } from '../tokenize/tokenize.js';
import { type Budget, TooShort } from '../train/budget.js';
import { makeExhibit } from './exhibit.js';
import type { Exhibit, Ledger } from './ledger.js';
import { figureColumns, figuresOf, runOf } from './places.js';
import { extentFor, warmupIn } from './plan.js';
import type { Room, Work } from './rooms.js';
import { firstOfEach, readPictures, spreadOver } from './unseen.js';

/** What a museum is of. */
export type Subject = Pick<Ledger, 'data' | 'budget' | 'seed'>;

export interface Done {
  /** Whether the signal ended it, after saving. */
  readonly stopped?: boolean;
  /** Of a training. */
  readonly steps?: number;
  readonly exhibit?: Exhibit;
}

export interface Time {
  /** Of a training, to plan with. */
  readonly seconds: number;
  /** After which it ends wherever it is. */
  readonly most: number;
  readonly reporter: Reporter;
}

export interface Workshop {
  /** Decodes the pictures, for all rooms. @throws UserError where there are none */
  prepare(reporter: Reporter): Promise<NonNullable<Ledger['pictures']>>;
  /** A training that was stopped goes on to the end that was planned for it. */
  work(work: Work, time: Time): Promise<Done>;
}

/** Unseen pictures that all rooms show, at most. */
const mostShown = 2 * figureColumns;

/** Steps of a training for which there is no time at all. */
const fewest = 20;

export function openWorkshop(
  out: string,
  subject: Subject,
  o: { device: Device; signal: AbortSignal },
): Workshop {
  const { device, signal } = o;
  const cacheDir = path.join(out, '.cache');
  const extent = extentFor(subject.budget);
  const data = configOf('ae', subject).data;
  let found: Promise<Found> | undefined;
  const unseen = (reporter: Reporter): Promise<Found> => {
    found ??= findUnseen(data, extent.measured, { reporter, signal });
    return found;
  };

  const tokenizer = async (room: Room, time: Time): Promise<Done> => {
    const run = runOf(out, room);
    const how = { run, cacheDir, device, reporter: time.reporter };
    if (hasCheckpoint(runPaths(run).stage1)) {
      const config = readRunConfig(run);
      return ending((until) => trainStage1({ ...how, config, resume: true, signal: until }), time, signal);
    }
    await fs.rm(run, { recursive: true, force: true });
    const config = configOf(room.config, subject);
    const { warmup, codebook } = config.stage1;
    const short = (steps: number): number => warmupIn(time.seconds, steps);
    const stage1 = {
      ...config.stage1,
      warmup: short(warmup),
      codebook: { ...codebook, warmup: short(codebook.warmup) },
    };
    const train: Train = (planned, o) =>
      trainStage1({ ...how, ...o, config: { ...config, stage1: { ...stage1, ...planned } }, resume: false });
    return inTime(train, time, signal);
  };

  const prior = async (room: Room, time: Time): Promise<Done> => {
    const run = runOf(out, room);
    if (room.tokenizerOf && !existsSync(run)) await adopt(runOf(out, { name: room.tokenizerOf }), run, room);
    const how = { run, device, reporter: time.reporter };
    const config = readRunConfig(run);
    if (hasCheckpoint(runPaths(run).prior)) {
      return ending((until) => trainPrior({ ...how, config, resume: true, signal: until }), time, signal);
    }
    await fs.rm(runPaths(run).prior, { recursive: true, force: true });
    const warmup = warmupIn(time.seconds, configOf(room.config, subject).prior.warmup);
    const train: Train = (planned, o) =>
      trainPrior({
        ...how,
        ...o,
        config: { ...config, prior: { ...config.prior, warmup, ...planned } },
        resume: false,
      });
    return inTime(train, time, signal);
  };

  /** The prior's settings of the room's config on another room's tokenizer and tokens. */
  const adopt = (from: string, run: string, room: Room): Promise<void> =>
    writeFolderAtomic(run, async (folder) => {
      const { pictures, stage1, tokens } = runPaths(from);
      for (const part of [pictures, stage1, tokens].filter((part) => existsSync(part))) {
        cpSync(part, path.join(folder, path.basename(part)), { recursive: true });
      }
      const { prior, sample } = configOf(room.config, subject);
      await writeRunConfig(folder, { ...readRunConfig(from), prior, sample }, run);
    });

  const exhibit = async (room: Room, reporter: Reporter): Promise<Done> => {
    const { shown, measured } = await unseen(reporter);
    const { seed } = subject;
    const folder = figuresOf(out, room);
    const how = { run: runOf(out, room), unseen: measured, seed, device, reporter, signal };
    return { exhibit: await makeExhibit({ ...how, room, folder, shown: shown.pictures }) };
  };

  return {
    async prepare(reporter) {
      const dataset = await openDataset(data, { cacheDir, reporter, signal });
      const { shown } = await unseen(reporter);
      for (const [name, pictures] of Object.entries({
        originals: shown.pictures,
        'originals-row': shown.pictures.slice(0, figureColumns),
      })) {
        const { png } = await tilesOf(pictures, { size: data.size, columns: figureColumns });
        await writeFileAtomic(path.join(out, 'rooms', `${name}.png`), png);
      }
      const { train, val, classes } = dataset;
      return { train: train.count, val: val.count, classes: [...classes], shown: [...shown.names] };
    },
    async work({ room, kind }, time) {
      const { reporter } = time;
      if (kind === 'tokenizer') return tokenizer(room, time);
      if (kind === 'prior') return prior(room, time);
      if (kind === 'exhibit') return exhibit(room, reporter);
      await tokenize({ run: runOf(out, room), device, reporter, signal });
      return {};
    },
  };
}

/** Of all priors alike: in minutes they learn classes loosely. */
const guidance = 2;

/** A room's config on the subject. */
function configOf(name: string, { data, budget, seed }: Subject): Config {
  const overrides = {
    'data.dir': data ?? undefined,
    'data.drawn': extentFor(budget).drawn,
    'sample.cfg_scale': guidance,
    'stage1.keep': 1, // Of a dozen trainings.
    'prior.keep': 1,
    seed,
  };
  return loadConfig({ config: name, overrides });
}

interface Found {
  readonly shown: { readonly pictures: readonly Float32Array[]; readonly names: readonly string[] };
  readonly measured: Subset;
}

async function findUnseen(
  data: Config['data'],
  most: number,
  o: { reporter: Reporter; signal: AbortSignal },
): Promise<Found> {
  const { val } = await readableSplits(data, 'data.dir', o);
  const { signal } = o;
  const shown = await readPictures(val, firstOfEach(val, mostShown), { size: data.size, signal });
  return { shown, measured: spreadOver(val, most) };
}

interface Trained {
  readonly step: number;
  readonly stopped: boolean;
}

type Train = (
  planned: { steps?: number; eval_every?: number; checkpoint_every?: number; warmup?: number },
  o: { budget?: Budget; signal: AbortSignal },
) => Promise<Trained>;

/** Within the time; where there is too little, as few steps as make sense, as a museum has no empty rooms. */
async function inTime(train: Train, time: Time, signal: AbortSignal): Promise<Done> {
  const started = performance.now();
  const budget = { seconds: time.seconds, spent: () => (performance.now() - started) / 1000 };
  try {
    return await ending((until) => train({}, { budget, signal: until }), time, signal);
  } catch (error) {
    const late = !signal.aborted && (error as Error | undefined)?.name === 'TimeoutError';
    if (!late && !(error instanceof TooShort)) throw error;
    time.reporter.warn(`There is no time for a training; it has ${fewest} steps.`);
    const every = { steps: fewest, eval_every: fewest, checkpoint_every: fewest };
    return asDone(await train({ ...every, warmup: 2 }, { signal }), signal);
  }
}

/** A training that ends at the latest after the most seconds that it may take. @throws what it throws before it began */
async function ending(
  train: (until: AbortSignal) => Promise<Trained>,
  { most }: Time,
  signal: AbortSignal,
): Promise<Done> {
  const late = AbortSignal.timeout(Math.max(1, Math.ceil(1000 * most)));
  return asDone(await train(AbortSignal.any([signal, late])), signal);
}

const asDone = ({ step, stopped }: Trained, { aborted }: AbortSignal): Done => ({
  steps: step,
  stopped: stopped && aborted,
});
