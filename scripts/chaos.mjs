/**
 * npm run test:chaos [-- --cases 240 --seed 0 --case I --kind 'full disk' --plant copies]
 *
 * Ends vqgen in the middle of everything, hundreds of times: SIGKILL at random times and at every kind of file
 * operation, signals, full disks, two processes on one run, flipped bits. After each the command is typed again, and
 * what it makes must be, bit for bit, what an undisturbed one makes.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { dealer, playCase } from './chaos/cases.mjs';
import { succeed } from './chaos/processes.mjs';
import { making, works } from './chaos/works.mjs';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '240' },
    seed: { type: 'string', default: '0' },
    case: { type: 'string' },
    kind: { type: 'string' },
    plant: { type: 'string' },
  },
});
const seed = Number(values.seed);
const only = values.case === undefined ? undefined : Number(values.case);
const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..');
execFileSync(process.execPath, [path.join(root, 'scripts/setup.mjs')], { stdio: ['ignore', 2, 2] });

const home = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-chaos-'));
if (only === undefined) process.on('exit', () => fs.rmSync(home, { recursive: true, force: true }));

/** What undisturbed commands make, and what each of them does to files. */
async function undisturbed() {
  const whole = path.join(home, 'whole');
  fs.mkdirSync(path.join(whole, 'tmp'), { recursive: true });
  for (const line of making) await succeed(whole, line);
  for (const line of ['dataset make a --n 6 --size 16', 'dataset make b --n 9 --size 16 --seed 1'])
    await succeed(whole, line);
  const found = {};
  for (const [name, work] of Object.entries(works)) {
    const folder = path.join(home, name);
    fs.cpSync(whole, folder, { recursive: true });
    const old = work.made(folder);
    work.prepare?.(folder);
    const list = path.join(home, 'list');
    const { ms } = await succeed(folder, work.line, { list });
    const operations = fs.readFileSync(list, 'utf8').split(' ');
    found[name] = { ...work, name, old, result: work.made(folder), operations, ms };
    if (name === 'stage1' || name === 'prior') {
      if (JSON.stringify(found[name].result) !== JSON.stringify(old))
        throw new Error(`${name} is not repeatable`);
    }
    fs.rmSync(folder, { recursive: true });
  }
  const tokens = {};
  for (const data of ['a', 'b']) {
    await succeed(whole, `tokenize ${data} --split ${data} --run run --device cpu --threads 1 --quiet`);
    const file = path.join(whole, 'run/tokens', `${data}.safetensors`);
    tokens[data] = fs.readFileSync(file);
    fs.rmSync(file);
  }
  return { whole, works: found, tokens };
}

console.log('Making what undisturbed commands make …');
const state = await undisturbed();
for (const { name, operations, ms } of Object.values(state.works))
  console.log(
    `  ${name.padEnd(9)} ${String(operations.length).padStart(5)} file operations, ${(ms / 1000).toFixed(1)} s`,
  );

const table = new Map();
const failures = [];
const deal = dealer(state, seed);
const began = performance.now();
for (let index = 0; index < (only === undefined ? Number(values.cases) : only + 1); index++) {
  const dealt = deal();
  if ((only ?? index) !== index || (values.kind ?? dealt.kind) !== dealt.kind) continue;
  const folder = path.join(home, 'case');
  fs.rmSync(folder, { recursive: true, force: true });
  fs.cpSync(state.whole, folder, { recursive: true });
  const { endings, wrong } = await playCase(state, folder, { ...dealt, plant: values.plant });
  const row = table.get(dealt.kind) ?? { cases: 0, endings: 0, wrong: 0 };
  table.set(dealt.kind, row);
  row.cases++;
  row.endings += endings;
  if (wrong.length === 0) continue;
  row.wrong++;
  failures.push({ index, dealt, wrong });
  console.log(`Case ${index}, ${dealt.kind}: ${wrong.join('; ')}`);
  if (only !== undefined) console.log(`It lies in ${folder}.`);
}

console.log(`\n${'kind'.padEnd(22)}${'cases'.padStart(7)}${'endings'.padStart(9)}${'wrong'.padStart(7)}`);
const line = (kind, { cases, endings, wrong }) =>
  console.log(
    `${kind.padEnd(22)}${String(cases).padStart(7)}${String(endings).padStart(9)}${String(wrong).padStart(7)}`,
  );
const rows = [...table].sort(([a], [b]) => (a < b ? -1 : 1));
for (const [kind, row] of rows) line(kind, row);
const sum = (key) => rows.reduce((total, [, row]) => total + row[key], 0);
line('all', { cases: sum('cases'), endings: sum('endings'), wrong: sum('wrong') });
console.log(`${((performance.now() - began) / 60_000).toFixed(1)} min`);
for (const { index, wrong } of failures)
  console.log(
    `npm run test:chaos -- --seed ${seed} --case ${index}${values.plant ? ` --plant ${values.plant}` : ''}: ${wrong[0]}`,
  );
process.exitCode = failures.length > 0 ? 1 : 0;
