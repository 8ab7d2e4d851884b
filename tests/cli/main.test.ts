import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { jest } from '@jest/globals';
import { commands } from '../../src/cli/commands.js';
import { main } from '../../src/cli/main.js';
import { call } from '../support/streams.js';

const vqgen = (...argv: string[]) => call(main, argv);

let folder: string;
const home = process.cwd();
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-cli-'));
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(home);
  fs.rmSync(folder, { recursive: true });
});

test('without a word, or with --help, it explains itself', async () => {
  const overview = await vqgen();
  expect(overview).toMatchObject({ code: 0, stderr: '' });
  expect(overview.stdout).toMatchSnapshot();
  expect(await vqgen('--help')).toEqual(overview);
});

test.each(commands.map(({ name }) => name))('vqgen %s --help', async (name) => {
  const { code, stdout, stderr } = await vqgen(...name.split(' '), '--help');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatchSnapshot();
  expect(stdout).toContain('Examples:');
  for (const flag of ['seed', 'device', 'threads', 'json', 'quiet']) expect(stdout).toContain(`  --${flag}`);
});

test('--version', async () => {
  const { version } = JSON.parse(fs.readFileSync(path.join(home, 'package.json'), 'utf8'));
  expect(await vqgen('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
});

test('a reader of the pipe who leaves early is no failure', async () => {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  stdout.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  expect(await main(['--version'], { stdout, stderr })).toBe(0);
});

test('a full disk behind stdout is told in a sentence', async () => {
  const full = () =>
    new Writable({
      write: (_chunk, _encoding, done) =>
        done(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })),
    });
  let written = '';
  const stderr = new PassThrough().on('data', (chunk) => {
    written += chunk;
  });
  expect(await main(['--version'], { stdout: full(), stderr })).toBe(1);
  expect(written).toBe(
    'No space is left for stdout, where the outcome goes (ENOSPC). Free some there, or name another place. What the command wrote into files stands.\n',
  );
  expect(
    await main(['dataset', 'make', 'unheard', '--n', '1', '--size', '8'], {
      stdout: new PassThrough(),
      stderr: full(),
    }),
  ).toBe(0);
});

