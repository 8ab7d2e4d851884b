/** What asks a command to end: Ctrl-C, `kill`, a terminal that closes. */
import { constants } from 'node:os';

export const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type Ending = (typeof endings)[number];

/** 130 after Ctrl-C, as shells count it; 143 and 129 after the others. */
export const exitCodeOf = (signal: Ending): number => 128 + constants.signals[signal];

/** Milliseconds: a hand at the keys is slower. */
const atOnce = 300;

/**
 * Calls back at each of these signals until `stop`. What arrives twice at once counts once: the same Ctrl-C from a
 * terminal and from the process that guards this one, or from `timeout`, which sends to a process and then to its
 * group.
 */
export function listenForEndings(onEnding: (signal: Ending) => void): { stop(): void } {
  const last = new Map<Ending, number>();
  const heard = (signal: Ending): void => {
    const now = performance.now();
    const before = last.get(signal) ?? Number.NEGATIVE_INFINITY;
    last.set(signal, now);
    if (now - before > atOnce) onEnding(signal);
  };
  for (const signal of endings) process.on(signal, heard);
  return {
    stop: () => {
      for (const signal of endings) process.off(signal, heard);
    },
  };
}
