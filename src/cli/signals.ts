/**
 * What asks a command to end: Ctrl-C, `kill`, a terminal that closes. The first asks it to, the second ends it,
 * whatever it is at. Signals that come at once count as one: the same Ctrl-C from a terminal and from the process that
 * guards this one, a shutdown's SIGTERM and SIGHUP together.
 */
import { once } from 'node:events';
import { constants } from 'node:os';
import { Worker } from 'node:worker_threads';
import { inPackage } from '../base/root.js';

export const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type Ending = (typeof endings)[number];

/** 130 after Ctrl-C, as shells count it; 143 and 129 after the others. */
export const exitCodeOf = (signal: Ending): number => 128 + constants.signals[signal];

/** Milliseconds: a hand at the keys is slower. */
const atOnce = 300;

/** Whether a signal counts, by when the last one that counted came. Milliseconds of any clock. */
export function onePerMoment(): (now: number) => boolean {
  let last = Number.NEGATIVE_INFINITY;
  return (now) => {
    if (now - last <= atOnce) return false;
    last = now;
    return true;
  };
}

export interface Listening {
  stop(): void;
}

/** Calls back at each signal that counts, when this thread comes to it. */
export function listenForEndings(onEnding: (signal: Ending) => void): Listening {
  const counts = onePerMoment();
  const heard = (signal: Ending): void => {
    if (counts(performance.now())) onEnding(signal);
  };
  for (const signal of endings) process.on(signal, heard);
  return {
    stop: () => {
      for (const signal of endings) process.off(signal, heard);
    },
  };
}

/** Hears the first; the system ends the process at the next. */
function listenOnce(onEnding: (signal: Ending) => void): Listening {
  const listening = listenForEndings((signal) => {
    setTimeout(() => listening.stop(), atOnce);
    onEnding(signal);
  });
  return listening;
}

/** What the thread of signals-watch.ts is given. */
export interface Watched {
  /** Whether the first signal only asks: the second ends the process; else the first does. */
  readonly patient: boolean;
}

/**
 * The same for a command: a signal that is to end the process ends it within a second, also while this thread computes
 * (in ONNX Runtime, in a loop) and cannot come to it. A thread of its own sees to that; where Node has none that hears
 * signals, the system does, once this thread came to the first.
 *
 * @returns `ready` tells when it hears; until then the first signal ends the process, as it does any
 */
export function watchForEndings(
  o: Watched,
  onEnding: (signal: Ending) => void,
): Listening & { readonly ready: Promise<void> } {
  let ready = Promise.resolve();
  let plain: Listening | undefined;
  let worker: Worker | undefined;
  const listenHere = (): void => {
    plain = o.patient ? listenOnce(onEnding) : undefined;
  };
  try {
    const options = { workerData: o, execArgv: ['--expose-internals', '--no-warnings'] };
    worker = new Worker(inPackage('dist/cli/signals-watch.js'), options);
    worker.unref();
    worker.on('message', (signal: Ending | null) => signal && onEnding(signal));
    worker.on('error', listenHere); // A Node whose threads can hear no signals.
    ready = once(worker, 'message').then(
      () => {},
      () => {},
    );
  } catch {
    listenHere(); // Node's permissions may forbid threads.
  }
  return {
    ready,
    stop: () => {
      plain?.stop();
      void worker?.terminate();
    },
  };
}