test('--json prints one object on stdout, without it people are spoken to', async () => {
  const spoken = await vqgen('dataset', 'make', 'drawn', '--n', '3', '--size', '8');
  expect(spoken).toEqual({
    code: 0,
    stdout: '3 pictures in drawn\nNext: vqgen train-stage1 --data drawn\n',
    stderr: '',
  });
  const { code, stdout } = await vqgen('dataset', 'make', 'more', '--n', '3', '--size', '8', '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ images: 3, size: 8, dir: 'more' });
});

describe('a mistake is one sentence on stderr and exit code 2', () => {
  const every = commands.map(({ name }) => name).join(', ');
  const noRun = (run: string) =>
    `Expected a run folder for --run but received ${run}, which does not exist. Train a tokenizer first: vqgen train-stage1 --run ${run}`;

  test.each([
    [
      'tokenise',
      `Expected one of ${every} for the command but received tokenise. Did you mean vqgen tokenize?`,
    ],
    ['paint', `Expected one of ${every} for the command but received paint. vqgen --help explains them.`],
    [
      'dataset',
      `Expected one of ${every} for the command but received dataset. Did you mean vqgen dataset make?`,
    ],
    ['--quiet', `Expected one of ${every} for the command but received none. vqgen --help explains them.`],
    ['--vresion', 'Expected a known option for vqgen but received --vresion. Did you mean --version?'],
    [
      'sample --topk 3',
      'Expected a known option for vqgen sample but received --topk. Did you mean --top-k?',
    ],
    [
      'sample --config x',
      'Expected a known option for vqgen sample but received --config. vqgen sample --help lists them.',
    ],
    [
      'sample -k 3',
      'Expected a known option for vqgen sample but received -k. vqgen sample --help lists them.',
    ],
    ['sample --n', 'Expected a value for --n but received nothing.'],
    ['sample --n --seed 3', 'Expected a value for --n but received nothing.'],
    ['sample --n 0', 'Expected a whole number above 0 for --n but received 0.'],
    ['sample --n -3', 'Expected a whole number above 0 for --n but received -3.'],
    ['sample --n ten', 'Expected a whole number above 0 for --n but received ten.'],
    ['sample --n 2.5', 'Expected a whole number above 0 for --n but received 2.5.'],
    [
      'sample --n 16 grid.png',
      'Expected options only for vqgen sample but received grid.png. vqgen sample --help shows how it is used.',
    ],
    ['sample --temperature 0', 'Expected a number above 0 for --temperature but received 0.'],
    ['sample --top-p 2', 'Expected a number above 0 and of at most 1 for --top-p but received 2.'],
    ['sample --top-k -1', 'Expected a whole number of at least 0 for --top-k but received -1.'],
    ['sample --precision int4', 'Expected one of f32, int8 for --precision but received int4.'],
    ['export --to onnx --precision int8', 'Expected one of f32, f16 for --precision but received int8.'],
    [
      'sample --seed 9007199254740992',
      'Expected a whole number of at most 9007199254740991 for --seed but received 9007199254740992.',
    ],
    ['sample --seed x', 'Expected a whole number of at least 0 for --seed but received x.'],
    ['sample --device gpu', 'Expected one of auto, cpu, webgpu, tfjs for --device but received gpu.'],
    ['sample --threads 0', 'Expected a whole number above 0 for --threads but received 0.'],
    ...['0m', '30', '1h30m', '-1h', 'm'].map((time): [string, string] => [
      `train-prior --budget ${time}`,
      `Expected a time with its unit, s, m or h, for --budget but received ${time}. For example: --budget 30m`,
    ]),
    ...['--steps 5', '--resume', '--set prior.steps=5'].map((other): [string, string] => [
      `train-prior --budget 1.5h ${other}`,
      `Expected nothing else that sets the steps for --budget but received ${other.replace('--set ', '').replace(' 5', '')}. It plans the steps of a new training, and when it validates; one that goes on has its own: --resume alone.`,
    ]),
    [
      'tokenize a b',
      'Expected [DATASET] only for vqgen tokenize but received b. vqgen tokenize --help shows how it is used.',
    ],
    ['train-stage1 --set', 'Expected a value for --set but received nothing.'],
    [
      'train-stage1 --set stage1.chh=3',
      'Expected a known config key for --set but received stage1.chh. Did you mean stage1.ch?',
    ],
    [
      'import --set prior.heads=2 --set=stage1.ch=8 missing.ckpt --run r',
      'Expected a checkpoint for CHECKPOINT but received missing.ckpt, which does not exist. Name a .ckpt, .pth, .pt or .safetensors file.',
    ],
    [
      'train-stage1 --set stage1.ch=8 --set stage1.chh=3',
      'Expected a known config key for --set but received stage1.chh. Did you mean stage1.ch?',
    ],
    [
      'sample --class cat car',
      'Expected options only for vqgen sample but received car. vqgen sample --help shows how it is used.',
    ],
    [
      'train-stage1 --data a --data b',
      'Expected one folder for --data but received a and b. Images in subfolders of one folder are taken together.',
    ],
    [
      'evaluate --data a --data b --data c',
      'Expected one folder for --data but received a and b and c. Images in subfolders of one folder are taken together.',
    ],
    ['train-stage1 --steps 0', 'Expected a whole number above 0 for --steps but received 0.'],
    [
      'train-stage1 --set prior.heads=7 --set prior.width=64',
      'Expected a divisor of prior.width (64) for prior.heads but received 7. Try --set prior.heads=8.',
    ],
    [
      'reconstruct',
      'Expected an image or a folder for IMAGE but received nothing. For example: vqgen reconstruct photo.jpg',
    ],
    [
      'dataset make',
      'Expected a new folder for DIR but received nothing. For example: vqgen dataset make drawn/ --n 1000',
    ],
    ['edit', `Expected one of ${every} for the command but received edit. Did you mean vqgen edit inpaint?`],
    ...['complete', 'edit inpaint', 'edit outpaint', 'edit class'].map((name): [string, string] => [
      name,
      `Expected a picture for IMG but received nothing. vqgen ${name} --help shows how it is used.`,
    ]),
    [
      'complete a.png b.png',
      'Expected IMG only for vqgen complete but received b.png. vqgen complete --help shows how it is used.',
    ],
    [
      'complete a.png --keep upper',
      'Expected one of top, left, right, bottom or a fraction between 0 and 1 for --keep but received upper.',
    ],
    [
      'complete a.png --keep 1',
      'Expected one of top, left, right, bottom or a fraction between 0 and 1 for --keep but received 1.',
    ],
    [
      'edit inpaint a.png --box 1,2,3',
      'Expected X,Y,W,H, whole numbers of pixels, for --box but received 1,2,3. For example: --box 120,80,200,150',
    ],
    [
      'edit class a.png --box 1,2,0,4',
      'Expected X,Y,W,H, whole numbers of pixels, for --box but received 1,2,0,4. For example: --box 120,80,200,150',
    ],
    [
      'edit outpaint a.png --right 50',
      'Expected a percentage above 0% and up to 1000% for --right but received 50. For example: --right 50%',
    ],
    [
      'edit outpaint a.png --top 0%',
      'Expected a percentage above 0% and up to 1000% for --top but received 0%. For example: --top 50%',
    ],
    ['complete a.png --run none', noRun('none')],
    ['edit inpaint a.png --run none', noRun('none')],
    ['info none', noRun('none')],
    ['info --run none', noRun('none')],
    ['train-prior --run none', noRun('none')],
    ['tokenize --run none', noRun('none')],
    ['sample', noRun('checkpoints/default')],
    ['reconstruct x.png --run none', noRun('none')],
    ['evaluate --run none', noRun('none')],
    ['evaluate --n 0', 'Expected a whole number above 0 for --n but received 0.'],
  ])('vqgen %s', async (line, sentence) => {
    expect(await vqgen(...line.split(' '))).toEqual({ code: 2, stdout: '', stderr: `${sentence}\n` });
  });

  test('before anything else is done', async () => {
    await vqgen('train-stage1', '--set', 'stage1.ch=42');
    expect(fs.existsSync('checkpoints')).toBe(false);
  });
});

test('a folder that holds something is not overwritten', async () => {
  fs.mkdirSync('full');
  fs.writeFileSync('full/a', '');
  const { code, stderr } = await vqgen('dataset', 'make', 'full');
  expect(code).toBe(2);
  expect(stderr).toMatch(/^Expected a new folder for DIR but received full/);
});

test('another failure is exit code 1, with the way to see more', async () => {
  fs.mkdirSync('odd');
  fs.writeFileSync('odd/config.json', '{}');
  fs.writeFileSync('odd/tokens', '');
  const { code, stdout, stderr } = await vqgen('info', 'odd');
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(/^vqgen failed: .*\nWith VQGEN_DEBUG=1 it also says where\.\n$/);
});

test('what the system refuses is a mistake that can be mended', async () => {
  const denied = Object.assign(new Error('EACCES: permission denied'), {
    code: 'EACCES',
    path: '/r/x',
    syscall: 'open',
  });
  const command = commands.find(({ name }) => name === 'info')!;
  const failing = jest.spyOn(command, 'run').mockRejectedValue(denied);
  try {
    expect(await vqgen('info')).toEqual({
      code: 2,
      stdout: '',
      stderr:
        'Expected the right to use it for /r/x but received none (EACCES at open). See to its permissions, or name another place.\n',
    });
  } finally {
    failing.mockRestore();
  }
});

describe('a disk that does not take what it should', () => {
  const failing = async (error: Partial<NodeJS.ErrnoException>, name = 'info', ...argv: string[]) => {
    const command = commands.find((command) => command.name === name)!;
    const run = jest
      .spyOn(command, 'run')
      .mockRejectedValue(Object.assign(new Error('words of Node'), error));
    try {
      return await vqgen(...name.split(' '), ...argv);
    } finally {
      run.mockRestore();
    }
  };

  test.each([
    ['ENOSPC', 'No space is left for /r (ENOSPC). Free some there, or name another place.'],
    ['EDQUOT', 'The quota is used up for /r (EDQUOT). Remove what is yours there, or name another place.'],
    ['EIO', 'The disk failed at /r (EIO). See to it, or name another place.'],
    ['EFBIG', expect.stringContaining('/r (EFBIG). Raise the limit (ulimit -f), or')],
    ['EMFILE', 'Too many files are open for /r (EMFILE). Raise the limit (ulimit -n).'],
  ])('%s is one sentence with its place', async (code, sentence) => {
    const { stderr, ...result } = await failing({ code, path: '/r/.x.1-0.partial/model' });
    expect(result).toEqual({ code: 1, stdout: '' });
    expect(stderr.split('\n')).toEqual([sentence, '']);
  });

  test('a training goes on afterwards', async () => {
    const { stderr } = await failing({ code: 'ENOSPC', path: '/r/m' }, 'train-prior');
    expect(stderr).toBe(
      'No space is left for /r/m (ENOSPC). Free some there, or name another place. What was saved before stands: then go on with --resume.\n',
    );
  });

  test('that a stopped training could not be saved is not kept quiet', async () => {
    const command = commands.find(({ name }) => name === 'train-prior')!;
    const run = jest.spyOn(command, 'run').mockImplementation(async ({ signal }) => {
      process.emit('SIGTERM', 'SIGTERM');
      expect(signal.aborted).toBe(true);
      throw Object.assign(new Error('words of Node'), { code: 'ENOSPC', path: '/r/m' });
    });
    try {
      const { code, stderr } = await vqgen('train-prior', '--quiet');
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: expect.stringMatching(/^No space is left for \/r\/m/),
      });
    } finally {
      run.mockRestore();
    }
  });
});

