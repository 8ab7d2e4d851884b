/** The works of the benchmark, here and in a PyTorch program; launches, and what a step's time goes to on the GPU. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { child } from './child.mjs';

export const works = ['stage1-ae', 'stage1-gan', 'encode', 'decode', 'prior-train', 'sample'];

/** Size M of docs/performance.md. */
const sizes = {
  stage1:
    '--batch 4 --resolution 128 --ch 64 --ch-mult 1,1,2,4 --res-blocks 2 --attn-resolutions 16 --z-channels 128 --embed-dim 64 --codes 1024 --disc-ch 64 --disc-layers 3 --vgg-taps 5',
  prior: '--layers 12 --heads 8 --width 512 --tokens 256 --codes 1024 --batch 4',
  sampling: '--layers 12 --heads 8 --width 512 --tokens 256 --codes 1024 --batch 16',
};
const quickSizes = {
  stage1:
    '--batch 2 --resolution 16 --ch 32 --ch-mult 1,2 --res-blocks 1 --z-channels 8 --embed-dim 8 --codes 32 --disc-ch 8 --disc-layers 1 --vgg-taps 1',
  prior: '--layers 2 --heads 2 --width 32 --tokens 16 --codes 32 --batch 2',
  sampling: '--layers 2 --heads 2 --width 32 --tokens 16 --codes 32 --batch 2',
};

function flagsOf(work, { quick, steps, warmup }) {
  const of = quick ? quickSizes : sizes;
  const size = work === 'sample' ? of.sampling : work === 'prior-train' ? of.prior : of.stage1;
  return [work, ...size.split(' '), '--steps', `${steps}`, '--warmup', `${warmup}`];
}

const lastLine = (text) => JSON.parse(text.trim().split('\n').at(-1));

