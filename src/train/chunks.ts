/** How many steps one call of the engine runs. */

/** A call of the engine takes about this long, so that Ctrl-C is heard soon. */
const chunkSeconds = 3;
const longestChunk = 64;

/**
 * How many steps the next call runs: one while nothing is known, then as many as fill the time, at most to the next
 * step at which the host has something to do.
 */
export function chunkPlanner({
  steps,
  eval_every,
  checkpoint_every,
}: Record<'steps' | 'eval_every' | 'checkpoint_every', number>) {
  let secondsPerStep = Number.POSITIVE_INFINITY;
  return {
    took(seconds: number): void {
      secondsPerStep = seconds;
    },
    /** @param end a step at which the call must end, too */
    length(step: number, end = Number.POSITIVE_INFINITY): number {
      const fitting = Math.max(1, Math.min(longestChunk, Math.floor(chunkSeconds / secondsPerStep)));
      const toNext = [eval_every, checkpoint_every].map((every) => every - (step % every));
      return Math.max(0, Math.min(fitting, steps - step, end - step, ...toNext));
    },
  };
}
