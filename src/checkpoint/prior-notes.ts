/** JSON that is noted beside a run's prior. */
import { existsSync } from 'node:fs';
import { expected, type UserError } from '../base/errors.js';
import { parseJson } from '../base/json.js';
import { readRegularText } from '../base/regular-file.js';
import { runPaths } from './run.js';

/** Bytes; names of classes are the longest. */
const longestNote = 1 << 24;

/** What a file of `<run>/prior` says, or nothing where there is none. @throws UserError when it is no JSON */
export function readNote(file: string, run: string): unknown {
  if (!existsSync(file)) return undefined;
  try {
    return parseJson(readRegularText(file, longestNote));
  } catch (cause) {
    throw damagedNote(file, run, cause);
  }
}

export function damagedNote(file: string, run: string, cause?: unknown): UserError {
  const next = `Put back what it was, or train the prior again: remove ${runPaths(run).prior}, then vqgen train-prior --run ${run}`;
  return expected('the JSON that vqgen saved', file, 'something else', next, cause);
}
