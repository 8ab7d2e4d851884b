/**
 * The four commands on the GPU beside the CPU, each from the same files: losses by step, codes of tokens, sampled
 * codes.
 */
import fs from 'node:fs';
import path from 'node:path';
import { readSafetensors } from '../../dist/checkpoint/safetensors.js';
import { child } from './child.mjs';

const both = { cpu: ['cpu'], webgpu: ['webgpu'] };
const withF16 = { ...both, f16: ['webgpu', '--precision', 'f16'] };

/**
 * What fails on one device is noted, and the next command goes on from the CPU's files.
 *
 * @param o.start step of the discriminator
 */
export async function agreement({ result, config, start, quick, scratch, env, until }) {
  const steps = quick ? 4 : 12;
  const folder = path.join(scratch, config);
  const run = (name) => path.join(folder, name);
  const failures = [];

  /** One command on all devices at the same time; each has a run of its own, a copy of the CPU's. */
  const command = async (name, devices, args, { more = () => [], hook = [], compare }) => {
    if (fs.existsSync(run('cpu'))) for (const other of ['webgpu', 'f16']) copy(run('cpu'), run(other));
    const found = {};
    result[name] = found;
    await Promise.all(
      Object.entries(devices).map(async ([device, [where, ...precision]]) => {
        const words = [...args, '--run', run(device), '--device', where, ...precision, ...more(device)];
        try {
          const { seconds } = await child([...hook, 'bin/vqgen.js', ...words, '--seed', '7'], {
            env: { ...env, VQGEN_WATCH: run(device), VQGEN_WATCH_FOR: 'codes' },
            until,
          });
          found[device] = { seconds };
        } catch (error) {
          found[device] = { error: error.message, stderr: error.stderr };
          if (device === 'cpu') throw error;
          failures.push(`${name} on ${device}: ${error.message}`);
        }
      }),
    );
    Object.assign(found, await compare((device) => !found[device].error));
  };
  const losses = (stage) => (ran) =>
    compareLosses(
      Object.keys(withF16)
        .filter(ran)
        .map((device) => [device, readLosses(path.join(run(device), stage, 'metrics.jsonl'))]),
    );
  const codes = (read) => async (ran) =>
    ran('webgpu') ? equal(await read(run('cpu')), await read(run('webgpu'))) : {};
  const often = (stage) => ({
    [`${stage}.log_every`]: 1,
    [`${stage}.steps`]: steps,
    [`${stage}.eval_every`]: steps,
    [`${stage}.checkpoint_every`]: steps,
    [`${stage}.warmup`]: 2,
  });
  const set = (values) => Object.entries(values).flatMap(([key, value]) => ['--set', `${key}=${value}`]);

  const stage1 = {
    ...often('stage1'),
    'stage1.disc.start': start,
    'stage1.codebook.warmup': 1,
    ...(config !== 'tiny' && { 'data.drawn': quick ? 64 : 400 }),
    ...(config !== 'tiny' && quick && { 'stage1.ch': 8, 'stage1.batch_size': 4, 'prior.batch_size': 4 }),
  };
  await command('stage1', withF16, ['train-stage1', '--config', config, ...set(stage1)], {
    compare: losses('stage1'),
  });
  await command('tokenize', both, ['tokenize'], { compare: codes(tokensOf) });
  await command('prior', withF16, ['train-prior', ...set(often('prior'))], { compare: losses('prior') });
  await command('sample', both, ['sample', '--n', '16'], {
    more: (device) => ['--out', `${run(device)}.png`],
    hook: ['--import', './scripts/watch-sessions.mjs'],
    compare: codes((of) => JSON.parse(fs.readFileSync(path.join(of, 'codes.json'), 'utf8')).flat()),
  });
  fs.rmSync(folder, { recursive: true, force: true });
  if (failures.length > 0) throw new Error(failures.join('\n'));
}

function copy(from, to) {
  fs.rmSync(to, { recursive: true, force: true });
  fs.cpSync(from, to, { recursive: true });
}

/** Metrics of training steps by step. */
function readLosses(file) {
  const rows = fs
    .readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return new Map(rows.filter(({ split }) => split === 'train').map((row) => [row.step, row]));
}

/** Losses by step, and the largest differences from the CPU's, relative to them (to 0.01 where they are smaller). */
function compareLosses([[, cpu], ...others]) {
  const steps = [...cpu].map(([step, { loss }]) => ({
    step,
    cpu: loss,
    ...Object.fromEntries(others.map(([device, rows]) => [device, rows.get(step)?.loss ?? null])),
  }));
  const differences = (rows) => {
    const largest = {};
    for (const [step, row] of cpu) {
      for (const [key, value] of Object.entries(row)) {
        if (typeof value !== 'number' || /^(step|time_s|.*_per_second)$/.test(key)) continue;
        const by = Math.abs((rows.get(step)?.[key] ?? Number.NaN) - value) / Math.max(Math.abs(value), 0.01);
        largest[key] = Math.max(largest[key] ?? 0, by);
      }
    }
    return largest;
  };
  return {
    steps,
    difference: Object.fromEntries(others.map(([device, rows]) => [device, differences(rows)])),
  };
}

async function tokensOf(run) {
  const folder = path.join(run, 'tokens');
  const files = fs.readdirSync(folder).filter((name) => name.endsWith('.safetensors'));
  const read = await Promise.all(files.sort().map((name) => readSafetensors(path.join(folder, name))));
  return read.flatMap(({ tensors }) => [...tensors.codes.data]);
}

const equal = (one, other) => ({
  codes: one.length,
  equal: one.filter((code, i) => code === other[i]).length,
});
