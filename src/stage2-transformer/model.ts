/** The prior of a run: the classes that it knows, and which tokenizer's codes it speaks. */
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { damagedNote, readNote } from '../checkpoint/prior-notes.js';
import { readRunConfig, runPaths, tokenFile } from '../checkpoint/run.js';
import { bestCheckpoint, latestCheckpoint, loadModel, type TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { describeLatent, type Grid } from '../stage1-vqgan/latent.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { priorCondition } from '../tokenize/conditions/begun.js';
import type { ConditionRecord } from '../tokenize/conditions/condition.js';
import { readTokens, type Tokens } from '../tokenize/token-file.js';
import { priorOf, priorSettings } from './index.js';
import type { Prior } from './prior.js';

/** The prior that a run's config names, of its tokenizer's codes. */
export const priorFor = (config: Config, classes: readonly string[] = [], told?: ConditionRecord): Prior =>
  priorOf(priorSettings(config), gridsOf(config), { classes, grids: told ? [told.grid] : [] });

const classesFile = (run: string): string => path.join(runPaths(run).prior, 'classes.json');

/** Notes beside the prior the classes that it is trained with, in the order in which it knows them. */
export async function recordClasses(run: string, classes: readonly string[]): Promise<void> {
  await writeFileAtomic(classesFile(run), `${JSON.stringify(classes)}\n`);
}

/**
 * The names of the classes that the run's prior knows; none where it was trained without.
 *
 * @throws UserError when the file that holds them is damaged
 */
export function priorClasses(run: string): readonly string[] {
  const file = classesFile(run);
  const classes = readNote(file, run) ?? [];
  if (Array.isArray(classes) && classes.every((name) => typeof name === 'string')) return classes;
  throw damagedNote(file, run);
}

const mostListed = 30;

/** `apple, boat, cat`, of many classes the first few. */
export function listed(classes: readonly string[]): string {
  if (classes.length <= mostListed) return classes.join(', ');
  return `${classes.slice(0, mostListed).join(', ')} and ${classes.length - mostListed} more`;
}

const tokenizerFile = (run: string): string => path.join(runPaths(run).prior, 'tokenizer.json');

/** Notes beside the prior which tokenizer it is trained for. */
export async function recordTokenizer(run: string, sha256: string): Promise<void> {
  await writeFileAtomic(tokenizerFile(run), `${JSON.stringify({ sha256 })}\n`);
}

/** Whether the prior was trained for the tokenizer `sha256`, as far as the run notes for which it was. */
export function speaksCodesOf(run: string, sha256: string): boolean {
  const noted = readNote(tokenizerFile(run), run) as { sha256?: unknown } | undefined;
  return noted === undefined || noted?.sha256 === sha256;
}

/** @throws UserError when the prior was trained for another tokenizer than the run's present one */
export function checkTokenizer(run: string, sha256: string): void {
  if (speaksCodesOf(run, sha256)) return;
  throw expected(
    'a prior for the present tokenizer',
    '--run',
    `${run}, whose tokenizer was trained on after its prior`,
    `Remove ${runPaths(run).prior}, then: vqgen tokenize --run ${run} and vqgen train-prior --run ${run}`,
  );
}

export interface TrainedPrior extends TrainedModel {
  readonly model: Prior;
  readonly classes: readonly string[];
  readonly told?: ConditionRecord;
}

/**
 * The tokenizer, and the prior's checkpoint with the lowest validation loss, which after overfitting is not the
 * newest.
 *
 * @throws UserError when one is missing or they do not belong together
 */
export async function loadModels(run: string): Promise<{ prior: TrainedPrior; tokenizer: TrainedModel }> {
  const tokenizer = await loadModel(run, 'stage1');
  const prior = await loadModel(run, 'prior', bestCheckpoint(runPaths(run).prior));
  checkTokenizer(run, tokenizer.sha256);
  const [classes, told] = [priorClasses(run), priorCondition(run)];
  const model = priorFor(readRunConfig(run), classes, told);
  return { prior: { ...prior, model, classes, told }, tokenizer };
}

/** The same, the prior only where the run has one. */
export async function loadTrainedParts(
  run: string,
): Promise<{ tokenizer: TrainedModel; prior?: TrainedPrior }> {
  if (latestCheckpoint(runPaths(run).prior)) return loadModels(run);
  return { tokenizer: await loadModel(run, 'stage1') };
}

/**
 * A token file of the run's.
 *
 * @param grids of the run's tokenizer. @param sha256 its
 * @throws UserError when it is missing, of another tokenizer or of another size
 */
export async function tokensFor(
  run: string,
  split: string,
  grids: readonly Grid[],
  sha256: string,
): Promise<Tokens> {
  const file = tokenFile(run, split);
  const again = `Next: vqgen tokenize --run ${run}`;
  const tokens = await readTokens(file, again);
  const described = (grids: readonly Grid[]) => describeLatent({ kind: 'codes', grids });
  const [wanted, found] = [described(grids), described(tokens.grids)];
  if (wanted !== found) throw expected(wanted, file, found, again);
  if (tokens.tokenizer !== sha256) {
    throw expected(
      `tokens of the tokenizer in ${run}`,
      file,
      'tokens of another one, or of an earlier step',
      again,
    );
  }
  if (tokens.count === 0) throw expected('at least one sequence', file, 'none', again);
  return tokens;
}
