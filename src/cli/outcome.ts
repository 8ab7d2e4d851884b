/** What a command has to say in the end, and where it says it. */
import { defaultRun } from './flags.js';

export interface Streams {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

export interface Outcome {
  /** What `--json` prints. */
  readonly summary: object;
  /** What stdout says without `--json`. */
  readonly lines: readonly string[];
  /** Whether Ctrl-C ended it early, after saving. */
  readonly stopped?: boolean;
}

/** ` --run DIR`, where it is not the default. */
export function runOption(run: string): string {
  return run === defaultRun ? '' : ` --run ${/\s/.test(run) ? `'${run}'` : run}`;
}
