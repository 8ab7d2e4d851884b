/**
 * What a command that writes into a run may do with what already stands there: a training starts, goes on, reports the
 * end, or is refused.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expected, type UserError } from '../base/errors.js';
import { holding, type LockOptions } from '../base/lock.js';
import { checkNoLinks, fileInTheWay, writeProtected } from '../base/obstacles.js';
import type { Config } from '../config/schema.js';
import { findRunConfig, noSuchRun, placesNear, runPaths, type StageName } from './run.js';
import { type Checkpoint, isStale, readState } from './store.js';

/** What commands write into a run, each under a lock of its own; `.cache` and what it holds are stage 1's. */
const writtenBy = {
  stage1: ['config.json', 'pictures.json', 'stage1', '.cache'],
  prior: ['config.json', 'prior'],
  tokens: ['config.json', 'tokens', 'condition'],
};

/**
 * Does the work while no other process writes the same part of the run. All that `beginStage` decides belongs inside.
 *
 * @param o.exists whether the run must: nothing is made where it does not
 * @param o.within the folder of the part, in the run, in which alone it writes: others may at the same time
 * @throws UserError, before the work, for a link where it would write, and where another process is at it
 */
export async function occupying<T>(
  o: Pick<LockOptions, 'command' | 'takeOver' | 'reporter'> & {
    readonly run: string;
    readonly part: keyof typeof writtenBy;
    readonly exists: boolean;
    readonly within?: string;
  },
  work: () => Promise<T>,
): Promise<T> {
  const { run, part, exists, within = path.join(run, part), ...how } = o;
  checkPlace({ option: '--run', place: run });
  if (exists && !existsSync(run)) return work(); // Whose error says what is near.
  checkNoLinks(run, writtenBy[part]);
  return holding({ ...how, place: within, option: '--run', named: run }, work);
}

export type Beginning =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'resume'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'finished'; readonly checkpoint: Checkpoint };

/**
 * What a resumed run may change: the length, a prior's patience, the rate, the micro-batches and the cadences, nothing
 * that gives a tensor another shape or meaning.
 */
const changeable = [
  'steps',
  'patience',
  'lr',
  'accumulate',
  'precision',
  'log_every',
  'checkpoint_every',
  'eval_every',
  'keep',
];

/**
 * Decides, and writes nothing: save the config (`writeRunConfig`) once nothing else can refuse.
 *
 * @param o.newest the checkpoint to go on from, where there is one
 * @param o.moved keys of what is the same in another place, which is no difference
 * @param o.config the resolved config of this call, compared with the run's saved one: `seed`, `data` and `stage1`
 *   for both stages, `prior` for the prior
 * @throws UserError when something is in the way, or a key differs that must not
 */
export function beginStage(o: {
  run: string;
  stage: StageName;
  config: Config;
  newest: Checkpoint | undefined;
  resume: boolean;
  moved?: readonly string[];
}): Beginning {
  const { run, stage, config, newest, resume, moved = [] } = o;
  checkPlace({ option: '--run', place: run });
  const saved = findRunConfig(run);
  if (stage === 'prior') {
    if (!saved) throw noSuchRun(run);
    const changed = differences(tokenizerPart(saved), tokenizerPart(config))[0];
    if (changed) throw anotherTokenizer(changed, run);
  }

  const part = stage === 'prior' ? priorPart : tokenizerPart;
  return beginTraining({
    ...{ option: '--run', place: run, folder: runPaths(run)[stage], settings: runPaths(run).config },
    changes: saved && differences(part(saved), part(config)).filter(({ key }) => !moved.includes(key)),
    changeable: changeable.filter((name) => name in config[stage]).map((name) => `${stage}.${name}`),
    newest,
    total: config[stage].steps,
    patience: stage === 'prior' ? config.prior.patience : 0,
    resume,
  });
}

export interface Place {
  /** The option that names the place, and its value. */
  readonly option: string;
  readonly place: string;
}

/**
 * The same for any training with checkpoints.
 *
 * @param o.folder where the checkpoints lie
 * @param o.newest the one to go on from, where there is one
 * @param o.settings the file that holds the settings it began with
 * @param o.changes what is set otherwise now; undefined where no settings were saved
 * @param o.changeable the keys of what a resumed training may change
 */
