/**
 * By the commands: a run is trained on by vqgen, and as a project by two processes of torchrun, one of which is killed;
 * back in vqgen both are the same.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { float32 } from '../../dist/base/tensor.js';
import { readSafetensors } from '../../dist/checkpoint/safetensors.js';
import { writePng } from '../../dist/data/pictures.js';
import { mistakes } from './mistakes.mjs';

const [begun, whole, killedAt] = [30, 90, 42];
const size = 16;

const settings = [
  ...['stage1.disc.start=20', 'stage1.steps=90', 'stage1.checkpoint_every=3', 'stage1.eval_every=15'],
  ...['stage1.log_every=5', 'stage1.warmup=5', 'stage1.codebook.warmup=5', 'data.flip=true'],
  ...['prior.steps=30', 'prior.checkpoint_every=10', 'prior.eval_every=10', 'prior.log_every=5'],
  ...['prior.dropout=0', 'prior.warmup=5'],
].flatMap((setting) => ['--set', setting]);

/** @param o.root of the repository. @param o.python with torch. @param o.folder where everything is made */
export async function trainedOn({ root, python, folder }) {
  const at = (...parts) => path.join(folder, ...parts);
  const vqgen = (...words) =>
    execFileSync(process.execPath, [path.join(root, 'bin/vqgen.js'), ...words, '--quiet'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      cwd: folder,
    });
  const torchrun = (place, ...words) =>
    spawn(
      python,
      [
        ...[
          '-m',
          'torch.distributed.run',
          '--nproc-per-node',
          '2',
          '--max-restarts',
          '2',
          '--monitor-interval',
          '1',
        ],
        ...[path.join(place, 'train.py'), ...words],
      ],
      { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, OMP_NUM_THREADS: '1' } },
    );
  const ended = (child) => new Promise((resolve) => child.on('close', resolve));

  await writePhotos(at('photos'), 40);
  const cpu = ['--device', 'cpu', '--threads', '1'];
  vqgen('train-stage1', '--config', 'tiny', '--data', 'photos', '--run', 'run', ...settings, ...cpu);
  const from = stepsOf(at('run/stage1'));
  console.log(`vqgen alone: checkpoints ${from.join(', ')}`);

  // What the run was at the step `begun` is trained on by PyTorch.
  vqgen(
    'train-stage1',
    '--config',
    'tiny',
    '--data',
    'photos',
    '--run',
    'half',
    ...settings,
    '--set',
    'stage1.keep=99',
    ...cpu,
  );
  for (const step of stepsOf(at('half/stage1')))
    if (step > begun) fs.rmSync(at('half/stage1', nameOf(step)), { recursive: true });
  fs.writeFileSync(at('half/stage1/latest'), `${nameOf(begun)}\n`);
  vqgen('export', '--to', 'torch', '--run', 'half', '--out', 'project');
  const training = torchrun(at('project'), 'stage1', '--workers', '1');
  const killing = killOneAt(at('project/stage1', nameOf(killedAt)), at('project'));
  assert.equal(await ended(training), 0);
  assert.equal(await killing, true, 'a worker was killed');
  vqgen('import', 'project', '--run', 'back');
  await same(at('back/stage1'), at('run/stage1'), whole);
  sameLines(at('back/stage1/metrics.jsonl'), at('run/stage1/metrics.jsonl'));

  // The prior, from its beginning, of tokens of the tokenizer that PyTorch trained.
  vqgen('tokenize', '--run', 'back', ...cpu);
  vqgen('export', '--to', 'torch', '--run', 'back', '--out', 'second');
  assert.equal(await ended(torchrun(at('second'), 'prior')), 0);
  vqgen('import', 'second', '--run', 'third');
  vqgen(
    'train-prior',
    '--run',
    'back',
    ...settings.filter((_, i, all) => /^prior/.test(all[i + (i % 2 === 0 ? 1 : 0)])),
    ...cpu,
  );
  await same(at('third/prior'), at('back/prior'), 30);
  sameLines(at('third/prior/metrics.jsonl'), at('back/prior/metrics.jsonl'));
  mistakes({ python, project: at('second'), folder });
  vqgen('sample', '--n', '4', '--run', 'third', ...cpu);
  vqgen('train-prior', '--resume', '--steps', '35', '--run', 'third', ...cpu);
  assert.deepEqual(stepsOf(at('third/prior')).at(-1), 35);
  console.log('train: as vqgen, there and back, with a worker killed on the way');
}

