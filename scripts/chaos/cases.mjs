/** The cases of scripts/chaos.mjs: what is done to a command, and what must hold afterwards. */
import fs from 'node:fs';
import path from 'node:path';
import { ended, killed, sleep, start } from './processes.mjs';
import { checkpointsIn, filesOf, flipBit, leftoversIn } from './states.mjs';
import { typed } from './works.mjs';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

/** One round of kinds; rounds follow one another. */
const round = [
  ...['stage1 operation', 'stage1 operation', 'stage1 operation', 'stage1 time'],
  ...['prior operation', 'prior operation', 'prior operation', 'prior time'],
  ...['tokenize operation', 'tokenize time', 'sample operation', 'sample time'],
  ...['export operation', 'export operation', 'import operation', 'import time'],
  ...['signal', 'two signals', 'full disk', 'flipped bit', 'two processes', 'two data sets'],
];

/** Numbers in [0, 1) (mulberry32). */
function numbers(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Deals cases: the same ones for the same seed, whatever becomes of them. Each operation but writes comes in turn. */
export function dealer({ works }, seed) {
  const random = numbers(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const decks = new Map();
  /** Every fourth time a write, of which there are many; else the next of all others, shuffled. */
  const operation = (name) => {
    const all = works[name].operations.map((kind, i) => ({ kind, number: i + 1 }));
    const isWrite = ({ kind }) => kind === 'write';
    if (random() < 0.25 && all.some(isWrite)) return pick(all.filter(isWrite)).number;
    if (!decks.get(name)?.length) {
      const deck = all.filter((entry) => !isWrite(entry)).map((entry) => [random(), entry.number]);
      decks.set(
        name,
        deck.sort(([a], [b]) => a - b),
      );
    }
    return decks.get(name).pop()[1];
  };
  let dealt = 0;
  return () => {
    const kind = round[dealt++ % round.length];
    const [name, how] = kind.split(' ');
    const trains = name === 'stage1' || name === 'prior';
    if (how === 'operation') {
      const times = trains ? 1 + Math.floor(random() * 2) : 1;
      return { kind, name, kills: Array.from({ length: times }, () => ({ operation: operation(name) })) };
    }
    if (how === 'time') return { kind, name, kills: [{ share: random() }] };
    const work = pick(['stage1', 'prior', 'tokenize', 'sample']);
    if (kind === 'signal') return { kind, name: work, share: 0.2 + 0.7 * random(), signals: [pick(signals)] };
    if (kind === 'two signals') {
      return { kind, name: work, share: 0.2 + 0.7 * random(), signals: [pick(signals), pick(signals)] };
    }
    if (kind === 'full disk') {
      const full = pick(Object.keys(works));
      return { kind, name: full, operation: operation(full) };
    }
    if (kind === 'flipped bit') {
      const stage = pick(['stage1', 'prior']);
      const file = pick(['model.safetensors', 'optimizer.safetensors', 'state.json']);
      return { kind, name: stage, kills: [{ share: 0.6 + 0.4 * random() }], file, place: random() };
    }
    return { kind, name: 'stage1', gap: Math.floor(400 * random()) };
  };
}

/** @returns how many processes were ended before they were done, and what is wrong, in words */
export async function playCase(state, folder, dealt) {
  const work = state.works[dealt.name];
  const wrong = [];
  const failed = (what) => wrong.push(what);
  const play = { kill, signal, 'two signals': signal, 'full disk': fill, 'flipped bit': flip };
  const how = play[dealt.kind] ?? { 'two processes': two, 'two data sets': twoSets }[dealt.kind] ?? kill;
  if (dealt.kind !== 'two data sets') work.prepare?.(folder);
  const endings = await how({ state, work, folder, dealt, failed });
  return { endings, wrong };
}

/** The command again, undisturbed: it must succeed and make what it should, and nothing may be left over. */
async function again({ work, folder, failed }) {
  if (!(work.once && same(work.made(folder), work.result))) {
    const result = await start(folder, typed(work, folder)).done;
    if (result.code !== 0) return failed(`typed again it ended by ${ended(result)}`);
  }
  if (!same(work.made(folder), work.result)) failed('typed again it made something else');
  const { newest, latest } = work.made(folder) ?? {};
  if (newest !== latest) failed(`latest names ${latest}, not ${newest}`);
  const left = leftoversIn(folder);
  if (left.length > 0) failed(`left over: ${left.join(', ')}`);
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** What lies there after an ending must be the old or the new, or aside under a hidden name. */
function checkWhole({ work, folder, failed }) {
  if (!work.isWhole) return;
  const left = work.made(folder);
  if (work.isWhole(left, work.result, work.old)) return;
  const aside = fs
    .readdirSync(folder)
    .some((name) => name.startsWith('.exported') && same(filesOf(path.join(folder, name)), work.old));
  if (work.name === 'export' && left === undefined && aside) return;
  failed(`half of it lies there: ${Object.keys(left ?? {}).join(', ') || 'nothing'}`);
}

async function kill(o) {
  const { work, folder, dealt } = o;
  let endings = 0;
  for (const { operation, share } of dealt.kills) {
    const after = share === undefined ? undefined : share * work.ms;
    const result = await killed(folder, typed(work, folder), { operation, after, plant: dealt.plant });
    if (result.signal === 'SIGKILL') endings++;
    else if (result.code !== 0 && !(work.once && endings > 0)) o.failed(`before its kill: ${ended(result)}`);
    checkWhole(o);
  }
  await again(o);
  return endings;
}

async function signal(o) {
  const { work, folder, dealt, failed } = o;
  const { child, done } = start(folder, typed(work, folder));
  await sleep(dealt.share * work.ms);
  let sent = performance.now();
  child.kill(dealt.signals[0]);
  if (dealt.signals.length > 1) {
    await Promise.race([sleep(400), done]);
    if (child.exitCode === null && child.signalCode === null) {
      sent = performance.now();
      child.kill(dealt.signals[1]);
    }
  }
  const result = await done;
  const took = performance.now() - sent;
  const most = dealt.signals.length > 1 ? 1000 : 10_000;
  const fits = dealt.signals.some((name) => result.code === exitCodes[name] || result.signal === name);
  if (result.code !== 0 && !fits) failed(`after ${dealt.signals.join(' and ')}: ${ended(result)}`);
  if (took > most) failed(`ended ${(took / 1000).toFixed(1)} s after ${dealt.signals.at(-1)}`);
  checkWhole(o);
  await again(o);
  return result.code === 0 ? 0 : 1;
}

async function fill(o) {
  const { work, folder, dealt, failed } = o;
  const result = await start(folder, typed(work, folder), { full: dealt.operation }).done;
  if (result.code !== 0) {
    const last = result.stderr.trimEnd().split('\n').at(-1);
    if (
      result.code !== 1 ||
      !/^No space is left for [^ ]*\/.*\(ENOSPC\)\. Free some/.test(last) ||
      /\n {4}at /.test(result.stderr)
    )
      failed(`on a full disk: ${ended(result)}`);
  }
  checkWhole(o);
  await again(o);
  return result.code === 0 ? 0 : 1;
}

/**
 * The newest checkpoint after a kill has another bit: it must be told of, and the one before used. Where there is none,
 * nothing is done until the file is put back.
 */
async function flip(o) {
  const { work, folder, dealt, failed } = o;
  const result = await killed(folder, typed(work, folder), { after: dealt.kills[0].share * work.ms });
  const stage = path.join(folder, 'run', dealt.name);
  const newest = checkpointsIn(stage).at(-1);
  if (newest) {
    const damaged = path.join(stage, newest, dealt.file);
    const alone = checkpointsIn(stage).length === 1;
    flipBit(damaged, dealt.place);
    const next = await start(folder, typed(work, folder)).done;
    if (alone) flipBit(damaged, dealt.place);
    if (alone ? !isRefusal(next) : next.code !== 0)
      failed(`with a flipped bit in ${dealt.file}: ${ended(next)}`);
    if (!next.stderr.includes(newest)) failed(`a flipped bit in ${newest}/${dealt.file} was not told of`);
  }
  await again(o);
  return result.signal === 'SIGKILL' ? 1 : 0;
}

const isRefusal = ({ code, stderr }) =>
  code === 2 && stderr.trimEnd().split('\n').at(-1).startsWith('Expected');

/** One trains, the other is refused. */
async function two(o) {
  const { work, folder, dealt, failed } = o;
  const first = start(folder, work.line);
  await sleep(dealt.gap);
  const results = await Promise.all([first.done, start(folder, work.line).done]);
  if (!results.some(({ code }) => code === 0))
    failed(`neither of two trained: ${results.map(ended).join('; ')}`);
  for (const result of results)
    if (result.code !== 0 && !isRefusal(result)) failed(`one of two: ${ended(result)}`);
  if (results.every(({ stdout }) => stdout.startsWith('Trained'))) failed('both of two trained');
  await again(o);
  return results.filter(({ code }) => code !== 0).length;
}

/** Two data sets into one token file at once: it holds one of them. */
async function twoSets({ state, folder, dealt, failed }) {
  const line = (data) => `tokenize ${data} --split x --run run --device cpu --threads 1 --quiet`;
  const first = start(folder, line('a'));
  await sleep(dealt.gap);
  const results = await Promise.all([first.done, start(folder, line('b')).done]);
  for (const result of results)
    if (result.code !== 0 && !isRefusal(result)) failed(`one of two: ${ended(result)}`);
  const made = fs.readFileSync(path.join(folder, 'run/tokens/x.safetensors'));
  if (!Object.values(state.tokens).some((tokens) => tokens.equals(made)))
    failed('the token file holds neither');
  return results.filter(({ code }) => code !== 0).length;
}
