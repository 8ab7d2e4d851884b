/**
 * The commands as a user types them, the main ones and all that is interrupted in processes of their own, on the
 * smallest config: every file they promise, stopping, resuming, mistakes.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { main } from '../src/cli/main.js';
// @ts-expect-error: it is loaded into processes as it is
import { watchSockets } from './support/no-sockets.mjs';
import { type Called, call } from './support/streams.js';

const root = process.cwd();
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-e2e-'));
const inFolder = (...parts: string[]): string => path.join(folder, ...parts);

/** Of its own, so that what a command leaves there shows. */
const home = inFolder('home');

/** Where processes note that they began, and each attempt to reach a network; in this one it is noted likewise. */
const socketNotes = inFolder('sockets');
const watching = {
  NODE_OPTIONS: `--import ${pathToFileURL(path.join(root, 'tests/support/no-sockets.mjs')).href}`,
  VQGEN_SOCKETS: socketNotes,
};
const openedHere: string[] = [];
let stopWatching = (): void => {};

interface Result {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** On the CPU: the bits of other devices are not the same. One thread leaves the other core to other tests. */
const words = (line: string): string[] => [...line.split(' '), '--device', 'cpu', '--threads', '1'];

function start(line: string): { child: ChildProcess; done: Promise<Result> } {
  const child = spawn(process.execPath, [path.join(root, 'bin/vqgen.js'), ...words(line)], {
    cwd: folder,
    env: { ...process.env, ...watching, HOME: home, XDG_CACHE_HOME: home, ORT_DISABLE_TELEMETRY: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { stdout: '', stderr: '' };
  child.stdout!.on('data', (chunk) => (written.stdout += chunk));
  child.stderr!.on('data', (chunk) => (written.stderr += chunk));
  const done = new Promise<Result>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, ...written }));
  });
  return { child, done };
}

/** In a process of its own. */
const vqgen = (line: string): Promise<Result> => start(line).done;

/** In this process. */
const here = (line: string): Promise<Called> => call(main, words(line));

/** The `--json` summary of a command that must succeed. */
async function summary(
  line: string,
  run: typeof vqgen | typeof here = here,
): Promise<Record<string, unknown>> {
  const result = await run(`${line} --json`);
  if (result.code !== 0) throw new Error(`vqgen ${line} gave ${result.code}: ${result.stderr}`);
  expect(result.stdout.trimEnd().split('\n')).toHaveLength(1);
  return JSON.parse(result.stdout);
}

/** Starts a training and sends it a signal as soon as the stage has a checkpoint beyond `step`. */
async function interrupt(line: string, stage: string, signal: NodeJS.Signals, step: number): Promise<Result> {
  const { child, done } = start(line);
  const watch = setInterval(() => {
    if (latest(stage) <= step) return;
    clearInterval(watch);
    child.kill(signal);
  }, 2);
  const result = await done;
  clearInterval(watch);
  return result;
}

function latest(stage: string): number {
  const file = inFolder(stage, 'latest');
  return fs.existsSync(file) ? Number(/\d+/.exec(fs.readFileSync(file, 'utf8'))?.[0] ?? 0) : 0;
}

/** Lines of `metrics.jsonl` without what a clock says. */
function metrics(stage: string): Record<string, unknown>[] {
  const lines = fs.readFileSync(inFolder(stage, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) =>
    Object.fromEntries(
      Object.entries(JSON.parse(line)).filter(([key]) => key !== 'time_s' && !key.endsWith('_per_second')),
    ),
  );
}

/** Bytes of the newest checkpoint's tensors. */
const tensors = (stage: string): Buffer[] =>
  ['model', 'optimizer'].map((name) =>
    fs.readFileSync(inFolder(stage, `step-${`${latest(stage)}`.padStart(8, '0')}`, `${name}.safetensors`)),
  );

