import { commandWords, groupsOf, type Line, type Offer, type Option } from './offers.js';

/** To be sourced, or as a file `_vqgen` in a folder of `$fpath`. */
export const zshScript = (lines: readonly Line[]): string[] => [
  '#compdef vqgen',
  '',
  '_vqgen_names() {',
  "  local places='_files -/'",
  "  if [[ $1 == files ]]; then places='_files'; fi",
  '  shift',
  '  _alternative "names:name:($*)" "places:place:$places"',
  '}',
  '',
  '_vqgen() {',
  '  local -a names',
  '  if ((CURRENT == 2)); then',
  '    names=(',
  ...commandWords(lines).map(described),
  '    )',
  "    _describe command names -- '(--help --version)'",
  '    return',
  '  fi',
  '  local command=$words[2]',
  '  shift words',
  '  ((CURRENT--))',
  '  case $command in',
  ...groupsOf(lines).flatMap((group) => [
    `    ${group})`,
    '      if ((CURRENT == 2)); then',
    '        names=(',
    ...commandWords(lines, group).map((word) => `    ${described(word)}`),
    '        )',
    '        _describe command names',
    '        return',
    '      fi',
    '      command="$command $words[2]"',
    '      shift words',
    '      ((CURRENT--))',
    '      ;;',
  ]),
  '  esac',
  '  case $command in',
  ...lines.flatMap(({ command, options, words }) => [
    `    '${command}')`,
    '      _arguments \\',
    ...[...options.map(optionSpec), ...(words ? [wordsSpec(words)] : [])].map(
      (spec, i, all) => `        ${quoted(spec)}${i < all.length - 1 ? ' \\' : ''}`,
    ),
    '      ;;',
  ]),
  '  esac',
  '}',
  '',
  'if [[ $funcstack[1] == _vqgen ]]; then',
  '  _vqgen "$@"',
  'else',
  '  if ! (($+functions[compdef])); then autoload -Uz compinit && compinit; fi',
  '  compdef _vqgen vqgen',
  'fi',
];

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const escaped = (text: string): string => text.replace(/[[\]:\\]/g, '\\$&');

const described = ({ word, describe }: { word: string; describe: string }): string =>
  `      ${quoted(`${word}:${escaped(describe)}`)}`;

function optionSpec({ name, describe, each, value }: Option): string {
  const option = `${each ? '*' : ''}--${name}${value ? '=' : ''}[${escaped(describe)}]`;
  return value ? `${option}:${escaped(value.called)}:${action(value)}` : option;
}

const wordsSpec = ({ most, ...words }: NonNullable<Line['words']>): string =>
  `${most === 1 ? '1' : '*'}:${escaped(words.called)}:${action(words)}`;

function action({ names, places }: Offer): string {
  if (names.length === 0) return { files: '_files', folders: '_files -/', nothing: ' ' }[places];
  return places === 'nothing' ? `(${names.join(' ')})` : ` _vqgen_names ${places} ${names.join(' ')}`;
}
