/** The page's side of its worker. */
import type { Description } from '../description.js';
import type { Compute, FromWorker, Jobs, Kind, ToWorker } from './messages.js';

export interface Client {
  /** @throws Cancelled where it was cancelled, Error where it failed */
  run<K extends Kind>(kind: K, ask: Jobs[K]['ask']): Promise<Jobs[K]['answer']>;
  cancel(): void;
  /** Ends the worker and what it does. */
  close(): void;
}

export class Cancelled extends Error {}

interface Waiting {
  readonly resolve: (answer: Jobs[Kind]['answer']) => void;
  readonly reject: (error: Error) => void;
}

export function startClient(
  of: Description,
  compute: Compute,
  onProgress: (said: string, done: number, total: number) => void,
): Client {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  const waiting = new Map<number, Waiting>();
  const send = (message: ToWorker): void => worker.postMessage(message);
  let jobs = 0;
  worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
    if (data.tells === 'progress') {
      onProgress(data.said, data.done, data.total);
      return;
    }
    const job = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.tells === 'answer') job?.resolve(data.answer);
    else job?.reject(data.cancelled ? new Cancelled() : new Error(data.message));
  });
  worker.addEventListener('error', ({ message }) => {
    for (const job of waiting.values()) job.reject(new Error(message));
    waiting.clear();
  });
  send({ does: 'start', base: new URL('./', document.baseURI).href, compute, of });
  return {
    run(kind, ask) {
      const id = jobs++;
      send({ does: 'job', id, kind, ask });
      return new Promise((resolve, reject) =>
        waiting.set(id, { resolve: resolve as Waiting['resolve'], reject }),
      );
    },
    cancel: () => send({ does: 'cancel' }),
    close() {
      worker.terminate();
      for (const job of waiting.values()) job.reject(new Cancelled());
    },
  };
}