/** Runs the benchmark, watched by watch-sessions.mjs where `watch` says for what. */
async function run(args, { watch, scratch, env, until, read = () => ({}) }) {
  const folder = fs.mkdtempSync(path.join(scratch, 'bench-'));
  try {
    const program = `process.exitCode = await (await import('./dist/cli/bench.js')).main(process.argv.slice(1))`;
    const hook = watch ? ['--import', './scripts/watch-sessions.mjs'] : [];
    const { stdout } = await child([...hook, '--input-type=module', '-e', program, '--', ...args], {
      env: { ...env, VQGEN_WATCH: folder, VQGEN_WATCH_FOR: watch ?? '' },
      until,
    });
    return { ...lastLine(stdout), ...read(folder) };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

export async function bench({ result, work, device, precision = 'f32', quick, ...o }) {
  const steps = quick ? 1 : work === 'sample' ? 3 : device === 'cpu' ? 5 : 9;
  const args = [
    ...flagsOf(work, { quick, steps, warmup: quick ? 0 : 2 }),
    ...['--device', device, '--precision', precision, '--threads', `${os.availableParallelism()}`],
  ];
  const watch = device === 'webgpu' ? 'graphs' : undefined;
  Object.assign(result, await run(args, { ...o, watch, read: watch && launches }));
}

/** What the optimised graphs launch, of the largest: that of the step. */
function launches(folder) {
  const graphs = fs.readdirSync(folder).map((name) => operators(fs.readFileSync(path.join(folder, name))));
  const operatorsOf = graphs.sort((a, b) => b.length - a.length)[0] ?? [];
  const counts = {};
  for (const op of operatorsOf) counts[op] = (counts[op] ?? 0) + 1;
  const still = ['Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity'];
  return {
    launches: operatorsOf.filter((op) => !still.includes(op)).length,
    operators: Object.fromEntries(Object.entries(counts).sort(([, a], [, b]) => b - a)),
  };
}

/** Operators of an ONNX file: ModelProto.graph is field 7, its nodes field 1, their op_type field 4. */
function operators(file) {
  const [graph] = fields(file, 7);
  return fields(graph ?? Buffer.alloc(0), 1).map((node) => fields(node, 4)[0].toString());
}

/** All values of one field of a protobuf message whose values have lengths. */
function fields(bytes, wanted) {
  const found = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    if ((tag & 7) === 0) varint();
    else if ((tag & 7) === 1) at += 8;
    else if ((tag & 7) === 5) at += 4;
    else {
      const length = varint();
      if (tag >>> 3 === wanted) found.push(bytes.subarray(at, at + length));
      at += length;
    }
  }
  return found;
}

/** Where a step's time goes: on the GPU by its own clock, and on the way there. */
export async function profile({ result, work, quick, ...o }) {
  const args = [...flagsOf(work, { quick, steps: 1, warmup: quick ? 0 : 1 }), '--device', 'webgpu'];
  Object.assign(result, await run(args, { ...o, watch: 'profile', read: summary }));
}

/**
 * ONNX Runtime's events: `Node`, an operator on the host; `Api`, a kernel on the GPU, called `node&operator&kernel`;
 * `model_run`, all of it.
 */
function summary(folder) {
  const files = fs.readdirSync(folder).map((name) => path.join(folder, name));
  const largest = files.sort((a, b) => fs.statSync(b).size - fs.statSync(a).size)[0];
  const events = JSON.parse(fs.readFileSync(largest, 'utf8'));
  const runs = events.filter(({ name }) => name === 'model_run');
  const kernels = events.filter(({ cat }) => cat === 'Api');
  const nodes = events.filter(({ cat, name }) => cat === 'Node' && name.endsWith('_kernel_time'));
  const lastRun = runs.at(-1);
  const inLast = nodes.filter(({ ts }) => ts >= lastRun.ts);
  const shapes = new Map(
    nodes.map(({ name, args }) => [
      name.replace(/_kernel_time$/, ''),
      [args.input_type_shape, args.output_type_shape]
        .map((list) => (list ?? []).map((one) => Object.values(one)[0].join('×') || '1').join(', '))
        .join(' → '),
    ]),
  );
  const rows = (list, keyOf, per) => {
    const sums = new Map();
    for (const event of list) {
      const row = sums.get(keyOf(event)) ?? { what: keyOf(event), ms: 0, calls: 0 };
      sums.set(row.what, { ...row, ms: row.ms + event.dur / 1000 / per, calls: row.calls + 1 / per });
    }
    return [...sums.values()].sort((a, b) => b.ms - a.ms);
  };
  const total = (list) => list.reduce((sum, { dur }) => sum + dur / 1000, 0);
  const node = ({ name }) => name.split('&')[0];
  return {
    runs: runs.map(({ dur }) => dur / 1000),
    gpu: {
      ms: total(kernels) / runs.length,
      launches: kernels.length / runs.length,
      kernels: rows(kernels, ({ name }) => name.split('&').slice(1).join(' '), runs.length).slice(0, 40),
      shapes: rows(
        kernels,
        (event) => `${event.name.split('&')[1]} ${shapes.get(node(event)) ?? ''}`,
        runs.length,
      ).slice(0, 60),
    },
    host: {
      ms: total(inLast),
      operators: rows(inLast, ({ args }) => args.op_name, 1).slice(0, 30),
    },
  };
}

let torch;

/** The same work in a PyTorch program. */
export async function peer({ result, program, work, precision, quick, until }) {
  const command = process.env.PEER_PYTHON || 'python3';
  const look = 'import torch; print(torch.__version__, torch.cuda.is_available())';
  torch ??= child(['-c', look], { command, until: performance.now() + 60_000 });
  const { stdout } = await torch;
  if (!stdout.includes('True')) throw new Error(`PyTorch ${stdout.trim().split(' ')[0]} has no CUDA here`);
  const flags = flagsOf(work, {
    quick,
    steps: work === 'sample' ? 3 : 15,
    warmup: work === 'sample' ? 1 : 5,
  });
  for (const layout of /stage1|code/.test(work) ? ['nchw', 'channels-last'] : ['plain']) {
    const args = [program, ...flags, '--device', 'cuda', '--precision', precision];
    const more = layout === 'channels-last' ? ['--channels-last'] : [];
    const measured = lastLine((await child([...args, ...more], { command, until })).stdout);
    result[layout] = measured;
    if (!(result.ms <= measured.ms))
      Object.assign(result, { ms: measured.ms, layout, params: measured.params });
  }
}
