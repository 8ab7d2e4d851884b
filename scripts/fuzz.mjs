// npm run test:fuzz: every parser of what others wrote against 10,000 cases, each in a process of its own.
//
// node scripts/fuzz.mjs [--runs N] [--seed N] [--only NAME] [--planted]
//
// --planted forgets one check of each parser: each must then be found faulty. Two more parsers, one that never ends and
// one that fills memory, show that those are found too.
import { fork } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parsers } from './fuzz/parsers.mjs';
import { limits, tryParser } from './fuzz/try.mjs';

const { values: given } = parseArgs({
  options: {
    runs: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    planted: { type: 'boolean', default: false },
    child: { type: 'string' },
  },
});
const [runs, seed] = [Number(given.runs), Number(given.seed)];

/** Stand for parsers that hang or take all memory, so that finding those is tried too. */
const stuck = [
  {
    name: 'one that never ends',
    prepare: async () => ({
      seeds: [Buffer.from('abcd')],
      words: ['x'],
      parse: (_, b) => {
        while (b[1] === 0xff);
      },
    }),
  },
  {
    name: 'one that fills memory',
    prepare: async () => {
      const kept = [];
      return {
        seeds: [Buffer.from('abcd')],
        words: ['x'],
        parse: (_, b) => {
          while (b[1] === 0xff) kept.push(Array(1e6).fill(b));
        },
      };
    },
  },
];
const all = given.planted
  ? [...parsers, ...stuck.map((parser) => ({ ...parser, forgotten: /^$/ }))]
  : parsers;
const load = (name) => import(new URL(`../dist/${name}.js`, import.meta.url).href);

/** A process that says nothing for so long hangs, milliseconds. */
const patience = 30_000;

const said = (message) => new Promise((resolve) => process.send(message, resolve));

async function child(name) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-fuzz-'));
  await said({ folder });
  const beat = (cases) => said({ cases });
  const parser = all.find((parser) => parser.name === name);
  try {
    const { outcomes, fault, ...others } = await tryParser(parser, {
      load,
      folder,
      runs,
      seed,
      planted: given.planted,
      beat,
    });
    await said({
      ...others,
      megabytes: process.resourceUsage().maxRSS / 1e3,
      read: outcomes.get('read') ?? 0,
      outcomes: outcomes.size,
      ...(fault && {
        fault: {
          ...fault,
          error: `${fault.error?.stack ?? fault.error}`,
          bytes: Buffer.from(fault.bytes).toString('base64'),
        },
      }),
    });
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** What the process said last, and how it ended. */
function inProcess(name) {
  const args = [
    `--child=${name}`,
    '--runs',
    given.runs,
    '--seed',
    given.seed,
    ...(given.planted ? ['--planted'] : []),
  ];
  const self = fork(fileURLToPath(import.meta.url), args, {
    execArgv: ['--max-old-space-size=400'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  return new Promise((resolve) => {
    let said = {};
    let words = '';
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        said.hangs = true;
        self.kill('SIGKILL');
      }, patience);
    };
    wait();
    self.stderr.on('data', (chunk) => (words += chunk));
    self.on('message', (message) => {
      said = { ...said, ...message };
      wait();
    });
    self.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ ...said, ended: signal ?? code, words });
    });
  });
}

function faultOf({ fault, hangs, ended, folder, words, megabytes }) {
  if (fault) return fault;
  const current = folder && path.join(folder, 'current');
  const bytes = current && fs.existsSync(current) ? fs.readFileSync(current).toString('base64') : '';
  if (hangs) return { error: `it hangs for ${patience / 1000} s`, bytes };
  if (ended !== 0) return { error: `its process ended with ${ended}: ${words.slice(-600)}`, bytes };
  return megabytes > limits.megabytes ? { error: `${megabytes.toFixed(0)} MB`, bytes } : undefined;
}

async function main() {
  const chosen = all.filter(({ name }) => given.only === undefined || name === given.only);
  let wrong = 0;
  for (const { name } of chosen) {
    const result = await inProcess(name);
    const fault = faultOf(result);
    if (given.planted) {
      const found = /^one that/.test(name)
        ? fault && !fault.error.includes('planted')
        : /planted/.test(fault?.error);
      console.log(
        `${name.padEnd(22)} ${found ? `found after ${result.cases} cases` : 'NOT FOUND'}: ${firstLine(fault?.error)}`,
      );
      if (!found) wrong++;
    } else if (fault) {
      wrong++;
      console.log(
        `${name.padEnd(22)} FAULT after ${result.cases} cases: ${fault.error}\n  bytes (base64): ${fault.bytes.slice(0, 2000)}`,
      );
    } else {
      const { cases, read, seconds, megabytes, outcomes } = result;
      console.log(
        `${name.padEnd(22)} ${cases} cases, ${read} read, ${outcomes} outcomes, at most ${seconds.toFixed(2)} s and ${megabytes.toFixed(0)} MB`,
      );
    }
    if (result.folder) fs.rmSync(result.folder, { recursive: true, force: true });
  }
  if (wrong > 0) process.exit(1);
}

const firstLine = (text = 'nothing') => text.split('\n')[0].slice(0, 140);

await (given.child === undefined ? main() : child(given.child));
process.disconnect?.();
