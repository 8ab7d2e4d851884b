/**
 * The benchmark. Same works, same flags and same one line of JSON as a plain PyTorch program that it is compared with.
 */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { expected, UserError } from '../base/errors.js';
import { nearest } from '../base/nearest.js';
import { createReporter } from '../base/progress.js';
import { version } from '../base/root.js';
import { type Streams, sayLine, writeJson } from '../base/terminal.js';
import { type Precision, precisions } from '../engine/device.js';
import { openDevice } from '../engine/index.js';
import { readProfile } from '../engine/profile.js';
import { type BenchFlags, defaults, prepare, type WorkName, works } from './bench-works.js';

/** @returns the exit code */
export async function main(argv: readonly string[], streams: Streams = process): Promise<number> {
  try {
    const { work, flags } = readArguments(argv);
    const profiles = flags.profile ? await fs.mkdtemp(path.join(os.tmpdir(), 'vqgen-profile-')) : undefined;
    const device = await openDevice({
      device: flags.device,
      threads: flags.threads,
      reporter: createReporter({ stream: streams.stderr, quiet: true }),
      ...(profiles && { profile: path.join(profiles, 'session') }),
    });
    const { params, unit, amount, time, steps, dispose } = await prepare(work, flags, device);
    for (let i = 0; i < flags.warmup; i++) await time();
    const times: number[] = [];
    for (let i = 0; i < flags.steps; i++) times.push(await time());
    await dispose();
    if (profiles) {
      const table = await profileTable(profiles, flags.profile, steps());
      for (const line of table) sayLine(streams.stderr, line);
    }
    times.sort((a, b) => a - b);
    const middle = (times[(times.length - 1) >> 1]! + times[times.length >> 1]!) / 2;
    const result = {
      engine: `vqgen ${version} ${device.description}`,
      work,
      params,
      ms: round(middle),
      min_ms: round(Math.min(...times)),
      max_ms: round(Math.max(...times)),
      per_second: round((amount / middle) * 1000),
      unit,
      peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1024),
    };
    await writeJson(streams.stdout, result);
    return 0;
  } catch (error) {
    const words = error instanceof UserError ? [error.message] : String((error as Error).stack).split('\n');
    for (const line of words) sayLine(streams.stderr, line);
    return error instanceof UserError ? 2 : 1;
  }
}

/** Time by operator, and of the slowest shapes: `ms` and `calls` of one step, and the rate where arithmetic counts. */
async function profileTable(folder: string, rows: number, steps: number): Promise<string[]> {
  const files = (await fs.readdir(folder)).map((name) => path.join(folder, name));
  const times = (await Promise.all(files.map(readProfile))).flat().sort((a, b) => b.ms - a.ms);
  await fs.rm(folder, { recursive: true });
  const byOp = new Map<string, { ms: number; calls: number; gflop: number }>();
  for (const { op, ms, calls, gflop } of times) {
    const sum = byOp.get(op) ?? { ms: 0, calls: 0, gflop: 0 };
    byOp.set(op, { ms: sum.ms + ms, calls: sum.calls + calls, gflop: sum.gflop + calls * gflop });
  }
  const line = (what: string, { ms, calls, gflop }: { ms: number; calls: number; gflop: number }) => {
    const rate = gflop > 0 ? `${((gflop / ms) * 1000).toFixed(0)} GFLOP/s` : '';
    return `${(ms / steps).toFixed(2).padStart(9)} ms ${(calls / steps).toFixed(1).padStart(7)} × ${rate.padStart(12)}  ${what}`;
  };
  const total = times.reduce((sum, { ms }) => sum + ms, 0) / steps;
  const operators = [...byOp].sort(([, a], [, b]) => b.ms - a.ms).slice(0, rows);
  const shapes = times
    .slice(0, rows)
    .map((t) => line(`${t.op} ${t.shapes}`, { ...t, gflop: t.gflop * t.calls }));
  return [`${total.toFixed(1)} ms a step`, ...operators.map(([op, sum]) => line(op, sum)), '', ...shapes];
}

const round = (value: number): number => Math.round(value * 100) / 100;

/** @throws UserError */
export function readArguments(argv: readonly string[]): { work: WorkName; flags: BenchFlags } {
  const options = Object.fromEntries(
    Object.keys(defaults).map((name) => [name, { type: 'string' as const }]),
  );
  const { positionals, values } = parseArgs({
    args: [...argv],
    options,
    allowPositionals: true,
    strict: false,
  });
  const flags: Record<string, unknown> = { ...defaults };
  for (const [name, text] of Object.entries(values)) {
    if (!(name in defaults)) {
      const near = nearest(name, Object.keys(defaults));
      throw expected('a known option', 'bench', `--${name}`, near ? `Did you mean --${near}?` : '');
    }
    flags[name] = readValue(name as keyof BenchFlags, text);
  }
  const work = works.find((name) => name === positionals[0]);
  if (!work || positionals.length > 1) {
    throw expected(`one of ${works.join(', ')}`, 'WORK', positionals.join(' ') || 'nothing');
  }
  const among = precisionsOf(work);
  if (!among.some((name) => name === flags.precision))
    throw expected(`${among.join(' or ')} for ${work}`, '--precision', flags.precision);
  return { work, flags: flags as BenchFlags };
}

function precisionsOf(work: WorkName): readonly Precision[] {
  if (work === 'prior-train' || work === 'maskgit-train') return ['f32', 'f16', 'int8'];
  if (work === 'sample' || work === 'maskgit-sample') return ['f32', 'int8'];
  return work.endsWith('-train') || work.startsWith('stage1') ? ['f32', 'f16'] : ['f32'];
}

function readValue(name: keyof BenchFlags, text: unknown): string | number | number[] {
  if (typeof text !== 'string') throw expected('a value', `--${name}`, 'nothing');
  if (name === 'device') return text;
  if (name === 'precision') {
    const known = precisions.find((precision) => precision === text);
    if (!known) throw expected(`one of ${precisions.join(', ')}`, '--precision', text);
    return known;
  }
  const whole = (part: string): number => {
    if (!/^\d+$/.test(part)) throw expected('whole numbers', `--${name}`, text);
    return Number(part);
  };
  if (Array.isArray(defaults[name])) return text.split(',').filter(Boolean).map(whole);
  const least = ['warmup', 'seed', 'vgg-taps', 'top-k', 'profile'].includes(name) ? 0 : 1;
  if (whole(text) < least) throw expected(`at least ${least}`, `--${name}`, text);
  return whole(text);
}