export function beginTraining(
  o: Place & {
    readonly folder: string;
    readonly settings: string;
    readonly changes: readonly Difference[] | undefined;
    readonly changeable: readonly string[];
    readonly newest: Checkpoint | undefined;
    readonly total: number;
    /** As the loop's `Stage`. */
    readonly patience?: number;
    readonly resume: boolean;
  },
): Beginning {
  checkPlace({ option: o.option, place: o.folder });
  const beginning = foundAt(o);
  if (beginning.kind === 'finished') return beginning;
  const folders = [o.folder, path.join(o.folder, 'grids'), path.dirname(o.folder)];
  const closed = folders.map(writeProtected).find((folder) => folder !== undefined);
  if (closed === undefined) return beginning;
  const next = 'See to its permissions, or copy the run and name the copy.';
  throw expected('a folder that can be written to', o.option, `${o.place}, where ${closed} cannot be`, next);
}

function foundAt(o: Parameters<typeof beginTraining>[0]): Beginning {
  const { folder, changes, total, newest: checkpoint } = o;
  if (!checkpoint) {
    if (o.resume && !changes) throw nothingToResume(o);
    if (!o.resume && !isEmpty(folder)) throw inTheWay(o, 'a training that has not saved a checkpoint');
    return { kind: 'fresh' };
  }
  const { step, validated, stale } = readState(checkpoint);
  const ended = isStale(stale, o.patience);
  const finished = ended || step > total || (step === total && validated === step);
  if (o.resume) {
    const refused = changes?.find(({ key }) => !o.changeable.includes(key));
    if (refused) throw mustNotChange(refused, o);
    return { kind: finished ? 'finished' : 'resume', checkpoint };
  }
  if (!finished || !changes) throw inTheWay(o, `a training at step ${step} of ${total}`);
  const [change] = changes;
  if (change) throw inTheWay(o, `a finished training with another ${change.key}`);
  return { kind: 'finished', checkpoint };
}

/** @throws UserError where a file stands at a folder's place */
export function checkPlace({ option, place }: Place): void {
  const file = fileInTheWay(place);
  if (file)
    throw expected('a folder', option, `${place}, where ${file} is a file`, `Name another ${option}.`);
}

export interface Difference {
  /** Dotted, `stage1.disc.start`. */
  readonly key: string;
  readonly saved: unknown;
  readonly given: unknown;
}

/** Leaves that differ between two configs; lists are leaves. */
export function differences(saved: object, given: object, prefix = ''): Difference[] {
  const before = saved as Record<string, unknown>;
  const after = given as Record<string, unknown>;
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((name) => {
    const key = prefix ? `${prefix}.${name}` : name;
    const [a, b] = [before[name], after[name]];
    if (isSection(a) && isSection(b)) return differences(a, b, key);
    return JSON.stringify(a) === JSON.stringify(b) ? [] : [{ key, saved: a, given: b }];
  });
}

const tokenizerPart = ({ seed, data, stage1 }: Config): object => ({ seed, data, stage1 });
const priorPart = ({ seed, prior }: Config): object => ({ seed, prior });

const isSection = (v: unknown): v is object => typeof v === 'object' && v !== null && !Array.isArray(v);

/** Names with a dot are what a crash left behind. */
const isEmpty = (folder: string): boolean =>
  !existsSync(folder) || readdirSync(folder).every((name) => name.startsWith('.'));

function nothingToResume({ option, place, settings }: Place & { settings: string }): UserError {
  const name = path.basename(settings);
  return expected(
    'a training to go on with',
    option,
    `${place}, ${existsSync(place) ? `which holds no ${name}` : 'which does not exist'}`,
    `${placesNear(place, name)}To start a new one there, leave --resume out.`,
  );
}

function inTheWay({ option, place, folder }: Place & { folder: string }, what: string): UserError {
  return expected(
    'an untrained stage',
    option,
    `${place}, where ${folder} holds ${what}`,
    `Go on with it by --resume, or train elsewhere with another ${option}.`,
  );
}

function mustNotChange(
  { key, saved, given }: Difference,
  o: Place & { settings: string; changeable: readonly string[] },
): UserError {
  const names = o.changeable.map((name) => name.split('.').at(-1));
  return expected(
    `${JSON.stringify(saved)}, as in ${o.settings},`,
    key,
    JSON.stringify(given),
    `--resume changes only ${names.join(', ')}. For another value train with another ${o.option}.`,
  );
}

function anotherTokenizer({ key, saved, given }: Difference, run: string): UserError {
  return expected(
    `${JSON.stringify(saved)}, which the tokenizer in ${run} was trained with,`,
    key,
    JSON.stringify(given),
    'Leave it as it is, or train another tokenizer: vqgen train-stage1 with another --run.',
  );
}