const pngs = (name: string): string[] =>
  fs.readdirSync(inFolder(name)).filter((file) => file.endsWith('.png'));

beforeAll(() => {
  stopWatching = watchSockets((what: string) => openedHere.push(what));
  process.chdir(folder);
  execFileSync(process.execPath, [path.join(root, 'scripts/setup.mjs')], { stdio: ['ignore', 2, 2] });
}, 300_000);
afterAll(() => {
  stopWatching();
  process.chdir(root);
  fs.rmSync(folder, { recursive: true });
});

const stage1 =
  'train-stage1 --config tiny --steps 16 --set stage1.log_every=3 --set stage1.ch_mult=[1,1] --set stage1.attn_resolutions=[]';
const prior = 'train-prior --steps 400 --set prior.checkpoint_every=20 --set prior.eval_every=40';

describe('the four commands, one after another', () => {
  test('train-stage1', async () => {
    const result = await summary(`${stage1} --run whole`, vqgen);
    expect(Object.keys(result)).toEqual(['run', 'stage', 'step', 'loss', 'seconds', 'metrics']);
    expect(result).toMatchObject({ run: 'whole', stage: 'stage1', step: 16 });
    const saved = JSON.parse(fs.readFileSync(inFolder('whole/config.json'), 'utf8'));
    expect(saved).toMatchObject({ stage1: { steps: 16, codes: 32 }, prior: { heads: 2 } });
    expect(saved.vqgen).toBe(JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')).version);
    expect(fs.readdirSync(inFolder('whole/stage1')).filter((name) => !name.startsWith('.'))).toEqual(
      expect.arrayContaining(['grids', 'latest', 'metrics.jsonl', 'step-00000016']),
    );
    expect(pngs('whole/stage1/grids')).toContain('step-00000016.png');
    const lines = metrics('whole/stage1');
    expect(fs.existsSync(path.join(home, 'Microsoft'))).toBe(false); // ONNX Runtime's telemetry
    expect(lines.filter(({ split }) => split === 'train').map(({ step }) => step)).toEqual([
      1, 3, 6, 9, 12, 15, 16,
    ]);
    expect(Object.keys(Object.assign({}, ...lines)).sort()).toEqual(
      [
        ...['step', 'split', 'loss', 'l1', 'perceptual', 'codebook', 'commitment', 'generator'],
        ...['discriminator', 'adaptive_weight', 'codebook_usage', 'perplexity', 'psnr'],
        ...['pattern_luma', 'pattern_colour', 'colour_shift'],
      ].sort(),
    );
  });

  test('tokenize', async () => {
    const result = await summary('tokenize dataset --run whole --check', vqgen);
    expect(Object.keys(result)).toEqual([
      ...['images', 'skipped', 'tokens', 'vocab', 'height', 'width', 'usage', 'seconds', 'file'],
    ]);
    expect(result).toMatchObject({ images: 120, skipped: 0, tokens: 7680, vocab: 32, height: 8, width: 8 });
    expect(result.file).toBe(path.join('whole', 'tokens', 'train.safetensors'));
    expect(fs.readdirSync(inFolder('whole/tokens'))).toEqual(
      expect.arrayContaining(['train.safetensors', 'val.safetensors']),
    );
  });

  test('train-prior', async () => {
    const result = await summary(`${prior} --run whole`, vqgen);
    expect(result).toMatchObject({ run: 'whole', stage: 'prior', step: 400 });
    const lines = metrics('whole/prior');
    expect(Object.keys(lines[0]!)).toEqual(['step', 'split', 'loss', 'bits_per_token']);
    expect(lines.at(-1)).toMatchObject({ step: 400, split: 'val' });
    // It has learned something: far from log₂ 32 = 5 bits.
    expect(lines.at(-1)!.bits_per_token).toBeLessThan(4.7);
  });

  test('sample: a seed names its pictures, however many are asked for', async () => {
    const result = await summary('sample --n 3 --run whole --out first/grid.png', vqgen);
    expect(Object.keys(result)).toEqual([
      ...['images', 'grid', 'files', 'seed', 'seconds', 'tokens_per_second', 'classes'],
    ]);
    expect(result).toMatchObject({ images: 3, seed: 0, grid: 'first/grid.png' });
    expect(result.classes).toEqual(['boat', 'butterfly', 'car']);
    const bytes = (files: unknown) => (files as string[]).map((file) => fs.readFileSync(inFolder(file)));
    const before = bytes(result.files);
    expect(before).toHaveLength(3);
    expect(bytes((await summary('sample --n 18 --run whole')).files).slice(0, 3)).toEqual(before);
    const another = bytes((await summary('sample --n 3 --run whole --seed 5')).files);
    expect(another).not.toEqual(before);
    const { classes } = await summary('sample --n 3 --class cat --class car --cfg-scale 2 --run whole');
    expect(classes).toEqual(['cat', 'car', 'cat']);
  });

  test('reconstruct', async () => {
    await summary('dataset make drawn --n 10 --size 16');
    const result = await summary('reconstruct drawn --run whole --out pairs.png');
    expect(Object.keys(result)).toEqual(['images', 'psnr', 'out']);
    expect(result).toMatchObject({ images: 10, out: 'pairs.png' });
    expect(result.psnr).toBeGreaterThan(5);
    expect(fs.existsSync(inFolder('pairs.png'))).toBe(true);
  });

  test('evaluate', async () => {
    const result = await summary('evaluate --run whole --data drawn --n 16');
    expect(Object.keys(result)).toEqual([
      ...['run', 'data', 'images', 'skipped', 'features', 'classifier'],
      ...['tokenizer', 'prior', 'samples', 'seconds'],
    ]);
    expect(result).toMatchObject({
      run: 'whole',
      data: 'drawn',
      images: 10,
      samples: { n: 16, compared: 10 },
    });
    expect(fs.existsSync(inFolder('whole/samples/nearest.png'))).toBe(true);
    const { stdout } = await here('evaluate --run whole --data drawn --n 16 --quiet');
    for (const name of ['psnr', 'ssim', 'rfd_vqgen', 'bits_per_token', 'fd_vqgen', 'precision_vqgen']) {
      expect(stdout).toContain(`  ${name} `);
    }
  });

  test('info names the next command', async () => {
    expect(await summary('info whole')).toMatchObject({
      stage1: { step: 16, steps: 16 },
      tokens: [
        { split: 'train', height: 8, width: 8, vocab: 32, outdated: false },
        { split: 'val', height: 8, width: 8, vocab: 32, outdated: false },
      ],
      prior: { step: 400, steps: 400 },
      next: 'vqgen sample --n 16 --run whole',
    });
  });

  test('export, import', async () => {
    const exported = await summary('export --to safetensors --run whole');
    const [file] = exported.files as string[];
    expect(await summary(`import ${file} --run again`)).toMatchObject({ run: 'again', step: 16 });
    expect(await summary('info again')).toMatchObject({ stage1: { step: 16 } });
  });

  test('what is finished stays as it is', async () => {
    const before = tensors('whole/stage1');
    expect(await summary(`${stage1} --run whole`)).toMatchObject({ step: 16 });
    expect(await summary(`${stage1} --run whole --resume`)).toMatchObject({ step: 16 });
    expect(await summary('train-prior --run whole')).toMatchObject({ step: 400 });
    expect(tensors('whole/stage1')).toEqual(before);
  });
});

test('killed between checkpoints, stopped by Ctrl-C or SIGTERM, then resumed: the same weights and metrics, to the last bit', async () => {
  const line = `${stage1} --run cut --quiet --tensorboard`;
  const killed = await interrupt(line, 'cut/stage1', 'SIGKILL', 0);
  expect(killed.signal).toBe('SIGKILL');
  const first = latest('cut/stage1');
  expect(first).toBeGreaterThan(0);
  expect(first).toBeLessThan(16); // else the kill came too late

  const stopped = await interrupt(`${line} --resume`, 'cut/stage1', 'SIGINT', first);
  expect(stopped).toMatchObject({ code: 130 });
  expect(stopped.stdout).toContain('Next: vqgen train-stage1 --resume --run cut');
  expect(latest('cut/stage1')).toBeGreaterThan(first);
  expect(latest('cut/stage1')).toBeLessThan(16);

  expect(await summary(`${line} --resume`)).toMatchObject({ step: 16 });
  expect(tensors('cut/stage1')).toEqual(tensors('whole/stage1'));
  expect(metrics('cut/stage1')).toEqual(metrics('whole/stage1'));
  expect(fs.readdirSync(inFolder('cut/stage1')).filter((name) => name.startsWith('.'))).toEqual([]);

  await summary('tokenize --run cut');
  const cut = await interrupt(`${prior} --run cut --tensorboard`, 'cut/prior', 'SIGKILL', 0);
  expect(cut.signal).toBe('SIGKILL');
  const terminated = await interrupt(
    'train-prior --run cut --resume',
    'cut/prior',
    'SIGTERM',
    latest('cut/prior'),
  );
  expect(terminated).toMatchObject({ code: 143, signal: null });
  expect(latest('cut/prior')).toBeLessThan(400);
  await summary('train-prior --run cut --resume');
  expect(tensors('cut/prior')).toEqual(tensors('whole/prior'));
  expect(metrics('cut/prior')).toEqual(metrics('whole/prior'));

  const splits = (stage: string) => fs.readdirSync(inFolder(stage, 'tensorboard')).sort();
  expect([splits('cut/stage1'), splits('cut/prior')]).toEqual([
    ['train', 'val'],
    ['train', 'val'],
  ]);
  expect(fs.existsSync(inFolder('whole/stage1/tensorboard'))).toBe(false);
}, 240_000);

/** Starts a command that is stopped (not ended) as soon as it holds a lock. */
async function stopped(line: string, lock: string) {
  const { child, done } = start(line);
  while (!fs.existsSync(inFolder(lock))) {
    expect(child.exitCode).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  child.kill('SIGSTOP');
  const goOn = (): Promise<Result> => {
    child.kill('SIGCONT');
    return done;
  };
  return { child, goOn, done };
}

describe('two processes, one run: the second is refused at once, the first ends untouched', () => {
  const refused = (stage: string, command: string) =>
    new RegExp(
      `^Expected a place that no other process writes into for --run but received twice, whose ${stage} is held by process \\d+ on \\w+ \\(vqgen ${command}, since .*\\)\\. Wait until it has ended, or end it\\.$`,
      'm',
    );

  test('trainings of the tokenizer, fresh and resumed', async () => {
    const first = await stopped(`${stage1} --run twice`, 'twice/.stage1.lock');
    for (const [line, run] of [
      [`${stage1} --run twice`, vqgen],
      [`${stage1} --run twice --resume`, here],
    ] as const) {
      const { code, stdout, stderr } = await run(line);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(refused('stage1', 'train-stage1'));
    }
    expect((await here('info twice')).code).toBe(2); // Readers are not kept out: it has no config yet.
    expect(await first.goOn()).toMatchObject({ code: 0 });
    expect(tensors('twice/stage1')).toEqual(tensors('whole/stage1'));
    expect(metrics('twice/stage1')).toEqual(metrics('whole/stage1'));
    expect(fs.existsSync(inFolder('twice/.stage1.lock'))).toBe(false);
  });

  test('tokenize of two data sets under one name', async () => {
    await summary('dataset make some --n 10 --size 16');
    await summary('dataset make others --n 20 --size 16 --seed 1');
    const first = await stopped('tokenize some --split x --run twice', 'twice/.tokens.lock');
    const second = await here('tokenize others --split x --run twice');
    expect(second).toMatchObject({ code: 2, stdout: '' });
    expect(second.stderr).toMatch(refused('tokens', 'tokenize'));
    expect(await first.goOn()).toMatchObject({ code: 0 });
    expect(fs.readdirSync(inFolder('twice/tokens'))).toEqual(['x.safetensors']);
    expect((await summary('info twice')).tokens).toMatchObject([{ split: 'x', images: 10 }]);
  });

  test('one that was killed is taken over with a word, the prior’s too', async () => {
    await summary('tokenize --run twice');
    const line = `${prior} --steps 40 --run twice`;
    const first = await stopped(line, 'twice/.prior.lock');
    const second = await here(line);
    expect(second.code).toBe(2);
    expect(second.stderr).toMatch(refused('prior', 'train-prior'));
    first.child.kill('SIGKILL');
    await first.done;
    expect(fs.existsSync(inFolder('twice/.prior.lock'))).toBe(true);
    const third = await here(`${line} --resume`);
    expect(third.code).toBe(0);
    expect(third.stderr).toMatch(
      /^The prior of twice was held by process \d+ on \w+ \(vqgen train-prior, since .*\), which is gone: it is taken over\.$/m,
    );
    expect(fs.readdirSync(inFolder('twice')).filter((name) => name.endsWith('lock'))).toEqual([]);
  });
});

// Root may write everywhere: the commands run as somebody who may not.
const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
const bin = path.join(root, 'bin/vqgen.js');
const readable =
  spawnSync(process.execPath, ['-e', `fs.readFileSync(${JSON.stringify(bin)})`], nobody).status === 0;

(process.platform !== 'win32' && readable ? test : test.skip)(
  'a run that may not be written to is told of in one sentence before any work; readers read it',
  () => {
    fs.cpSync(inFolder('whole'), inFolder('closed'), { recursive: true });
    fs.mkdirSync(inFolder('closed/condition'));
    execFileSync('chmod', ['-R', 'a-w,a+rX', inFolder('closed')]);
    execFileSync('chmod', ['a+rx', folder]);
    const refusedLines = [
      `${stage1} --steps 32 --run closed --resume`,
      'train-prior --steps 500 --run closed --resume',
      'tokenize --run closed',
      'tokenize drawn --split x --run closed',
      'sample --run closed',
      'reconstruct drawn --run closed',
      'interpolate drawn/cat/000003.png drawn/cat/000003.png --run closed',
      'complete drawn/cat/000003.png --run closed',
      'export --to onnx --run closed',
      'export --to run --run closed',
      'train-perceptual --out closed/classifier',
      'dataset make closed/pictures',
    ];
    const reading = ['info closed', 'train-prior --run closed', `${stage1} --run closed`];
    const program = `import { main } from ${JSON.stringify(path.join(root, 'dist/cli/main.js'))};
      import { PassThrough } from 'node:stream';
      for (const line of JSON.parse(process.argv[1])) {
        let stderr = '';
        const began = performance.now();
        const streams = { stdout: new PassThrough().resume(), stderr: new PassThrough().on('data', (text) => (stderr += text)) };
        const code = await main(line, streams);
        console.log(JSON.stringify({ code, stderr, seconds: (performance.now() - began) / 1000 }));
      }`;
    const lines = [...refusedLines, ...reading].map(words);
    const out = execFileSync(
      process.execPath,
      ['--input-type=module', '-e', program, JSON.stringify(lines)],
      { cwd: folder, encoding: 'utf8', ...nobody },
    );
    const results: { code: number; stderr: string }[] = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const [i, line] of refusedLines.entries()) {
      const { code, stderr } = results[i]!;
      const said = stderr.trimEnd().split('\n');
      expect({ line, code, said }).toEqual({
        line,
        code: 2,
        said: [expect.stringMatching(/^Expected .* but received .*closed.* cannot be( written to)?\. /)],
      });
    }
    expect(results.slice(refusedLines.length).map(({ code }) => code)).toEqual([0, 0, 0]);
    execFileSync('chmod', ['-R', 'u+w', inFolder('closed')]);
  },
);

test('batches in parts: as many others at a resume, the same tensors and lines', async () => {
  const names = (stage: string) =>
    tensors(stage).map((bytes) =>
      Object.keys(JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE())))).sort(),
    );
  const keys = (stage: string) => metrics(stage).map((line) => Object.keys(line));
  for (const [steps, parts] of [
    [8, 2],
    [12, 4],
    [16, 1],
  ]) {
    const command = steps === 8 ? stage1.replace('--steps 16 ', '') : 'train-stage1 --resume';
    const line = `${command} --steps ${steps} --accumulate ${parts} --run parts`;
    expect(await summary(line)).toMatchObject({ step: steps });
  }
  expect(names('parts/stage1')).toEqual(names('whole/stage1'));
  await summary('tokenize --run parts');
  expect(await summary('train-prior --run parts --steps 4 --accumulate 4')).toMatchObject({ step: 4 });
  expect(await summary('train-prior --run parts --steps 8 --accumulate 1 --resume')).toMatchObject({
    step: 8,
  });
  expect(names('parts/prior')).toEqual(names('whole/prior'));
  expect(
    metrics('parts/stage1')
      .filter(({ split }) => split === 'train')
      .map(({ step }) => step),
  ).toEqual(expect.arrayContaining([1, 3, 6, 9, 12, 15, 16]));
  expect(keys('parts/prior')[0]).toEqual(keys('whole/prior')[0]);
});

