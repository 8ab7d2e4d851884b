/** Written for the bash 3.2 of macOS too, which has no `compopt`: there files are offered where nothing is known. */
import { commandWords, groupsOf, type Line, type Offer, type Option, ofNone } from './offers.js';

export const bashScript = (lines: readonly Line[]): string[] => [
  '_vqgen_offer() {',
  '  local places=$1 name',
  '  shift',
  '  COMPREPLY=()',
  '  while IFS= read -r name; do COMPREPLY+=("$name"); done < <(compgen -W "$*" -- "$word")',
  '  case $places in',
  '    nothing) compopt +o bashdefault +o default ;;',
  '    folders) compopt +o bashdefault +o default -o plusdirs ;;',
  '  esac 2> /dev/null',
  '}',
  '',
  '_vqgen() {',
  `  local word=${typed('COMP_CWORD')} before=${typed('COMP_CWORD - 1')} command=${typed('1')} options`,
  '  if [[ $word == "=" ]]; then word=; fi',
  `  if [[ $before == "=" ]]; then before=${typed('COMP_CWORD - 2')}; fi`,
  '  if ((COMP_CWORD == 1)); then',
  `    _vqgen_offer nothing ${[...commandWords(lines).map(({ word }) => word), ...ofNone].join(' ')}`,
  '    return',
  '  fi',
  '  case $command in',
  ...groupsOf(lines).flatMap((group) => [
    `    ${group})`,
    `      if ((COMP_CWORD == 2)); then _vqgen_offer nothing ${commandWords(lines, group)
      .map(({ word }) => word)
      .join(' ')}; return; fi`,
    `      command="$command ${typed('2')}"`,
    '      ;;',
  ]),
  '  esac',
  '  case $command in',
  ...lines.flatMap(({ command, options, words }) => [
    `    '${command}')`,
    `      options='${options.map(({ name }) => `--${name}`).join(' ')}'`,
    '      case $before in',
    ...valueCases(options),
    ...(words ? [`        *) if [[ $word != -* ]]; then ${offered(words)}; return; fi ;;`] : []),
    '      esac',
    '      ;;',
  ]),
  '    *) return ;;',
  '  esac',
  '  _vqgen_offer nothing $options',
  '}',
  '',
  'complete -o bashdefault -o default -F _vqgen vqgen',
];

/** The word at an index, for bash to read. */
const typed = (index: string): string => `\${COMP_WORDS[${index}]}`;

const offered = ({ places, names }: Offer): string => ['_vqgen_offer', places, ...names].join(' ');

/** A line for all options whose values are offered alike. */
function valueCases(options: readonly Option[]): string[] {
  const alike = new Map<string, string[]>();
  for (const { name, value } of options) {
    if (value) alike.set(offered(value), [...(alike.get(offered(value)) ?? []), `--${name}`]);
  }
  return [...alike].map(([offer, names]) => `        ${names.join(' | ')}) ${offer}; return ;;`);
}
