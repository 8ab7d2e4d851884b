/** The prior of a run: the classes that it knows, and which tokenizer's codes it speaks. */
import path from 'node:path';
import * as z from 'zod';
import { expected, type UserError } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import type { Reporter } from '../base/progress.js';
import { describeDamage, setAsideModel } from '../checkpoint/integrity.js';
import { damagedNote, readNote } from '../checkpoint/prior-notes.js';
import { readRunConfig, runPaths, tokenFile } from '../checkpoint/run.js';
import { fitting, hasCheckpoint, loadModel, type TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { specsOf } from '../nn/params.js';
import { describeLatent, type Grid } from '../stage1-vqgan/latent.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { loadTokenizer } from '../stage1-vqgan/trained.js';
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

type Warns = Pick<Reporter, 'warn'>;

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

const noteSchema = z.object({ sha256: z.string() });

/** The tokenizer that the prior was trained for, as far as the run notes it. @throws UserError for a damaged note */
function notedTokenizer(run: string): string | undefined {
  const file = tokenizerFile(run);
  const noted = readNote(file, run);
  if (noted === undefined) return undefined;
  const { data } = noteSchema.safeParse(noted);
  if (data) return data.sha256;
  throw damagedNote(file, run);
}

/** Whether the prior was trained for the tokenizer `sha256`, as far as the run notes for which it was. */
export function speaksCodesOf(run: string, sha256: string): boolean {
  const noted = notedTokenizer(run);
  return noted === undefined || noted === sha256;
}

/** A run's tokenizer, as far as it is compared with what was made by it. */
export type PresentTokenizer = Pick<TrainedModel, 'step' | 'sha256' | 'path' | 'damaged' | 'checked'>;

/** @throws UserError when the prior was trained for another tokenizer than the run's present one */
export function checkTokenizer(run: string, tokenizer: PresentTokenizer): void {
  const noted = notedTokenizer(run);
  if (noted === undefined || noted === tokenizer.sha256) return;
  throw anotherTokenizer(run, tokenizer, {
    wanted: noted,
    what: 'a prior for the present tokenizer',
    where: '--run',
    since: `${run}, whose tokenizer was trained on after its prior`,
    again: `remove ${runPaths(run).prior}, then: vqgen tokenize --run ${run} and vqgen train-prior --run ${run}`,
  });
}

/**
 * Of what was made by another tokenizer than the present one. That it was trained on since is certain only where
 * nothing is damaged.
 *
 * @param o.wanted the SHA-256 of the other
 */
function anotherTokenizer(
  run: string,
  { step, path: folder, damaged, checked }: PresentTokenizer,
  o: { wanted: string; what: string; where: string; since: string; again: string },
): UserError {
  const { what, where, since, again } = o;
  const lost = damaged[0] ?? setAsideModel(runPaths(run).stage1, o.wanted);
  if (lost) {
    const back = 'Put back a copy of that file';
    const same = 'On the same CPU that gives the same tokenizer, to the bit; what is left is an earlier one.';
    const next =
      step < lost.checkpoint.step
        ? `${back}, or train that step again: vqgen train-stage1 --resume --run ${run}. ${same}`
        : `${back} in place of ${folder}; else ${again}`;
    return expected(what, where, `another, as ${describeDamage(lost)}`, next);
  }
  if (checked) return expected(what, where, since, again.charAt(0).toUpperCase() + again.slice(1));
  const unsure = `${since}, or whose ${path.join(folder, 'model.safetensors')} is damaged: it has no checksum`;
  return expected(what, where, unsure, `If it is, put back a copy of that file; else ${again}`);
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
 * @param reporter as `loadModel` has it
 * @throws UserError when one is missing or they do not belong together
 */
export async function loadModels(
  run: string,
  reporter?: Warns,
): Promise<{ prior: TrainedPrior; tokenizer: TrainedModel }> {
  const config = readRunConfig(run);
  const tokenizer = await loadTokenizer(run, config, { reporter });
  const weights = await loadModel(run, 'prior', { reporter, best: true });
  checkTokenizer(run, tokenizer);
  const [classes, told] = [priorClasses(run), priorCondition(run)];
  const model = priorFor(config, classes, told);
  const prior = fitting(weights, specsOf(model.learned));
  return { prior: { ...prior, model, classes, told }, tokenizer };
}

/** The same, the prior only where the run has one. */
export async function loadTrainedParts(
  run: string,
  reporter?: Warns,
): Promise<{ tokenizer: TrainedModel; prior?: TrainedPrior }> {
  if (hasCheckpoint(runPaths(run).prior)) return loadModels(run, reporter);
  return { tokenizer: await loadTokenizer(run, readRunConfig(run), { reporter }) };
}

/**
 * A token file of the run's.
 *
 * @param grids of the run's tokenizer
 * @throws UserError when it is missing, of another tokenizer or of another size
 */
export async function tokensFor(
  run: string,
  split: string,
  grids: readonly Grid[],
  tokenizer: PresentTokenizer,
): Promise<Tokens> {
  const file = tokenFile(run, split);
  const again = `Next: vqgen tokenize --run ${run}`;
  const tokens = await readTokens(file, again);
  const described = (grids: readonly Grid[]) => describeLatent({ kind: 'codes', grids });
  const [wanted, found] = [described(grids), described(tokens.grids)];
  if (wanted !== found) throw expected(wanted, file, found, again);
  if (tokens.tokenizer !== tokenizer.sha256) {
    throw anotherTokenizer(run, tokenizer, {
      wanted: tokens.tokenizer,
      what: `tokens of the tokenizer in ${run}`,
      where: file,
      since: 'tokens of another one, or of an earlier step',
      again: `next: vqgen tokenize --run ${run}`,
    });
  }
  if (tokens.count === 0) throw expected('at least one sequence', file, 'none', again);
  return tokens;
}
