/** The commands about a run, the machine, the built-in pictures and the shell. */

import { expected } from '../base/errors.js';
import { word } from '../base/shell.js';
import type { Command, Context } from './command.js';
import { completionScript, shells } from './completion/index.js';
import { defaultRun, squareOf } from './flags.js';
import type { Outcome } from './outcome.js';

/** @param all every command, these among them */
export function toolCommands(all: () => readonly Command[]): readonly Command[] {
  return [
    {
      name: 'info',
      describe: 'What stands in a run, and the next command to type',
      flags: ['run'],
      words: { usage: '[RUN]', describe: 'run folder, as --run', most: 1 },
      examples: [['vqgen info checkpoints/mine', '']],
      readsRun: true,
      run: info,
    },
    {
      name: 'watch',
      describe: 'Show a run while it is trained, as a page for a browser on this machine',
      flags: ['run', 'port'],
      words: { usage: '[RUN]', describe: 'run folder, as --run', most: 1 },
      examples: [
        [
          'vqgen watch checkpoints/mine',
          'prints the address; ends soon after the training does, or with Ctrl-C',
        ],
        ['vqgen watch checkpoints/mine --port 4321', 'there; of a run that nobody trains, until Ctrl-C'],
      ],
      readsRun: true,
      endsItself: true,
      run: watch,
    },
    {
      name: 'devices',
      describe: 'What this machine can compute with, how fast, and how to get more',
      flags: [],
      examples: [['vqgen devices', '']],
      run: devices,
    },
    {
      name: 'dataset make',
      describe: 'Write the built-in pictures into a folder',
      flags: ['n', 'size', 'maps'],
      standards: { n: '1000', seed: '0' },
      words: { usage: 'DIR', describe: 'new folder', most: 1 },
      examples: [
        ['vqgen dataset make drawn/ --n 1000 --size 64', 'ten classes, as subfolders'],
        ['vqgen dataset make pairs/ --n 4000 --maps', 'and what in each picture is the boat, the cat …'],
      ],
      endsItself: true,
      run: makeDataset,
    },
    {
      name: 'museum',
      describe:
        'Train the whole history, from the autoencoder to MaskGIT, on the same pictures: one page to look at',
      flags: ['data', 'budget', 'out'],
      standards: { budget: '60m', out: 'museum', seed: '0' },
      meanings: {
        budget: {
          placeholder: 'TIME',
          describe: 'how long it may take in all, such as 30m or 2h; every network has the same share of it',
        },
        out: {
          placeholder: 'DIR',
          describe: 'where it stands: index.html, and the runs; given again, it goes on',
        },
      },
      examples: [
        ['vqgen museum', 'the built-in pictures, within an hour: then open museum/index.html'],
        [
          'vqgen museum --data photos/ --budget 3h --out photo-museum',
          'your own, by classes where they have any',
        ],
        ['vqgen museum --out photo-museum', 'go on after Ctrl-C; a finished one makes its page anew'],
      ],
      endsItself: true,
      computes: true,
      run: openMuseum,
    },
    {
      name: 'completion',
      describe: 'Print a script by which the Tab key completes commands, options and their values',
      flags: [],
      words: { usage: 'SHELL', describe: 'bash, zsh or fish', most: 1, choices: shells },
      examples: [
        [`echo 'eval "$(vqgen completion bash)"' >> ~/.bashrc`, 'in bash, for every shell to come'],
        [`echo 'eval "$(vqgen completion zsh)"' >> ~/.zshrc`, 'in zsh'],
        ['vqgen completion fish > ~/.config/fish/completions/vqgen.fish', 'in fish'],
      ],
      run: (context) => completion(context, all()),
    },
  ];
}

async function info({ flags, words }: Context): Promise<Outcome> {
  const { describeRun } = await import('./info.js');
  const { runAt } = await import('../checkpoint/shipped.js');
  return describeRun(runAt(words[0] ?? flags.run ?? defaultRun));
}

async function watch({ flags, words, reporter, tell, signal }: Context): Promise<Outcome> {
  const { serveRun } = await import('./watch.js');
  const { runAt } = await import('../checkpoint/shipped.js');
  const run = runAt(words[0] ?? flags.run ?? defaultRun);
  return serveRun({ run, port: flags.port ?? 0 }, { reporter, tell, signal });
}

async function devices({ flags, reporter }: Context): Promise<Outcome> {
  const { listDevices } = await import('./devices.js');
  return listDevices({ threads: flags.threads, reporter });
}

async function makeDataset({ flags, words, reporter, signal }: Context): Promise<Outcome> {
  const dir = words[0];
  if (dir === undefined) {
    throw expected('a new folder', 'DIR', 'nothing', 'For example: vqgen dataset make drawn/ --n 1000');
  }
  const { makeDataset } = await import('../data/drawn.js');
  const { n = 1000, seed = 0, maps = false } = flags;
  const size = squareOf(flags.size) ?? 32;
  await makeDataset(dir, { n, size, seed, maps }, { reporter, signal });
  return {
    summary: { images: n, size, seed, dir },
    lines: maps
      ? [
          `${n} pictures and their maps in ${dir}`,
          `Next: vqgen train-stage1 --data ${word(`${dir}/images`)} --set prior.condition.kind=maps --set ${word(`prior.condition.maps=${dir}/maps`)}`,
        ]
      : [`${n} pictures in ${dir}`, `Next: vqgen train-stage1 --data ${word(dir)}`],
  };
}

async function openMuseum(context: Context): Promise<Outcome> {
  const { runMuseum } = await import('./museum.js');
  return runMuseum(context);
}

async function completion({ words }: Context, all: readonly Command[]): Promise<Outcome> {
  const shell = shells.find((name) => name === words[0]);
  if (shell === undefined) {
    const next = 'For example: vqgen completion bash';
    throw expected(`one of ${shells.join(', ')}`, 'SHELL', words[0] ?? 'nothing', next);
  }
  const { shippedConfigs } = await import('../config/load.js');
  const { shippedNames } = await import('../checkpoint/shipped.js');
  const lines = completionScript(shell, all, { configs: shippedConfigs(), runs: shippedNames });
  return { summary: { shell, script: lines.join('\n') }, lines };
}
