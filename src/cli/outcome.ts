/** What a command has to say in the end. */
import { word } from '../base/shell.js';
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
export const runOption = (run: string): string => (run === defaultRun ? '' : ` --run ${word(run)}`);
