// node scripts/clock.mjs MEASURE LIMIT COMMAND --run RUN [options]: seconds by the clock from starting a training to
// the first validation that reaches a limit; the training is ended then (and saves). Measures: psnr (at least LIMIT),
// bits_per_token (at most).
//   node scripts/clock.mjs psnr 22 train-stage1 --config cifar10 --data cifar10/train --set data.val_dir=cifar10/test \
//     --set stage1.eval_every=50 --run RUN
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const vqgen = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../bin/vqgen.js');
const [measure, limit, command, ...options] = process.argv.slice(2);
const run = options[options.indexOf('--run') + 1];
const stage = { 'train-stage1': 'stage1', 'train-prior': 'prior' }[command];
const reached = { psnr: (x) => x >= Number(limit), bits_per_token: (x) => x <= Number(limit) }[measure];
if (!stage || !reached || !options.includes('--run')) {
  console.error(
    'Expected MEASURE LIMIT COMMAND --run RUN: psnr with train-stage1, bits_per_token with train-prior.',
  );
  process.exit(2);
}

const metrics = path.join(run, stage, 'metrics.jsonl');
const validations = () =>
  fs
    .readFileSync(metrics, 'utf8')
    .split('\n')
    .slice(0, -1) // what is still being written
    .map((line) => JSON.parse(line))
    .filter(({ split }) => split === 'val');

const began = performance.now();
const seconds = () => Number(((performance.now() - began) / 1000).toFixed(1));
const training = spawn(process.execPath, [vqgen, command, ...options], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
const curve = [];
const watch = setInterval(() => {
  if (!fs.existsSync(metrics)) return;
  for (const row of validations().slice(curve.length))
    curve.push({ step: row.step, seconds: seconds(), value: row[measure] });
  if (curve.some(({ value }) => reached(value))) training.kill('SIGINT');
}, 100);
training.on('close', () => {
  clearInterval(watch);
  for (const { step, seconds, value } of curve) console.error(`${seconds} s, step ${step}: ${value}`);
  const first = curve.find(({ value }) => reached(value));
  console.log(
    JSON.stringify({ command, measure, limit: Number(limit), seconds: first?.seconds, step: first?.step }),
  );
  process.exit(first ? 0 : 1);
});
