// npm run gpu-report -- [--out DIR] [--minutes N] [--peer FILE] [--only TEXT] [--quick]: what this machine's GPU does,
// within N minutes (8). gpu-report.json and gpu-report.md in DIR (gpu-report) are written anew after each part, each
// of which runs in processes of its own and may fail.
//   --peer FILE  a PyTorch program that takes the benchmark's flags, --device cuda and --precision f32|tf32|bf16;
// python: $PEER_PYTHON or python3
//   --only TEXT  only the parts whose names match this regular expression, and devices
//   --quick      sizes for which a GPU in software, too, has enough with 40 minutes
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { agreement } from './gpu-report/agreement.mjs';
import { child, Failed, firstLine, here } from './gpu-report/child.mjs';
import { page } from './gpu-report/page.mjs';
import { bench, peer, profile, works } from './gpu-report/works.mjs';

const started = performance.now();
const options = readOptions();
const elapsed = () => (performance.now() - started) / 1000;
const end = started + Number(options.minutes) * 60_000 - 3000; // to write the last files in
const { quick } = options;
const trainings = works.filter((work) => /stage1|train/.test(work));

/** Those that matter most first: what does not fit into the time is left out. */
const parts = [
  ['devices', 60, devices],
  ['agreement tiny', 90, (o) => agreement({ ...o, config: 'tiny', start: 3, quick })],
  ...works.map((work) => [`${work} webgpu f32`, 60, (o) => bench({ ...o, work, device: 'webgpu', quick })]),
  ...['stage1-gan', 'prior-train', 'decode'].map((work) => [
    `${work} profile`,
    60,
    (o) => profile({ ...o, work, quick }),
  ]),
  ['agreement defaults', 90, (o) => agreement({ ...o, config: 'defaults', start: 3, quick })],
  ...trainings.map((work) => [
    `${work} webgpu f16`,
    60,
    (o) => bench({ ...o, work, device: 'webgpu', precision: 'f16', quick }),
  ]),
  ...peers('f32'),
  ...works.map((work) => [`${work} cpu f32`, 45, (o) => bench({ ...o, work, device: 'cpu', quick })]),
  ...peers('bf16'),
  ['agreement photos-64', 120, (o) => agreement({ ...o, config: 'photos-64', start: 1, quick })],
  ...peers('tf32'),
].map(([name, limit, run]) => ({
  name,
  limit: limit * (quick ? 5 : 1),
  run,
  status: 'skipped',
  seconds: 0,
  result: {},
}));

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        out: { type: 'string', default: 'gpu-report' },
        minutes: { type: 'string', default: '8' },
        peer: { type: 'string' },
        only: { type: 'string', default: '' },
        quick: { type: 'boolean', default: false },
      },
    });
    const { minutes } = values;
    if (!(Number(minutes) > 0))
      throw new Error(`Expected a positive number for --minutes but received ${minutes}.`);
    return values;
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
}

function peers(precision) {
  if (!options.peer) return [];
  const program = path.resolve(options.peer);
  return works.map((work) => [
    `${work} peer ${precision}`,
    60,
    (o) => peer({ ...o, program, work, precision, quick }),
  ]);
}

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-gpu-'));
const env = {};
const machine = {
  vqgen: JSON.parse(fs.readFileSync(path.join(here, 'package.json'), 'utf8')).version,
  node: process.version,
  system: `${os.type()} ${os.release()} ${os.arch()}`,
  cpu: os.cpus()[0]?.model,
  threads: os.availableParallelism(),
  date: new Date().toISOString(),
  quick,
};

/**
 * `vqgen devices`, and its find for the other parts: they need not search again, and no process stands between them
 * and the driver's words.
 */
async function devices({ result, until }) {
  const smi = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader'];
  await child(smi, { command: 'nvidia-smi', until }).then(
    ({ stdout }) => Object.assign(result, { nvidia: stdout.trim() }),
    () => {}, // another maker's GPU
  );
  const { stdout, stderr } = await child(['bin/vqgen.js', 'devices', '--json'], { until });
  Object.assign(result, JSON.parse(stdout.trim().split('\n').at(-1)), { stderr });
  const of = (name) => result.devices.find(({ device }) => device === name);
  const { description: name, gflops } = of('webgpu');
  if (gflops === null) throw new Error(`No GPU answers: ${name}`);
  const software = name === 'a software adapter';
  env.VQGEN_SEARCHED = JSON.stringify({ adapter: { name, software, gflops, cpuGflops: of('cpu').gflops } });
}

function write() {
  fs.mkdirSync(options.out, { recursive: true });
  const report = { ...machine, seconds: elapsed(), parts: parts.map(({ run: _, ...part }) => part) };
  for (const [name, text] of [
    ['gpu-report.json', `${JSON.stringify(report, null, 1)}\n`],
    ['gpu-report.md', page(report)],
  ]) {
    const file = path.join(options.out, name);
    fs.writeFileSync(`${file}.part`, text);
    fs.renameSync(`${file}.part`, file);
  }
}

for (const part of parts) {
  const now = performance.now();
  if (now > end - 5000) break;
  if (part.name !== 'devices' && !new RegExp(options.only).test(part.name)) continue;
  const until = Math.min(end, now + part.limit * 1000);
  part.status = 'begun';
  write();
  try {
    await part.run({ result: part.result, until, env, scratch });
    part.status = 'done';
  } catch (error) {
    part.status = error instanceof Failed && error.late ? 'too slow' : 'failed';
    part.error = error.message;
    if (error.stderr) part.stderr = error.stderr;
  }
  part.seconds = (performance.now() - now) / 1000;
  write();
  console.error(
    `[${elapsed().toFixed(0).padStart(4)} s] ${part.name}: ${part.status}, ${part.seconds.toFixed(1)} s` +
      (part.error ? ` (${firstLine(part)})` : ''),
  );
}
write();
fs.rmSync(scratch, { recursive: true, force: true });
console.log(path.join(options.out, 'gpu-report.md'));