const nameOf = (step) => `step-${`${step}`.padStart(8, '0')}`;

const stepsOf = (stage) =>
  fs
    .readdirSync(stage)
    .filter((name) => /^step-\d{8}$/.test(name))
    .map((name) => Number(name.slice(5)))
    .sort((a, b) => a - b);

async function writePhotos(folder, n) {
  for (let i = 0; i < n; i++) {
    const pixels = Array.from({ length: size * size * 3 }, (_, j) => {
      const [y, x, c] = [Math.floor(j / 3 / size), Math.floor(j / 3) % size, j % 3];
      return Math.sin((i + 1) * 0.3 + (y * (1 + (i % 3)) + x * (c + 1)) / 4);
    });
    await writePng(path.join(folder, i % 2 ? 'a' : 'b', `${i}.png`), float32([size, size, 3], pixels));
  }
}

/** Kills one of the workers of a project as soon as a checkpoint is there. @returns whether there was one */
async function killOneAt(checkpoint, project) {
  for (let waited = 0; !fs.existsSync(checkpoint); waited++) {
    if (waited > 3000) return false;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const worker = fs.readdirSync('/proc').find((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    const words = textOf(`/proc/${pid}/cmdline`).split('\0');
    return (
      words.includes(path.join(project, 'train.py')) &&
      !words.includes('torch.distributed.run') &&
      /RANK=1\0/.test(textOf(`/proc/${pid}/environ`))
    );
  });
  if (!worker) return false;
  process.kill(Number(worker), 'SIGKILL');
  console.log(`killed a worker, ${worker}`);
  return true;
}

function textOf(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Softmax does not see what is added to all keys: their biases have no gradient, and go where rounding takes them. */
const keys = /attention\.key\.bias$/;
const alsoKeys = /qkv\.bias$/;

/** Weights within 1e-3 of the largest of their tensor. */
async function same(stage, other, step) {
  const read = async (folder) =>
    (await readSafetensors(path.join(folder, nameOf(step), 'model.safetensors'))).tensors;
  const [own, its] = [await read(stage), await read(other)];
  assert.deepEqual(Object.keys(own).sort(), Object.keys(its).sort());
  let worst = [0, ''];
  for (const [name, { data }] of Object.entries(its).filter(([name]) => !keys.test(name))) {
    const third = data.length / 3;
    const counts = (i) => !alsoKeys.test(name) || i < third || i >= 2 * third;
    const largest = data.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-12);
    const apart = data.reduce(
      (most, v, i) => (counts(i) ? Math.max(most, Math.abs(v - own[name].data[i])) : most),
      0,
    );
    if (apart / largest > worst[0]) worst = [apart / largest, name];
  }
  console.log(
    `${path.basename(stage)} at step ${step}: weights at most ${worst[0].toExponential(1)} apart (${worst[1]})`,
  );
  assert.ok(worst[0] < 1e-3, 'weights are as vqgen has them');
}

/** The same lines with the same keys; losses within 1e-3, other values of validations within a hundredth. */
function sameLines(file, other) {
  const lines = (place) =>
    fs
      .readFileSync(place, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  const [own, its] = [lines(file), lines(other)];
  const place = ({ step, split }) => `${split} ${step}`;
  assert.deepEqual(own.map(place), its.map(place));
  const apart = (line, there, key) => Math.abs(line[key] - there[key]) / Math.max(Math.abs(there[key]), 0.01);
  let worst = 0;
  for (const [i, line] of own.entries()) {
    worst = Math.max(worst, apart(line, its[i], 'loss'));
    assert.deepEqual(Object.keys(line).sort(), Object.keys(its[i]).sort());
    const measured =
      line.split === 'val' ? Object.keys(line).filter((key) => !['split', 'time_s'].includes(key)) : [];
    for (const key of measured) assert.ok(apart(line, its[i], key) < 0.01, `${key} is as vqgen has it`);
  }
  const name = path.relative(path.dirname(path.dirname(path.dirname(file))), file);
  console.log(`${name}: the same keys, losses at most ${worst.toExponential(1)} apart`);
  assert.ok(worst < 1e-3, 'losses are as vqgen has them');
}
