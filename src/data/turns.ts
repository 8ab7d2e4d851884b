/** Work that is done many at a time, and work for which all other stops. */
export interface Turns {
  together<T>(work: () => Promise<T>): Promise<T>;
  /** Begins when all that runs has ended; what comes later waits. */
  alone<T>(work: () => Promise<T>): Promise<T>;
}

export function turns(): Turns {
  const running = new Set<Promise<unknown>>();
  let last: Promise<unknown> = Promise.resolve();
  return {
    async together(work) {
      let seen: typeof last;
      do {
        seen = last;
        await seen;
      } while (seen !== last);
      const run = work();
      running.add(run);
      return run.finally(() => running.delete(run));
    },
    alone(work) {
      const run = last.then(async () => {
        await Promise.allSettled(running);
        return work();
      });
      last = run.catch(() => {});
      return run;
    },
  };
}
