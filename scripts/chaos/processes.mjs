/** vqgen processes that are killed, signalled or run out of disk. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const preload = path.join(root, 'scripts/chaos/preload.mjs');

/** Milliseconds; what takes longer hangs. */
const patience = 180_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Starts `vqgen` in a folder. `plan` is for preload.mjs; without one the process is as users have it.
 *
 * @returns the process and what becomes of it: code, signal, stdout, stderr, milliseconds
 */
export function start(folder, line, plan) {
  const before = performance.now();
  const child = spawn(
    process.execPath,
    [...(plan ? ['--import', preload] : []), path.join(root, 'bin/vqgen.js'), ...line.split(' ')],
    {
      cwd: folder,
      env: {
        ...process.env,
        ...{ HOME: folder, XDG_CACHE_HOME: path.join(folder, 'cache'), TMPDIR: path.join(folder, 'tmp') },
        ...(plan && { VQGEN_CHAOS: JSON.stringify(plan) }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].on('data', (chunk) => (written[name] += chunk));
  const hangs = setTimeout(() => child.kill('SIGKILL'), patience);
  const done = new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(hangs);
      const ms = performance.now() - before;
      resolve({ line, code, signal, ...written, ms, hung: ms >= patience });
    });
  });
  return { child, done };
}

/** @throws Error when the command fails */
export async function succeed(folder, line, plan) {
  const result = await start(folder, line, plan).done;
  if (result.code !== 0) throw new Error(`vqgen ${line}: ${ended(result)}`);
  return result;
}

/** Kills it as `how` says: at an operation, or after some milliseconds. */
export async function killed(folder, line, how) {
  const { child, done } = start(folder, line, { kill: how.operation, plant: how.plant });
  const timer = how.after === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), how.after);
  const result = await done;
  clearTimeout(timer);
  return result;
}

export const ended = ({ code, signal, stderr, hung }) =>
  `${hung ? 'hung' : (signal ?? `exit code ${code}`)}: ${stderr.trimEnd().split('\n').slice(-3).join(' | ')}`;
