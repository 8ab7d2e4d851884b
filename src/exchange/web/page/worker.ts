/** Does the jobs of a page, one after another, beside it: the page stays at hand while they run. */
import type { FromWorker, Jobs, Kind, ToWorker } from './messages.js';
import { type Doing, openStudio, type Studio } from './studio.js';

let studio: Studio | undefined;
let current: AbortController | undefined;

const tell = (message: FromWorker): void => globalThis.postMessage(message);

globalThis.addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
  if (data.does === 'start') studio = openStudio(data.base, data.compute, data.of);
  else if (data.does === 'cancel') current?.abort();
  else void work(data.id, data.kind, data.ask);
});

async function work(id: number, kind: Kind, ask: Jobs[Kind]['ask']): Promise<void> {
  current = new AbortController();
  const { signal } = current;
  const onProgress = (said: string, done: number, total: number): void =>
    tell({ tells: 'progress', said, done, total });
  try {
    const job = studio?.[kind] as (ask: Jobs[Kind]['ask'], doing: Doing) => Promise<Jobs[Kind]['answer']>;
    tell({ tells: 'answer', id, answer: await job(ask, { signal, onProgress }) });
  } catch (error) {
    const message = error instanceof Error ? error.message : `${error}`;
    tell({ tells: 'error', id, message, cancelled: signal.aborted });
  }
}
