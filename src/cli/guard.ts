/**
 * A GPU's driver can end the process, or lose memory without a word to the program that asked for it. On a GPU a
 * command therefore runs in a process of its own, and this one tells what happened to it.
 */
import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { passOn, type Stream, sayLine } from '../base/terminal.js';
import { type Ending, exitCodeOf, listenForEndings } from './signals.js';

/**
 * What ONNX Runtime writes to stderr, and nowhere else, when the device fails; what is computed from then on is
 * worthless.
 */
const FAILURE = /WebGPU device error|[Dd]evice (?:was |is )?lost|VK_ERROR_\w+|DXGI_ERROR_\w+/;

const MEMORY = /OUT_OF_(?:DEVICE_|HOST_)?MEMORY|[Oo]ut of memory/;

/** ONNX Runtime's log begins its lines so, after a colour. */
const LOG_LINE = /^\S*\d{4}-\d\d-\d\d \S+ \[[VIWEF]:onnxruntime/;

export interface Guarded {
  /** Arguments of `node`: the program, then its own. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Whether the program saves and can be resumed, a step in parts too. */
  readonly trains: boolean;
  readonly stderr: Stream;
}

/** Runs a program whose stdin and stdout are this process's; resolves with the exit code for this one. */
export async function guarded({ args, env, trains, stderr }: Guarded): Promise<number> {
  const terminal = stderr.isTTY ? { VQGEN_TERMINAL: `${stderr.columns ?? 80}` } : {};
  const child = spawn(process.execPath, args, {
    stdio: ['inherit', 'inherit', 'pipe'],
    env: { ...process.env, ...env, ...terminal },
  });
  let asked: Ending | undefined;
  const listening = listenForEndings((ending) => {
    child.kill(asked ? 'SIGKILL' : ending); // at the first it saves, and may have heard of it already
    asked ??= ending;
  });
  let failure: string | undefined;
  relay(child.stderr, stderr, (line) => {
    failure ??= line;
    child.kill('SIGKILL'); // before it saves what is worthless
  });
  try {
    const { code, signal } = await new Promise<{ code: number | null; signal: string | null }>(
      (resolve, reject) => {
        child.on('error', reject);
        child.on('close', (code, signal) => resolve({ code, signal }));
      },
    );
    if (failure === undefined && code !== null) return code;
    if (failure === undefined && asked) return exitCodeOf(asked);
    sayLine(stderr, sentence(failure, signal, trains));
    return 1;
  } finally {
    listening.stop();
  }
}

function sentence(failure: string | undefined, signal: string | null, trains: boolean): string {
  const how = failure === undefined ? ` (${signal})` : '';
  const what =
    failure !== undefined && MEMORY.test(failure)
      ? 'The memory of the GPU ran out.'
      : `The GPU or its driver failed${how}.`;
  const next = trains
    ? 'What was saved before stands: go on with --resume, and with --accumulate, a smaller batch or --device cpu.'
    : 'Try it again, or with --device cpu.';
  return `${what} ${next}`;
}

/** Passes on what is written, but for ONNX Runtime's log; a line that tells of a failed device goes to `onFailure`. */
function relay(from: Readable, to: Stream, onFailure: (line: string) => void): void {
  let inLog = false;
  from.setEncoding('utf8');
  from.on('data', (text: string) => {
    for (const piece of text.split(/(?<=\n)/)) {
      if (FAILURE.test(piece)) onFailure(piece);
      if (LOG_LINE.test(piece) || FAILURE.test(piece)) inLog = true;
      else if (inLog && !/^(?: - | {4}at |\S*\[m)/.test(piece)) inLog = false;
      if (!inLog) passOn(to, piece);
    }
  });
}
