/** `vqgen watch RUN`: serves the page of a run until its training ends. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Reporter } from '../base/progress.js';
import { serve } from '../report/server.js';
import { type WatchedRun, watchRun } from '../report/watch.js';
import type { Context } from './command.js';
import type { Outcome } from './outcome.js';

/** Milliseconds between looks, and how long nobody may be at work before it counts as the end: commands follow. */
export const usual = { every: 2000, grace: 20_000 };

/**
 * @param o.port 0: a free one
 * @throws UserError where there is no run, or the port cannot be had
 */
export async function serveRun(
  o: { readonly run: string; readonly port: number } & Partial<typeof usual>,
  { tell, signal, reporter }: Pick<Context, 'tell' | 'signal'> & { readonly reporter: Reporter },
): Promise<Outcome> {
  const watched = watchRun(o.run);
  const began = performance.now();
  const server = await serve({ port: o.port, answer: watched.answer });
  const { address } = server;
  try {
    const { busy } = await watched.look();
    await tell(address);
    reporter.note('Open it in a browser on this machine. It ends with the training, or with Ctrl-C.');
    const ended = await endOf(watched, { ...usual, ...o, trained: busy }, signal);
    const seconds = (performance.now() - began) / 1000;
    return {
      summary: { run: o.run, address, seconds, ended: ended ? 'training' : 'signal' },
      lines: ended ? ['The training has ended, and the page with it.'] : [],
    };
  } finally {
    await server.close();
  }
}

/** Waits until nobody trains any more, where somebody did. @returns false where the signal came first */
async function endOf(
  watched: WatchedRun,
  { every, grace, ...before }: typeof usual & { readonly trained: boolean },
  signal: AbortSignal,
): Promise<boolean> {
  let { trained } = before;
  let idleSince: number | undefined;
  while (!signal.aborted) {
    const { busy } = await watched.look();
    trained ||= busy;
    if (busy || !trained) idleSince = undefined;
    else idleSince ??= performance.now();
    if (idleSince !== undefined && performance.now() - idleSince >= grace) return true;
    await pause(every, undefined, { signal }).catch(() => {});
  }
  return false;
}
