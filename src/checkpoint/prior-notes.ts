/** JSON that is noted beside a run's prior. */
import { existsSync, readFileSync } from 'node:fs';
import { expected, type UserError } from '../base/errors.js';
import { runPaths } from './run.js';

/** What a file of `<run>/prior` says, or nothing where there is none. @throws UserError when it is no JSON */
export function readNote(file: string, run: string): unknown {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw damagedNote(file, run, cause);
  }
}

export function damagedNote(file: string, run: string, cause?: unknown): UserError {
  const next = `Put back what it was, or train the prior again: remove ${runPaths(run).prior}, then vqgen train-prior --run ${run}`;
  return expected('the JSON that vqgen saved', file, 'something else', next, cause);
}
