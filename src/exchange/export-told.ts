/** What makes codes of what a prior is told, as a published transformer holds it: its cond stage. */

import path from 'node:path';
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { runPaths } from '../checkpoint/run.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import type { TrainedPrior } from '../stage2-transformer/model.js';
import type { ConditionRecord } from '../tokenize/conditions/condition.js';
import { type ToldTokenizer, toldTokenizer } from '../tokenize/conditions/tokenizer.js';
import { type Kept, readKept } from './kept.js';
import { condStage } from './taming-config.js';
import { type PublishedTokenizer, parseTokenizer } from './taming-names.js';
import { keptTokenizer, type Tensors, tokenizerTensors } from './taming-tensors.js';
import { toldSection } from './taming-yaml.js';
import { unmasked } from './unmask.js';
import { widened } from './widen.js';

export const usedFile = 'used.npy';
export const usedByTold = 'condition-used.npy';

export interface ToldModel extends ToldTokenizer {
  readonly kept: Kept<PublishedTokenizer> | undefined;
}

/**
 * The tokenizer of what a prior is told, where that is another than the images'.
 *
 * @throws UserError where it is lost, or another
 */
export async function loadTold(
  run: string,
  prior: TrainedPrior | undefined,
  reporter: Reporter,
): Promise<ToldModel | undefined> {
  if (prior?.told?.tokenizer?.sha256 === undefined) return undefined;
  const told = must(await toldTokenizer(run, prior.told, reporter), 'tokenizer');
  return { ...told, kept: await readKept(runPaths(told.place).stage1, parseTokenizer) };
}

/** A tokenizer with 32 groups and without a mask, and its tensors under any prefix. */
export function publishedParts(
  saved: Config,
  { tensors }: TrainedModel,
  given: Kept<PublishedTokenizer> | undefined,
): { config: Config; kept: Kept<PublishedTokenizer>; tensors: (prefix?: string) => Tensors } {
  const whole = unmasked(saved, tensors);
  const { config, weights } = widened(whole.config, whole.weights);
  const kept = keptTokenizer(config, given);
  return { config, kept, tensors: (prefix) => tokenizerTensors(config, weights, kept, prefix) };
}

/**
 * The tensors of a transformer's cond stage, what its YAML says of it, and the codes that it knows, where not all.
 *
 * @param told left out where it is the tokenizer of the images, whose tensors `o.model` has
 */
export function publishedTold(
  record: ConditionRecord,
  told: ToldModel | undefined,
  o: { model: (prefix: string) => Tensors; out: string },
): { tensors: Tensors; section: object; used?: readonly number[] } {
  if (!told) return { tensors: o.model(condStage), section: toldSection(record) };
  const { config, kept, tensors } = publishedParts(told.config, told.model, told.kept);
  const { used } = kept.published;
  const remap = used && path.join(o.out, usedByTold);
  return { tensors: tensors(condStage), section: toldSection(record, config, { kept, remap }), used };
}
