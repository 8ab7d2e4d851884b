/** What may stand where in a command line, for any shell. */
import type { Command } from '../command.js';
import { commonFlags, type Flag, type FlagName, flags } from '../flags.js';

export interface Offer {
  readonly names: readonly string[];
  /** What else may stand there: a name in the file system, or what no shell knows. */
  readonly places: 'files' | 'folders' | 'nothing';
}

export interface Option {
  readonly name: string;
  readonly describe: string;
  /** Whether it may be repeated. */
  readonly each: boolean;
  /** Undefined of a switch. */
  readonly value?: Offer & { readonly called: string };
}

export interface Line {
  /** `edit inpaint` */
  readonly command: string;
  readonly describe: string;
  readonly options: readonly Option[];
  readonly words?: Offer & { readonly called: string; readonly most: number };
}

/** Names that no table of options holds. */
export interface Known {
  /** Of configs that come with vqgen. */
  readonly configs: readonly string[];
  /** Of runs that do. */
  readonly runs: readonly string[];
}

export const linesOf = (commands: readonly Command[], known: Known): Line[] =>
  commands.map((command) => ({
    command: command.name,
    describe: command.describe,
    options: [...command.flags, ...commonFlags].map((name) => optionOf(name, command, known)),
    ...(command.words && { words: wordsOf(command.words, known) }),
  }));

function optionOf(name: FlagName, { meanings, readsRun }: Command, { configs, runs }: Known): Option {
  const flag: Flag<unknown> = { ...flags[name], ...meanings?.[name] };
  const { placeholder: called, describe, kind, choices } = flag;
  const option = { name, describe, each: kind === 'each' };
  if (called === undefined) return option;
  const shipped = called === 'NAME|FILE' ? configs : name === 'run' && readsRun ? runs : [];
  return { ...option, value: { called, names: choices ?? shipped, places: placesOf(called) } };
}

function wordsOf(words: NonNullable<Command['words']>, { runs }: Known): Line['words'] {
  const { usage: called, most, choices } = words;
  const names = choices ?? (/^\[RUN…?\]$/.test(called) ? runs : []);
  return { called, most, names, places: placesOf(called) };
}

/** By what help calls it. */
function placesOf(called: string): Offer['places'] {
  if (/\b(?:DIR|RUN|DATASET)\b(?!\|FILE)/.test(called)) return 'folders';
  return /FILE|PATH|IMG|IMAGE|CHECKPOINT|^A \[B\]$/.test(called) ? 'files' : 'nothing';
}

/** What may stand as the first word of a command line, or after it: the first words of the commands, or their second. */
export function commandWords(lines: readonly Line[], first?: string): { word: string; describe: string }[] {
  const found = new Map<string, string[]>();
  for (const { command, describe } of lines) {
    const [own = '', second] = command.split(' ');
    const [word, about] = first === undefined ? [own, second ?? describe] : [second, describe];
    if (word === undefined || (first !== undefined && own !== first)) continue;
    found.set(word, [...(found.get(word) ?? []), about]);
  }
  return [...found].map(([word, about]) => ({ word, describe: about.join(', ') }));
}

/** The first words of commands of two. */
export const groupsOf = (lines: readonly Line[]): string[] => [
  ...new Set(lines.flatMap(({ command }) => (command.includes(' ') ? [`${command.split(' ')[0]}`] : []))),
];

/** Options in place of a command. */
export const ofNone = ['--help', '--version'];
