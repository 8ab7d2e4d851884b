/** Scripts for shells, made from the table of commands and options, by which Tab completes what is typed. */
import type { Command } from '../command.js';
import { bashScript } from './bash.js';
import { fishScript } from './fish.js';
import { type Known, type Line, linesOf } from './offers.js';
import { zshScript } from './zsh.js';

export const shells = ['bash', 'zsh', 'fish'] as const;

const scripts: Readonly<Record<(typeof shells)[number], (lines: readonly Line[]) => string[]>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** The lines of the script. */
export const completionScript = (
  shell: (typeof shells)[number],
  commands: readonly Command[],
  known: Known,
): string[] => scripts[shell](linesOf(commands, known));
