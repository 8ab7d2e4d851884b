// node scripts/forty-runs.mjs [SEED] [RUNS] [KEY=VALUE …]: tiny tokenizers (default rate 0.0008) with random learning
// rates, in turn over the three decades from 0.0001, from 0.1 and from 100, random warm-ups of the rate and random
// starts of the discriminator. Each must end with finite weights or with the message that says why it stopped; no
// checkpoint may hold a NaN. Prints a table, and how often the guard acted.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { stream } from '../dist/base/rng.js';
import { openSafetensors, toHost } from '../dist/checkpoint/safetensors.js';
import { listCheckpoints, readState } from '../dist/checkpoint/store.js';
import { lastValues } from '../dist/train/metrics.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const [seed, runs] = [Number(process.argv[2] ?? 0), Number(process.argv[3] ?? 40)];
const more = process.argv.slice(4);
const steps = 96;
const rng = stream(seed, 'forty runs');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-forty-'));

async function holdsNumbers(file) {
  const opened = await openSafetensors(file);
  try {
    for (const name of Object.keys(opened.entries)) {
      if (!toHost(await opened.read(name)).data.every(Number.isFinite)) return false;
    }
    return true;
  } finally {
    await opened.close();
  }
}

let bad = 0;
const counts = { undisturbed: 0, 'taken back and finished': 0, 'stopped with the message': 0 };
console.log(
  '| run | lr | warmup | disc.start | exit | step | rollbacks | val PSNR | checkpoints finite | said |',
);
console.log('|---|---|---|---|---|---|---|---|---|---|');
for (let i = 1; i <= runs; i++) {
  const lr = Number((10 ** (3 * (rng.uniform() + ((i - 1) % 3)) - 4)).toPrecision(3));
  const warmup = 2 + Math.floor(rng.uniform() * (steps / 2));
  const start = 1 + Math.floor(rng.uniform() * steps);
  const run = path.join(folder, `${i}`);
  const keys = {
    lr,
    steps,
    warmup,
    checkpoint_every: 16,
    eval_every: 32,
    log_every: 8,
    keep: 9,
    'disc.start': start,
  };
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      path.join(root, 'bin/vqgen.js'),
      ...[
        'train-stage1',
        '--config',
        'tiny',
        '--device',
        'cpu',
        '--threads',
        '1',
        '--run',
        run,
        '--seed',
        `${i}`,
      ],
      ...Object.entries(keys).flatMap(([key, value]) => ['--set', `stage1.${key}=${value}`]),
      ...more.flatMap((item) => ['--set', item]),
    ],
    { encoding: 'utf8' },
  );
  const stage = path.join(run, 'stage1');
  const checkpoints = listCheckpoints(stage);
  const finite = await Promise.all(
    checkpoints.flatMap((c) =>
      ['model', 'optimizer'].map((name) => holdsNumbers(path.join(c.path, `${name}.safetensors`))),
    ),
  );
  const rollbacks = stderr.match(/^Warning: Step .* Back to step/gm)?.length ?? 0;
  const stopped = /Training stopped at step .*/.exec(stderr)?.[0];
  const last = checkpoints.at(-1);
  const { metrics } = await lastValues(stage);
  const sound =
    finite.every(Boolean) && (status === 0 ? last?.step === steps : status === 1 && stopped !== undefined);
  if (!sound) bad++;
  else if (stopped) counts['stopped with the message']++;
  else counts[rollbacks > 0 ? 'taken back and finished' : 'undisturbed']++;
  const factor = last && readState(last).guard?.factor;
  const said =
    stopped?.replaceAll(folder, '').slice(0, 90) ?? (rollbacks > 0 ? `rate × ${factor?.toPrecision(2)}` : '');
  const cells = [
    i,
    lr,
    warmup,
    start,
    status,
    last?.step ?? 0,
    rollbacks,
    metrics.psnr?.toFixed(1) ?? '–',
    `${finite.every(Boolean)}`,
  ];
  console.log(`| ${[...cells, sound ? said : `WRONG: ${stderr.slice(-200)}`].join(' | ')} |`);
}
fs.rmSync(folder, { recursive: true });
console.log(
  `\n${runs - bad} of ${runs} ended as they must (seed ${seed}): ${Object.entries(counts)
    .map(([what, n]) => `${n} ${what}`)
    .join(', ')}.`,
);
process.exitCode = bad === 0 ? 0 : 1;
