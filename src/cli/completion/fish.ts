import { commandWords, groupsOf, type Line, type Offer, ofNone } from './offers.js';

export const fishScript = (lines: readonly Line[]): string[] => [
  '# Whether these are the words before the one that is typed, which may be followed by others with --more.',
  'function __vqgen_after',
  '    set -l given (commandline -opc)[2..]',
  '    if test "$argv[1]" = --more',
  '        set -e argv[1]',
  '        set given $given[1..(count $argv)]',
  '    end',
  '    test "$given" = "$argv"',
  'end',
  '',
  'complete -c vqgen -e',
  'complete -c vqgen -f',
  ...commandWords(lines).map((word) => commandLine('__vqgen_after', word)),
  ...ofNone.map((option) => `complete -c vqgen -n __vqgen_after -l ${option.slice(2)}`),
  ...groupsOf(lines).flatMap((group) =>
    commandWords(lines, group).map((word) => commandLine(`__vqgen_after ${group}`, word)),
  ),
  ...lines.flatMap(({ command, options, words }) => {
    const line = `complete -c vqgen -n ${quoted(`__vqgen_after --more ${command}`)}`;
    return [
      '',
      ...options.map(({ name, describe, value }) =>
        [line, '-l', name, '-d', quoted(describe), ...(value ? ['-r', ...offered(value)] : [])].join(' '),
      ),
      ...(words ? [[line, ...offered(words)].join(' ')] : []),
    ];
  }),
];

const quoted = (text: string): string => `'${text.replace(/['\\]/g, '\\$&')}'`;

const commandLine = (when: string, { word, describe }: { word: string; describe: string }): string =>
  `complete -c vqgen -n ${quoted(when)} -a ${word} -d ${quoted(describe)}`;

function offered({ names, places }: Offer): string[] {
  const folders = places === 'folders' ? ['(__fish_complete_directories)'] : [];
  const words = [...names, ...folders].join(' ');
  return [places === 'files' ? '-F' : '-f', ...(words ? ['-a', quoted(words)] : [])];
}
