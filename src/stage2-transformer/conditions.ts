/** What a prior's training tells it of images: what its tokens say, checked against what it began with. */

import { expected, type UserError } from '../base/errors.js';
import { take } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { runPaths, tokenFile } from '../checkpoint/run.js';
import { conditionSection } from '../config/conditions.js';
import type { Config } from '../config/schema.js';
import { priorCondition } from '../tokenize/conditions/begun.js';
import { describeBoth, sameTelling } from '../tokenize/conditions/compared.js';
import { type ConditionRecord, describeCondition } from '../tokenize/conditions/condition.js';
import { conditionRecord } from '../tokenize/conditions/index.js';
import { isTrained, namedPlace, namedTokenizer, toldPlace } from '../tokenize/conditions/tokenizer.js';
import type { Tokens } from '../tokenize/token-file.js';
import type { PriorSettings } from './index.js';
import { listed } from './model.js';

/** Classes that some training image is of: of one or none there is nothing to tell. */
export function chosenClasses(
  { classes, labels }: Tokens,
  { class_labels: from }: Pick<PriorSettings, 'class_labels'>,
): readonly string[] {
  if (from === 'none') return [];
  const present = new Set(labels);
  const known = classes.filter((_, label) => present.has(label));
  return known.length > 1 ? known : [];
}

/**
 * What tokens tell of their images.
 *
 * @param o.begun whether the prior was: it goes by the run's own copy of a tokenizer
 * @throws UserError where it is not what the config says, or not the same of both splits
 */
export async function chosenCondition(
  run: string,
  { train, val }: { train: Tokens; val: Tokens },
  { config, begun, reporter }: { config: Config; begun: boolean; reporter?: Reporter },
): Promise<ConditionRecord | undefined> {
  const again = `Next: vqgen tokenize --run ${run}${settingsOf(config)}`;
  const place = placeOf(config, { run, begun });
  const tokenizer =
    place === undefined || !isTrained(place) ? undefined : await namedTokenizer(place, reporter);
  if (place !== undefined && !tokenizer)
    throw expected('the tokenizer by which the prior is told of its pictures', place, 'none', again);
  const { labels } = train.condition ?? {};
  const wanted = conditionRecord(config, { tokenizer, labels, began: priorCondition(run) });
  for (const [split, { condition }] of Object.entries({ train, val })) {
    if (sameTelling(condition, wanted)) continue;
    const [told, found] = describeBoth(wanted, condition);
    const what = `tokens that tell of ${told}, as prior.condition says,`;
    throw expected(what, tokenFile(run, split), found, again);
  }
  return train.condition;
}

/** Where the tokenizer is that the config names: a prior that was begun has a copy of what it was begun with. */
function placeOf(config: Config, { run, begun }: { run: string; begun: boolean }): string | undefined {
  const { kind, tokenizer } = config.prior.condition;
  if (kind === 'none') return undefined;
  const copy = toldPlace(run, { kind, tokenizer });
  const named = namedPlace(config, run);
  return !begun && named !== undefined && isTrained(named) ? named : copy;
}

/** ` --set prior.condition.kind=maps …`: all that is not as when nothing is said. */
function settingsOf({ prior }: Config): string {
  const usual: Record<string, unknown> = conditionSection.parse({});
  return Object.entries(prior.condition)
    .filter(([name, value]) => name === 'kind' || value !== usual[name])
    .map(([name, value]) => ` --set prior.condition.${name}=${value}`)
    .join('');
}

/** @throws UserError where a prior that was begun is told something else. @param kind what the config says now */
export function checkBegunKind(run: string, kind: string): void {
  const began = priorCondition(run);
  if ((began?.kind ?? 'none') !== kind)
    throw begunWith(run, kind, began ? describeCondition(began) : 'nothing');
}

/** @throws UserError where a prior that was begun is told something else. @param told by the present tokens */
export function checkBegun(run: string, told: ConditionRecord | undefined): void {
  const began = priorCondition(run);
  if (!sameTelling(told, began)) throw begunWith(run, ...describeBoth(told, began));
}

const begunWith = (run: string, told: string, began: string): UserError =>
  expected(
    `a prior that is told of ${told}`,
    '--run',
    `${run}, whose prior was begun with ${began === 'nothing' ? 'nothing told' : began}`,
    `Train another prior: remove ${runPaths(run).prior}, then vqgen train-prior --run ${run}`,
  );

/** @throws UserError when a training that goes on is given images of other classes than it began with */
export function checkClasses(run: string, train: Tokens, classes: readonly string[]): void {
  if (classes.length === 0) return;
  const other = take(train.classes, new Set(train.labels)).find((name) => !classes.includes(name));
  if (other === undefined) return;
  throw expected(
    `the classes that the prior began with (${listed(classes)})`,
    tokenFile(run, 'train'),
    other,
    `Train another prior: remove ${runPaths(run).prior}, then vqgen train-prior --run ${run}`,
  );
}
