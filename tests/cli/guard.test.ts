import { PassThrough } from 'node:stream';
import { guarded } from '../../src/cli/guard.js';

/** Runs a program of a few words under the guard. */
async function run(code: string, { terminal, trains = true }: { terminal?: number; trains?: boolean } = {}) {
  let written = '';
  const stderr = Object.assign(new PassThrough(), { isTTY: terminal !== undefined, columns: terminal });
  stderr.on('data', (chunk) => {
    written += chunk;
  });
  const exit = await guarded({ args: ['-e', code], env: { GIVEN: 'yes' }, trains, stderr });
  return { exit, written };
}

const log = (text: string) =>
  JSON.stringify(
    `\u001b[1;31m2026-11-21 08:58:12.8 [E:onnxruntime:node, webgpu_context.cc:171 operator()] ${text}\n    at Check (VulkanError.cpp:119)\n\u001b[m\n`,
  );

test('what a process writes and its exit code pass through', async () => {
  expect(await run('console.error("one", process.env.GIVEN); process.exitCode = 2')).toEqual({
    exit: 2,
    written: 'one yes\n',
  });
});

test('a terminal behind the pipe is told', async () => {
  expect((await run('console.error(process.env.VQGEN_TERMINAL)', { terminal: 70 })).written).toBe('70\n');
  expect((await run('console.error(process.env.VQGEN_TERMINAL)')).written).toBe('undefined\n');
});

test('a driver that ends the process is told of in a sentence', async () => {
  const { exit, written } = await run('process.abort()');
  expect(exit).toBe(1);
  expect(written).toMatch(/The GPU or its driver failed \(SIGABRT\)\. .*--accumulate.*--device cpu\.\n$/s);
  const other = await run('process.abort()', { trains: false });
  expect(other.written).toMatch(/failed \(SIGABRT\)\. Try it again, or with --device cpu\.\n$/s);
});

test('a device that ran out of memory ends the process before it goes on', async () => {
  const failure = log('WebGPU device error(3): vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY');
  const { exit, written } = await run(
    `console.error('Step 1'); process.stderr.write(${failure}); setTimeout(() => console.error('Step 2'), 20_000)`,
  );
  expect(exit).toBe(1);
  expect(written).toMatch(/^Step 1\nThe memory of the GPU ran out\. [^\n]*--accumulate[^\n]*\n$/);
});

test('other lines of ONNX Runtime’s log are left out', async () => {
  const { exit, written } = await run(
    `process.stderr.write(${log('something harmless')}); console.error('Step 1')`,
  );
  expect({ exit, written }).toEqual({ exit: 0, written: 'Step 1\n' });
});

describe('signals are passed on', () => {
  /** A program that says which it hears, and ends by itself after the first. */
  const ending = `
    let first;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {
      console.error(signal);
      first ??= setTimeout(() => process.exit(77), 500);
    });
    console.error('ready');
    setInterval(() => {}, 1000)`;

  async function signalled(code: string, signals: readonly NodeJS.Signals[], apart: number) {
    const stderr = Object.assign(new PassThrough(), { isTTY: false });
    let written = '';
    const ready = new Promise<void>((resolve) => {
      stderr.on('data', (chunk) => {
        written += chunk;
        if (written.startsWith('ready')) resolve();
      });
    });
    const exit = guarded({ args: ['-e', code], env: {}, trains: true, stderr });
    await ready;
    for (const signal of signals) {
      process.emit(signal, signal);
      await new Promise((resolve) => setTimeout(resolve, apart));
    }
    return { exit: await exit, written };
  }

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s: the program saves and decides the exit code',
    async (signal) => {
      expect(await signalled(ending, [signal, signal], 1)).toEqual({
        exit: 77,
        written: `ready\n${signal}\n`,
      });
    },
  );

  test.each([
    ['SIGINT', 'SIGINT'],
    ['SIGINT', 'SIGTERM'],
    ['SIGHUP', 'SIGINT'],
  ] as const)('%s, then %s end a program that hears nothing', async (first, second) => {
    const deaf = `for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
      console.error('ready'); setInterval(() => {}, 1000)`;
    expect(await signalled(deaf, [first, second], 400)).toEqual({
      exit: first === 'SIGINT' ? 130 : 129,
      written: 'ready\n',
    });
  });

  test('a program that a signal ends at once is no failure of the driver', async () => {
    const plain = "console.error('ready'); setInterval(() => {}, 1000)";
    expect(await signalled(plain, ['SIGTERM'], 1)).toEqual({ exit: 143, written: 'ready\n' });
    expect(await signalled(plain, ['SIGHUP'], 1)).toEqual({ exit: 129, written: 'ready\n' });
  });
});
