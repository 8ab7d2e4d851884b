/** What a prior's training tells it of images: what its tokens say, checked against what it began with. */
import { existsSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { take } from '../base/lookup.js';
import { runPaths, tokenFile } from '../checkpoint/run.js';
import type { Config } from '../config/schema.js';
import { type ConditionRecord, describeCondition } from '../tokenize/conditions/condition.js';
import { conditionRecord, toldTokenizer } from '../tokenize/conditions/index.js';
import type { Tokens } from '../tokenize/token-file.js';
import type { PriorSettings } from './index.js';
import { listed, priorCondition } from './model.js';

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
 * @throws UserError where it is not what the config says, or not the same of both splits
 */
export async function chosenCondition(
  run: string,
  { train, val }: { train: Tokens; val: Tokens },
  config: Config,
): Promise<ConditionRecord | undefined> {
  const { kind, tokenizer } = config.prior.condition;
  const again = `Next: vqgen tokenize --run ${run} --set prior.condition.kind=${kind}`;
  for (const [split, { condition }] of Object.entries({ train, val })) {
    const place = kind === 'none' ? undefined : toldTokenizer(run, { kind, tokenizer });
    const wanted =
      place !== undefined && !existsSync(place)
        ? undefined
        : await conditionRecord(config, { place, labels: train.condition?.labels });
    if (wanted === undefined && kind === 'none' && condition === undefined) continue;
    if (wanted && JSON.stringify(condition) === JSON.stringify(wanted)) continue;
    const what = `tokens that tell of ${wanted ? describeCondition(wanted) : kind === 'none' ? 'nothing' : kind},`;
    const found = condition ? describeCondition(condition) : 'nothing';
    throw expected(`${what} as prior.condition says,`, tokenFile(run, split), found, again);
  }
  return train.condition;
}

/**
 * @param kind of what the config says now. @param told by the present tokens, where they were looked at
 * @throws UserError where a prior that was begun is told something else
 */
export function checkBegun(run: string, kind: string, told?: ConditionRecord): void {
  const began = priorCondition(run);
  const differs =
    told && began ? JSON.stringify(told) !== JSON.stringify(began) : (began?.kind ?? 'none') !== kind;
  if (!differs) return;
  throw expected(
    `a prior that is told of ${told ? describeCondition(told) : kind}`,
    '--run',
    `${run}, whose prior was begun with ${began ? describeCondition(began) : 'nothing told'}`,
    `Train another prior: remove ${runPaths(run).prior}, then vqgen train-prior --run ${run}`,
  );
}

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