describe('a mistake is one sentence on stderr that says what to do, and exit code 2', () => {
  beforeAll(() => {
    fs.mkdirSync(inFolder('empty'));
    fs.mkdirSync(inFolder('words'));
    fs.writeFileSync(inFolder('words/a.txt'), 'no picture');
    fs.writeFileSync(inFolder('words/b.png'), 'no picture either');
    fs.cpSync(inFolder('whole/config.json'), inFolder('untrained/config.json'));
    fs.cpSync(inFolder('whole/stage1'), inFolder('half/stage1'), { recursive: true });
    fs.cpSync(inFolder('whole/config.json'), inFolder('half/config.json'));
    const config = JSON.parse(fs.readFileSync(inFolder('whole/config.json'), 'utf8'));
    config.stage1.codes = 64;
    fs.cpSync(inFolder('whole'), inFolder('mixed'), { recursive: true });
    fs.rmSync(inFolder('mixed/prior'), { recursive: true });
    fs.writeFileSync(inFolder('mixed/config.json'), JSON.stringify(config));
  });

  test('it is the process’s exit code', async () => {
    const { code, stdout, stderr } = await vqgen('train-prior --run untrained');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^(Device: .*\n)?Expected .*untrained.*\n$/);
  });

  test.each([
    [
      'train-stage1 --config tiny --data nowhere --run new',
      /^Expected a folder of images for --data but received .*nowhere, which does not exist/,
    ],
    [
      'train-stage1 --config tiny --data empty --run new',
      /^Expected a folder of images for --data but received .*empty, which holds no image/,
    ],
    [
      'train-stage1 --config tiny --data words --run new',
      /^Expected a folder with readable images for --data but received .*words, where none of 1 can be read/,
    ],
    ['train-stage1 --config tiny --run whole', /^Expected .* whole.*--resume.*--run/],
    ['train-prior --run untrained', /^Expected .*untrained.*vqgen train-stage1 --run untrained/],
    ['train-prior --run half', /^Expected a token file .*vqgen tokenize --run half/],
    [
      'train-prior --run half --set prior.heads=3',
      /^Expected a divisor of prior.width \(32\) for prior.heads but received 3\./,
    ],
    [
      'train-stage1 --config tiny --accumulate 3 --run new',
      /^Expected a divisor of stage1.batch_size \(4\) for stage1.accumulate but received 3\./,
    ],
    [
      'train-prior --run half --accumulate 3',
      /^Expected a divisor of prior.batch_size \(4\) for prior.accumulate but received 3\./,
    ],
    ['train-prior --run half --set stage1.codes=16', /^Expected a key of the section prior for --set/],
    [
      'train-prior --run mixed',
      /^Expected 8×8 codes of 64 for .* 8×8 codes of 32\. .*vqgen tokenize --run mixed/,
    ],
    ['tokenize --run untrained', /^Expected a trained tokenizer .*vqgen train-stage1 --run untrained/],
    ['tokenize nowhere --run whole', /^Expected .* DATASET but received .*nowhere/],
    ['sample --run untrained', /^Expected a trained tokenizer .*vqgen train-stage1 --run untrained/],
    [
      'sample --run whole --class cart',
      /^Expected one of boat, .*, tree for --class .*cart\. Did you mean car\?/,
    ],
    ['sample --run half', /^Expected a trained prior .*vqgen train-prior --run half/],
    ['reconstruct nowhere.png --run whole', /^Expected .*nowhere\.png/],
    ['reconstruct empty --run whole', /^Expected .*empty/],
    ['evaluate --data nowhere --run whole', /^Expected a folder of images for --data .*nowhere/],
    ['evaluate --run untrained', /^Expected a trained tokenizer .*vqgen train-stage1 --run untrained/],
  ])('vqgen %s', async (line, sentence) => {
    const { code, stdout, stderr } = await here(line);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    const said = stderr.trimEnd().split('\n');
    const sentences = said.filter((line) => !/^(Device: |Left out of )/.test(line));
    expect(sentences).toEqual([expect.stringMatching(sentence)]);
    expect(fs.existsSync(inFolder('new/stage1'))).toBe(false);
  });
});

