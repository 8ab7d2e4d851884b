import { spawnSync } from 'node:child_process';
import { commands } from '../../src/cli/commands.js';
import { shells } from '../../src/cli/completion/index.js';
import { commonFlags, flags } from '../../src/cli/flags.js';
import { main } from '../../src/cli/main.js';
import { shippedConfigs } from '../../src/config/load.js';
import { call } from '../support/streams.js';

const vqgen = (...argv: string[]) => call(main, argv);

async function scriptFor(shell: string): Promise<string> {
  const { code, stdout, stderr } = await vqgen('completion', shell);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** What a script says of a command. */
const partOf: Record<(typeof shells)[number], (script: string, command: string) => string> = {
  bash: (script, command) => between(script, `    '${command}')\n`, '\n      ;;'),
  zsh: (script, command) => between(script, `    '${command}')\n`, '\n      ;;'),
  fish: (script, command) =>
    script
      .split('\n')
      .filter((line) => line.startsWith(`complete -c vqgen -n '__vqgen_after --more ${command}' `))
      .join('\n'),
};

function between(text: string, start: string, end: string): string {
  const at = text.indexOf(start);
  return at < 0 ? '' : text.slice(at + start.length, text.indexOf(end, at));
}

test.each(shells)('the script for %s names every command, option, choice and config', async (shell) => {
  const script = await scriptFor(shell);
  for (const { name, flags: own, meanings } of commands) {
    const part = partOf[shell](script, name);
    for (const flag of [...own, ...commonFlags]) {
      expect(part).toMatch(new RegExp(`${shell === 'fish' ? '-l ' : '--'}${flag}\\b`));
      const { choices = [] }: { choices?: readonly string[] } = { ...flags[flag], ...meanings?.[flag] };
      for (const choice of choices) expect(part).toMatch(new RegExp(`\\b${choice}\\b`));
    }
  }
  for (const config of shippedConfigs())
    expect(partOf[shell](script, 'train-stage1')).toMatch(new RegExp(`\\b${config}\\b`));
  expect(partOf[shell](script, 'sample')).toContain('int8');
  expect(partOf[shell](script, 'train-stage1')).not.toContain('int8');
  expect(partOf[shell](script, 'sample')).toContain('fruits-64');
  expect(partOf[shell](script, 'train-stage1')).not.toContain('fruits-64'); // Nothing is written into it.
  expect(partOf[shell](script, 'completion')).toContain('bash zsh fish');
});

test('in zsh and fish words of help are no syntax', async () => {
  expect(await scriptFor('zsh')).toContain(
    `'--box=[what is redrawn, in the picture'\\''s own pixels, from its upper left]:X,Y,W,H: '`,
  );
  expect(await scriptFor('zsh')).toContain(`'--out=[where the picture goes\\: .png, .jpg or .webp]:`);
  expect(await scriptFor('fish')).toContain(
    `-l box -d 'what is redrawn, in the picture\\'s own pixels, from its upper left'`,
  );
});

test('an unknown shell, or none, gets a sentence', async () => {
  const sentence = (given: string) =>
    `Expected one of bash, zsh, fish for SHELL but received ${given}. For example: vqgen completion bash\n`;
  expect(await vqgen('completion', 'pwsh')).toEqual({ code: 2, stdout: '', stderr: sentence('pwsh') });
  expect(await vqgen('completion')).toEqual({ code: 2, stdout: '', stderr: sentence('nothing') });
});

const hasBash = spawnSync('bash', ['--version']).status === 0;

(hasBash ? test : test.skip)('bash completes by it', async () => {
  const lines: [typed: string, offered: string][] = [
    ['vqgen tr', 'train-stage1 train-prior train-perceptual'],
    ['vqgen --v', '--version'],
    ['vqgen edit ', 'inpaint outpaint class'],
    ['vqgen edit inpaint --bo', '--box'],
    ['vqgen edit inpaint --bot', ''],
    ['vqgen edit outpaint --bot', '--bottom'],
    ['vqgen train-stage1 --config photos', 'photos-128 photos-64'],
    ['vqgen train-stage1 --device ', 'auto cpu webgpu tfjs'],
    ['vqgen train-stage1 --device = w', 'webgpu'],
    ['vqgen sample --precision ', 'f32 int8'],
    ['vqgen train-prior --precision ', 'f32 f16 int8'],
    ['vqgen export --to s', 'safetensors'],
    ['vqgen complete cat.jpg --keep r', 'right'],
    ['vqgen tokenize --check d', 'dataset'],
    ['vqgen completion ', 'bash zsh fish'],
    ['vqgen train-stage1 --steps ', ''],
    ['vqgen train-stage1 --resume --te', '--tensorboard'],
    ['vqgen unheard ', ''],
  ];
  const tries = lines.map(([typed]) => `try ${typed.replace(/ $/, " ''")}`);
  const { stdout, stderr } = spawnSync('bash', ['--norc'], {
    encoding: 'utf8',
    input: `${await scriptFor('bash')}
      try() { COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=(); _vqgen; echo "\${COMPREPLY[*]}"; }
      ${tries.join('\n')}`,
  });
  expect(stderr).toBe('');
  expect(stdout.split('\n').slice(0, -1)).toEqual(lines.map(([, offered]) => offered));
});
