/** Processes that end in time, with all that they started. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** What ONNX Runtime says of a device that failed; its process goes on, with worthless numbers. */
const DEVICE_FAILURE = /WebGPU device error|[Dd]evice (?:was |is )?lost|VK_ERROR_\w+|DXGI_ERROR_\w+/;

export class Failed extends Error {
  constructor(message, { stderr, late = false }) {
    super(message);
    Object.assign(this, { stderr: tail(stderr), late });
  }
}

const tail = (text, most = 4000) => (text.length > most ? `…${text.slice(-most)}` : text);

export const firstLine = ({ message, error = message }) => `${error}`.split('\n')[0].slice(0, 200);

const living = new Set();
const end = (process_) => {
  try {
    if (process.platform === 'win32') process_.kill('SIGKILL');
    else process.kill(-process_.pid, 'SIGKILL'); // its children, too
  } catch {}
};
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const one of living) end(one);
    process.exit(1);
  });
}

/**
 * Runs `node ARGS`, or another command.
 *
 * @param o.until when it must have ended, as performance.now() counts
 * @throws Failed with the end of what it wrote to stderr
 */
export function child(args, { command = process.execPath, env = {}, until }) {
  const started = performance.now();
  const one = spawn(command, args, {
    cwd: here,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
  });
  living.add(one);
  const written = { stdout: '', stderr: '' };
  one.stdout.on('data', (data) => (written.stdout += data));
  one.stderr.on('data', (data) => (written.stderr += data));
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(
      () => {
        late = true;
        end(one);
      },
      Math.max(0, until - started),
    );
    const finish = (failure) => {
      clearTimeout(timer);
      living.delete(one);
      const { stdout, stderr } = written;
      const seconds = (performance.now() - started) / 1000;
      if (failure) reject(new Failed(failure, { stderr: stderr || stdout, late }));
      else resolve({ stdout, stderr: tail(stderr), seconds });
    };
    one.on('error', (error) => finish(error.message));
    one.on('close', (code, signal) => {
      const failure = DEVICE_FAILURE.exec(written.stderr);
      const words = args.filter((arg) => !/^(-|\.)|[\s(]/.test(arg)).slice(0, 2);
      const what = words.join(' ') || path.basename(command);
      if (late)
        return finish(`${what} was ended after ${((performance.now() - started) / 1000).toFixed(0)} s`);
      if (failure) return finish(`The device failed in ${what}: ${failure[0]}`);
      if (code !== 0) {
        const last = written.stderr.trim().split('\n').at(-1);
        return finish(`${what} ended with ${signal ?? `exit code ${code}`}${last ? `: ${last}` : ''}`);
      }
      finish();
    });
  });
}
