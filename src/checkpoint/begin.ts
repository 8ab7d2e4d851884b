/** What a training command may do with what already stands in a run: start, go on, report the end, or refuse. */
import { existsSync, readdirSync } from 'node:fs';
import { expected, type UserError } from '../base/errors.js';
import { fileInTheWay } from '../base/files.js';
import type { Config } from '../config/schema.js';
import { findRunConfig, noSuchRun, runPaths, type StageName } from './run.js';
import { type Checkpoint, isStale, latestCheckpoint, readState } from './store.js';

export type Beginning =
  | { readonly kind: 'fresh' }
  | { readonly kind: 'resume'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'finished'; readonly checkpoint: Checkpoint };

/** What a resumed run may change: the length, the patience, the rate, the micro-batches and the cadences, nothing that gives a tensor another shape or meaning. */
const changeable = [
  ...['steps', 'patience', 'lr', 'accumulate', 'log_every', 'checkpoint_every', 'eval_every', 'keep'],
];

/**
 * Decides, and writes nothing: save the config (`writeRunConfig`) once nothing else can refuse.
 *
 * @param o.config the resolved config of this call, compared with the run's saved one: `seed`, `data` and `stage1`
 *   for both stages, `prior` for the prior
 * @throws UserError when something is in the way, or a key differs that must not
 */
export function beginStage(o: { run: string; stage: StageName; config: Config; resume: boolean }): Beginning {
  const { run, stage, config, resume } = o;
  const file = fileInTheWay(run);
  if (file) throw expected('a folder', '--run', `${run}, where ${file} is a file`, 'Name another --run.');
  const saved = findRunConfig(run);
  if (stage === 'prior') {
    if (!saved) throw noSuchRun(run);
    const changed = differences(tokenizerPart(saved), tokenizerPart(config))[0];
    if (changed) throw anotherTokenizer(changed, run);
  }

  const folder = runPaths(run)[stage];
  const checkpoint = latestCheckpoint(folder);
  const part = stage === 'prior' ? priorPart : tokenizerPart;
  const changes = saved ? differences(part(saved), part(config)) : [];
  const total = config[stage].steps;

  if (!checkpoint) {
    if (!resume && !isEmpty(folder))
      throw inTheWay(folder, 'a training that has not saved a checkpoint', run);
    return { kind: 'fresh' };
  }
  const { step, validated, stale } = readState(checkpoint);
  const ended = stage === 'prior' && isStale(stale, config.prior.patience);
  const finished = ended || step > total || (step === total && validated === step);
  if (resume) {
    const refused = changes.find(({ key }) => !changeable.some((name) => key === `${stage}.${name}`));
    if (refused) throw mustNotChange(refused, run);
    return { kind: finished ? 'finished' : 'resume', checkpoint };
  }
  if (!finished || !saved) throw inTheWay(folder, `a training at step ${step} of ${total}`, run);
  if (changes.length > 0) {
    throw inTheWay(folder, `a finished training with another ${changes[0]!.key}`, run);
  }
  return { kind: 'finished', checkpoint };
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

function inTheWay(folder: string, what: string, run: string): UserError {
  return expected(
    'an untrained stage',
    '--run',
    `${run}, where ${folder} holds ${what}`,
    'Go on with it by --resume, or train elsewhere with another --run.',
  );
}

function mustNotChange({ key, saved, given }: Difference, run: string): UserError {
  return expected(
    `${JSON.stringify(saved)}, as in ${runPaths(run).config},`,
    key,
    JSON.stringify(given),
    `--resume changes only ${changeable.join(', ')}. For another value train with another --run.`,
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
