/** What the files that vqgen exports say of themselves, read again: whoever has had them since may have changed it. */
import { expected, type UserError } from '../base/errors.js';
import { parseJson, parseTexts } from '../base/json.js';
import { parseSavedText } from '../config/layers.js';
import type { Config } from '../config/schema.js';
import { type ConditionRecord, recordSchema } from '../tokenize/conditions/condition.js';

type Metadata = Readonly<Record<string, string>>;

export const rewritten = 'It is not as vqgen wrote it: export the run again.';

const changed = (what: string, file: string, cause?: unknown): UserError =>
  expected(what, file, 'something else', rewritten, cause);

/** @throws UserError, as all that follow, where it is not what vqgen wrote */
export const configIn = ({ config = '' }: Metadata, file: string): Config => parseSavedText(config, file);

/** None where it says nothing of them. */
export function classesIn({ classes }: Metadata, file: string): string[] {
  try {
    return parseTexts(classes);
  } catch (cause) {
    throw changed('names of classes', file, cause);
  }
}

/** What the prior in it is told of pictures. */
export function conditionIn({ condition }: Metadata, file: string): ConditionRecord | undefined {
  if (!condition) return undefined;
  try {
    return recordSchema.parse(parseJson(condition));
  } catch (cause) {
    throw changed('what its prior is told', file, cause);
  }
}

/** The step that a training was at. */
export function stepIn(metadata: Metadata, key: 'tokenizer_step' | 'prior_step', file: string): number {
  const step = Number(metadata[key]);
  if (Number.isSafeInteger(step) && step > 0) return step;
  throw expected('the step of a training', `${key} in ${file}`, metadata[key] ?? 'nothing', rewritten);
}
