/** What `--help` prints. */
import { type Command, commands, type Meaning } from './commands.js';
import { commonFlags, type Flag, type FlagName, flags } from './flags.js';

export function overview(): string {
  return [
    'vqgen <command> [options]',
    'From a folder of images to new images: train a tokenizer, turn the images into tokens, train a prior, sample.',
    section(
      'Commands',
      commands.map(({ name, words, describe }) => [usage(name, words?.usage), describe]),
    ),
    section('Options', [
      ['--help', 'show this help, or that of a command'],
      ['--version', 'show the version'],
    ]),
    section('Examples', [
      ['vqgen train-stage1 --config photos-64 --data photos/ --run checkpoints/mine', ''],
      ['vqgen tokenize dataset --run checkpoints/mine', ''],
      ['vqgen train-prior --run checkpoints/mine', ''],
      ['vqgen sample --n 16 --run checkpoints/mine', ''],
    ]),
  ].join('\n\n');
}

export function commandHelp(command: Command): string {
  const { name, describe, words, flags: own, standards, meanings, examples } = command;
  const rows = (names: readonly FlagName[]) =>
    names.map((name) => row(name, standards?.[name], meanings?.[name]));
  const options = rows(own);
  return [
    `vqgen ${usage(name, words?.usage)} [options]`,
    `${describe}.`,
    section('Options', words ? [[words.usage, words.describe], ...options] : options),
    section('Options of every command', rows(commonFlags)),
    `Examples:\n${examples.map(([line, what]) => `  ${line}${what && `\n      ${what}`}`).join('\n')}`,
  ].join('\n\n');
}

const usage = (name: string, words = ''): string => `${name} ${words}`.trim();

function row(name: FlagName, ownStandard?: string, own?: Meaning): [string, string] {
  const { placeholder, describe, standard = undefined }: Flag<unknown> = { ...flags[name], ...own };
  const fallback = ownStandard ?? standard;
  return [
    `--${name}${placeholder ? ` ${placeholder}` : ''}`,
    `${describe}${fallback ? ` (default: ${fallback})` : ''}`,
  ];
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return `${title}:\n${rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd()).join('\n')}`;
}