describe('no socket is opened', () => {
  const noted = (): string[] => fs.readFileSync(socketNotes, 'utf8').trimEnd().split('\n');

  test('by any command above, in its process or in this one', () => {
    const began = noted().filter((line) => line.startsWith('began '));
    for (const command of ['train-stage1', 'tokenize', 'train-prior'])
      expect(began).toContainEqual(expect.stringContaining(`vqgen.js ${command} `));
    expect(noted().filter((line) => !line.startsWith('began '))).toEqual([]);
    expect(openedHere).toEqual([]);
  });

  test('and it would be seen', () => {
    const calls = [
      ...["require('net').connect(1, '127.0.0.1')", "require('net').createServer().listen(0)"],
      ...["require('dns').lookup('localhost', () => {})", "require('http').get('http://127.0.0.1:1')"],
      ...["require('dgram').createSocket('udp4').bind(0)", "fetch('http://127.0.0.1:1')"],
    ];
    const native = `
      const { TCP, constants } = process.binding('tcp_wrap');
      const socket = new TCP(constants.SERVER);
      socket.bind('127.0.0.1', 0);
      socket.listen(1);
      process.exit();`;
    const script = `${calls.map((call) => `try { ${call} } catch {}`).join('\n')}${native}`;
    const file = inFolder('seen');
    const env = { ...process.env, ...watching, VQGEN_SOCKETS: file };
    execFileSync(process.execPath, ['-e', script], { env, stdio: 'ignore' });
    const seen = fs.readFileSync(file, 'utf8').trimEnd().split('\n').slice(1);
    const doors = ['net.connect', 'net.listen', 'dns.lookup', 'http.get', 'dgram.bind', 'fetch'];
    expect(seen.slice(0, 6)).toEqual(doors.map((door) => `opened ${door}`));
    if (process.platform === 'linux') expect(seen).toContain('opened a socket of tcp');
  });
});
