/** What a command is. */
import type { Reporter } from '../base/progress.js';
import type { FlagName, Flags } from './flags.js';
import type { Outcome } from './outcome.js';

export interface Context {
  readonly flags: Flags;
  /** Positional words. */
  readonly words: readonly string[];
  readonly reporter: Reporter;
  /** Says a line of the outcome before the command ends: on stdout, with `--json` on stderr. */
  readonly tell: (line: string) => Promise<void>;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
}

export interface Meaning {
  readonly placeholder?: string;
  readonly describe: string;
  readonly choices?: readonly string[];
}

export interface Command {
  readonly name: string;
  readonly describe: string;
  readonly flags: readonly FlagName[];
  /** Defaults in help that differ from the flag's own. */
  readonly standards?: Partial<Record<FlagName, string>>;
  /** Words in help that differ from the flag's own. */
  readonly meanings?: Partial<Record<FlagName, Meaning>>;
  /** Positional words: how help calls them, how many there may be, and some that a shell offers. */
  readonly words?: {
    readonly usage: string;
    readonly describe: string;
    readonly most: number;
    readonly choices?: readonly string[];
  };
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Whether `--run` also takes the name of a run that comes with vqgen: nothing is written into it. */
  readonly readsRun?: boolean;
  /** Whether it computes on a device. */
  readonly computes?: boolean;
  /** Whether it ends by itself after the first Ctrl-C: a training saves, the others leave nothing half done. */
  readonly endsItself?: boolean;
  run(context: Context): Promise<Outcome>;
}
