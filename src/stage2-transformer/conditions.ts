/** What a prior's training tells it of images: what its tokens say, checked against what it began with. */
import { expected } from '../base/errors.js';
import { take } from '../base/lookup.js';
import { runPaths, tokenFile } from '../checkpoint/run.js';
import { type ConditionRecord, describeCondition } from '../tokenize/conditions/condition.js';
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
 * @param began what a training that goes on was told
 * @throws UserError where it is not what the config says, or not what it began with
 */
export function chosenCondition(
  run: string,
  { train, val }: { train: Tokens; val: Tokens },
  kind: string,
  began?: ConditionRecord,
): ConditionRecord | undefined {
  const again = `Next: vqgen tokenize --run ${run} --set prior.condition.kind=${kind}`;
  const { condition } = train;
  const found = condition?.kind ?? 'none';
  if (found !== kind) {
    throw expected(
      `tokens that tell of ${kind}, as prior.condition.kind says,`,
      tokenFile(run, 'train'),
      found,
      again,
    );
  }
  const [a, b] = [condition, val.condition].map((each) => JSON.stringify(each?.grid));
  if (a !== b)
    throw expected(
      'tokens that tell what those of the training images do',
      tokenFile(run, 'val'),
      'others',
      again,
    );
  if (began && JSON.stringify(began) !== JSON.stringify(condition)) {
    throw expected(
      `what the prior began with (${describeCondition(began)})`,
      tokenFile(run, 'train'),
      condition ? describeCondition(condition) : 'nothing',
      `Train another prior: remove ${runPaths(run).prior}, then vqgen train-prior --run ${run}`,
    );
  }
  return condition;
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
