/** What a command has to say in the end. */
import { defaultRun } from './flags.js';

export interface Outcome {
  /** What `--json` prints. */
  readonly summary: object;
  /** What stdout says without `--json`: lines, which end nowhere within. */
  readonly lines: readonly string[];
  /** Whether Ctrl-C ended it early, after saving. */
  readonly stopped?: boolean;
}

/** ` --run DIR`, where it is not the default. */
export function runOption(run: string): string {
  return run === defaultRun ? '' : ` --run ${/\s/.test(run) ? `'${run}'` : run}`;
}
