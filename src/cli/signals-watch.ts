/** The thread that hears signals while another one computes: what cli/signals.ts starts. */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { type Ending, endings, onePerMoment, type Watched } from './signals.js';

/** Milliseconds in which the computing thread may end the process by itself, tidily and with its exit code. */
const grace = 300;

interface Handle {
  onsignal: () => void;
  start(signal: number): number;
  close(): void;
}

/** Node hands signals to its main thread only; the handles beneath `process.on` work in every thread. */
const { Signal } = createRequire(import.meta.url)('internal/test/binding').internalBinding('signal_wrap') as {
  Signal: new () => Handle;
};

const { patient } = workerData as Watched;
const counts = onePerMoment();
let ends = !patient;

const handles = endings.map((signal) => {
  const handle = new Signal();
  handle.onsignal = () => heard(signal);
  const refused = handle.start(constants.signals[signal]);
  if (refused) throw new Error(`internal: no signals for a thread (${refused})`);
  return handle;
});

parentPort?.postMessage(null); // ready

function heard(signal: Ending): void {
  if (!counts(performance.now())) return;
  parentPort?.postMessage(signal);
  if (ends) setTimeout(() => endAs(signal), grace);
  ends = true;
}

/** As if nobody had listened: shells then see which signal it was. */
function endAs(signal: Ending): void {
  for (const handle of handles) handle.close();
  setImmediate(() => process.kill(process.pid, signal));
}
