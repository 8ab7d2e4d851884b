import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import path from 'node:path';
import { onePerMoment } from '../../src/cli/signals.js';

const built = path.resolve('dist/cli/signals.js');

beforeAll(() => {
  execFileSync(process.execPath, ['scripts/setup.mjs'], { stdio: ['ignore', 2, 2] });
}, 300_000);

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});

/** A process that hears signals as commands do, and then does what `work` says. */
async function started(work: string, { patient = true } = {}) {
  const code = `
    import { watchForEndings } from ${JSON.stringify(built)};
    setInterval(() => {}, 1000);
    const asked = [];
    const { ready } = watchForEndings({ patient: ${patient} }, (ending) => {
      asked.push(ending);
      console.error('asked ' + ending);
      if (asked.length > 1) process.exit(99);
    });
    await ready; console.error('ready'); ${work}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let written = '';
  const ready = new Promise<void>((resolve) => {
    child.stderr!.on('data', (chunk) => {
      written += chunk;
      if (written.includes('ready')) resolve();
    });
  });
  const done = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  await ready;
  return { child, done, written: () => written };
}

/** Sends the signals, `apart` milliseconds after one another. @returns how it ended, and milliseconds after the last */
async function send(
  { child, done }: { child: ChildProcess; done: Promise<{ code: number | null; signal: string | null }> },
  signals: readonly NodeJS.Signals[],
  apart: number,
) {
  let sent = 0;
  for (const signal of signals) {
    if (sent) await new Promise((resolve) => setTimeout(resolve, apart));
    child.kill(signal);
    sent = performance.now();
  }
  const end = await done;
  return { ...end, after: performance.now() - sent };
}

/** Longer than the test waits for the end, which comes within a second on a machine with nothing else to do. */
const blocked = 'const until = Date.now() + 20_000; while (Date.now() < until);';

test.each([
  ['SIGINT', 'SIGTERM'],
  ['SIGTERM', 'SIGHUP'],
  ['SIGHUP', 'SIGHUP'],
] as const)('%s, then %s: a process that computes ends within a second', async (first, second) => {
  const { after, ...end } = await send(await started(blocked), [first, second], 500);
  expect(end).toEqual({ code: null, signal: second });
  expect(after).toBeLessThan(3000);
});

test('a command that does not end itself ends at the first, whatever it computes', async () => {
  const { after, ...end } = await send(await started(blocked, { patient: false }), ['SIGTERM'], 0);
  expect(end).toEqual({ code: null, signal: 'SIGTERM' });
  expect(after).toBeLessThan(3000);
});

test('the first is heard and ends nothing; what comes at once counts once; the second may end it tidily', async () => {
  const process = await started('');
  const twice = send(process, ['SIGTERM', 'SIGHUP'], 20);
  const heard = () => process.written().includes('asked');
  for (let i = 0; i < 100 && !heard(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(process.written()).toBe('ready\nasked SIGTERM\n');
  process.child.kill('SIGINT');
  expect(await twice).toMatchObject({ code: 99, signal: null });
});

test('who sends without pause is heard again', () => {
  const counts = onePerMoment();
  const times = Array.from({ length: 10 }, (_, i) => i * 100);
  expect(times.filter((time) => counts(time))).toEqual([0, 400, 800]);
});