describe('words of others do nothing to the terminal', () => {
  const title = '\x1b]0;title\x07\nNext: forged\x9b2J\u202e';
  const seen = '\\x1b]0;title\\x07\\nNext: forged\\x9b2J\\u202e';

  test('in a mistake, and in a failure that is traced', async () => {
    expect((await vqgen(`tokenise${title}`)).stderr).toContain(`received tokenise${seen}. vqgen`);
    const command = commands.find(({ name }) => name === 'info')!;
    const run = jest.spyOn(command, 'run').mockRejectedValue(new Error(`words ${title} of a file`));
    process.env.VQGEN_DEBUG = '1';
    try {
      const { stderr } = await vqgen('info');
      expect(stderr.split('\n')[0]).toBe(`Error: words ${seen} of a file`);
      expect(stderr).toMatch(/\n {4}at /);
    } finally {
      delete process.env.VQGEN_DEBUG;
      run.mockRestore();
    }
  });

  test('in an outcome, in notes, in JSON and of libraries', async () => {
    const command = commands.find(({ name }) => name === 'info')!;
    const run = jest.spyOn(command, 'run').mockImplementation(async ({ reporter }) => {
      reporter.heading(`heading ${title}`);
      reporter.warn(title);
      console.log('library\n%s', title.slice(0, 5));
      return { summary: { name: title }, lines: [title] };
    });
    try {
      const spoken = await vqgen('info');
      expect(spoken.stdout).toBe(`${seen}\n`);
      expect(spoken.stderr).toBe(`heading ${seen}\nWarning: ${seen}\nlibrary\n\\x1b]0;t\n`);
      const { stdout } = await vqgen('info', '--json');
      expect(stdout).toContain('\\u009b2J\\u202e');
      expect(JSON.parse(stdout)).toEqual({ name: title });
    } finally {
      run.mockRestore();
    }
  });
});

test('more threads than cores are cores', async () => {
  const cores = os.availableParallelism();
  const { code, stderr } = await vqgen('dataset', 'make', 'threads', '--n', '1', '--threads', '1000');
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: `Warning: --threads 1000 is more than the ${cores} cores here, which are used.\n`,
  });
});

test('devices lists what computes here, by rates, and which one auto takes', async () => {
  const { code, stdout } = await vqgen('devices', '--json');
  const { devices, auto } = JSON.parse(stdout);
  const names = devices.map(({ device }: { device: string }) => device);
  expect({ code, names }).toEqual({ code: 0, names: ['cpu', 'webgpu', 'tfjs'] });
  const [cpu, webgpu, tfjs] = devices.map(({ gflops }: { gflops: number | null }) => gflops);
  expect(cpu).toBeGreaterThan(tfjs); // plain JavaScript is some hundred times slower
  expect(auto).toBe(webgpu !== null && webgpu > cpu ? 'webgpu' : 'cpu');
});
