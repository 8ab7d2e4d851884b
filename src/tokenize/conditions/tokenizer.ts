/** The tokenizer of what a prior is told: the run that the user names, and the copy of it that is in the prior's run. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../../base/errors.js';
import { writeFolderAtomic } from '../../base/files.js';
import { fileInTheWay } from '../../base/obstacles.js';
import type { Reporter } from '../../base/progress.js';
import { describeDamage, soundCheckpoint } from '../../checkpoint/integrity.js';
import { placesNear, readRunConfig, runPaths, writeRunConfig } from '../../checkpoint/run.js';
import { copyWeights, hasCheckpoint, type TrainedModel } from '../../checkpoint/store.js';
import { ownTokenizer } from '../../config/conditions.js';
import type { Config } from '../../config/schema.js';
import { loadTokenizer } from '../../stage1-vqgan/trained.js';
import { priorCondition } from './begun.js';
import type { ConditionRecord } from './condition.js';

export interface ToldTokenizer {
  /** Its run. */
  readonly place: string;
  readonly config: Config;
  readonly model: TrainedModel;
}

export const tokenizerKey = 'prior.condition.tokenizer';

const isRun = (place: string): boolean => existsSync(runPaths(place).config);

/** Whether there is a tokenizer that codes can be made with. */
export const isTrained = (place: string): boolean => isRun(place) && hasCheckpoint(runPaths(place).stage1);

/** Where a run has the tokenizer of what its prior is told; undefined where that needs none. */
export function toldPlace(
  run: string,
  { kind, tokenizer }: Pick<ConditionRecord, 'kind'> & { readonly tokenizer?: unknown },
): string | undefined {
  if (!tokenizer) return undefined;
  return kind === 'lowres' ? run : runPaths(run).condition;
}

/**
 * Where that lies which the config names: there, where it still is a run, or the run's copy of it.
 *
 * @param set what is changed in this call: what it names is meant to be there
 */
export function namedPlace({ prior }: Config, run: string, set: readonly string[] = []): string | undefined {
  const { tokenizer } = prior.condition;
  if (tokenizer === null) return undefined;
  if (tokenizer === ownTokenizer) return run;
  if (set.some((item) => item.startsWith(`${tokenizerKey}=`))) return tokenizer;
  const copy = runPaths(run).condition;
  return isRun(tokenizer) || !isRun(copy) ? tokenizer : copy;
}

/**
 * Of a place that the config names, before any work.
 *
 * @throws UserError where no run stands there, or one without a tokenizer, or `run` cannot keep a copy of it
 */
export async function checkNamed(place: string, run: string): Promise<void> {
  checkTrained(place);
  await copyPlace(place, (await shaIn(place)) ?? (await loaded(place)).model.sha256, run);
}

function checkTrained(place: string): void {
  if (isTrained(place)) return;
  const next = `Train one: vqgen train-stage1 --config maps-labels --run ${place}`;
  if (isRun(place)) {
    const go = `Next: vqgen train-stage1 --run ${place}`;
    throw expected('a trained tokenizer', tokenizerKey, `${place}, which has none yet`, go);
  }
  const received = `${place}, which ${existsSync(place) ? 'holds no config.json' : 'does not exist'}`;
  throw expected('a run', tokenizerKey, received, placesNear(place, 'config.json') + next);
}

/** @throws UserError where no run stands at the place, or one without a tokenizer */
export async function namedTokenizer(place: string, reporter?: Reporter): Promise<ToldTokenizer> {
  checkTrained(place);
  return loaded(place, reporter);
}

async function loaded(place: string, reporter?: Reporter): Promise<ToldTokenizer> {
  const config = readRunConfig(place);
  return { place, config, model: await loadTokenizer(place, config, { reporter }) };
}

/**
 * That whose codes a run's prior is told; undefined where no tokenizer makes them.
 *
 * @throws UserError where the run has none, or another
 */
export async function toldTokenizer(
  run: string,
  record: ConditionRecord,
  reporter?: Reporter,
): Promise<ToldTokenizer | undefined> {
  const place = toldPlace(run, record);
  if (place === undefined) return undefined;
  const wanted = record.tokenizer?.sha256;
  if (wanted === undefined) return loaded(place, reporter);
  const what = `the tokenizer ${wanted.slice(0, 8)}, of whose codes the prior is told,`;
  if (!isTrained(place)) {
    const next = `Copy it there again: vqgen tokenize --run ${run} --set ${tokenizerKey}=DIR, the run that it is of.`;
    throw expected(what, place, 'no tokenizer', next);
  }
  const found = await loaded(place, reporter);
  if (found.model.sha256 === wanted) return found;
  const [damage] = found.model.damaged;
  const next = 'A prior knows no codes of another: put back what it was, or train another prior.';
  if (damage)
    throw expected(what, place, `another, as ${describeDamage(damage)}`, 'Put back a copy of that file.');
  throw expected(what, place, found.model.sha256.slice(0, 8), next);
}

/**
 * Does the work that needs a tokenizer, then has the run keep a copy of it, by which it is whole without the one it
 * came from. The copy is made before, as that one may be trained on meanwhile, and stays only if the work succeeds.
 *
 * @throws UserError, before the work, where the run's prior needs another, or something else stands in the copy's place
 */
export async function keeping<T>(
  tokenizer: ToldTokenizer | undefined,
  run: string,
  work: () => Promise<T>,
): Promise<T> {
  const home = tokenizer && (await copyPlace(tokenizer.place, tokenizer.model.sha256, run));
  if (!tokenizer || home === undefined) return work();
  const done: T[] = [];
  await writeFolderAtomic(home, async (folder) => {
    await writeRunConfig(folder, tokenizer.config);
    await copyWeights(tokenizer.model, runPaths(folder).stage1);
    done.push(await work());
  });
  return done[0] as T;
}

/**
 * Where a copy goes; undefined where none is needed.
 *
 * @throws UserError where the run's prior needs another, or something else stands there
 */
async function copyPlace(place: string, sha256: string, run: string): Promise<string | undefined> {
  const { condition: home, prior } = runPaths(run);
  const [here, there] = [path.resolve(place), path.resolve(home)];
  if (here === there || here === path.resolve(run)) return undefined;
  if ((await shaIn(home)) === sha256) return undefined;
  const began = priorCondition(run)?.tokenizer?.sha256;
  if (began !== undefined && began !== sha256) {
    const what = `the tokenizer ${began.slice(0, 8)}, with whose codes the prior in ${run} was begun,`;
    const keeps = isTrained(home) ? `For its codes: --set ${tokenizerKey}=${home}. ` : '';
    const next = `${keeps}For others remove ${prior}, or train in another run.`;
    throw expected(what, tokenizerKey, `${place}, ${sha256.slice(0, 8)}`, next);
  }
  checkReplaceable(home);
  return home;
}

/** Of the tokenizer in a run, if it has one that is not damaged. */
async function shaIn(place: string): Promise<string | undefined> {
  if (!isRun(place)) return undefined;
  return (await soundCheckpoint(runPaths(place).stage1)).sound?.sha256;
}

/** @throws UserError where something stands that is no copy of a tokenizer */
function checkReplaceable(home: string): void {
  const file = fileInTheWay(home);
  const other = file !== undefined || (existsSync(home) && !isRun(home) && readdirSync(home).length > 0);
  if (!other) return;
  const received = file === undefined ? 'a folder without config.json' : 'a file';
  const next = 'It would be replaced by a copy of the tokenizer: move it elsewhere.';
  throw expected('a run, or nothing', home, received, next);
}
