/** How long a training took, and how long it will. */
import { formatDuration, type Reporter } from '../base/progress.js';

/** Seconds since an earlier count. */
export function stopwatch(before: number): () => number {
  const start = performance.now();
  return () => before + (performance.now() - start) / 1000;
}

/**
 * Says once, after the first few steps, how long the whole will take. The first call, which warms up, does not count.
 */
export function forecaster(
  stepsLeft: number,
  reporter: Reporter,
): (steps: number, secondsPerStep: number) => void {
  let calls = 0;
  let steps = 0;
  let seconds = 0;
  let done = 0;
  let said = false;
  return (count, secondsPerStep) => {
    done += count;
    if (calls++ === 0) return;
    steps += count;
    seconds += count * secondsPerStep;
    if (said || steps < 3 || done === stepsLeft) return;
    said = true;
    const perStep = seconds / steps;
    const left = formatDuration(perStep * (stepsLeft - done));
    reporter.note(
      `About ${left} for the ${stepsLeft - done} steps to come, ${perStep.toPrecision(2)} s each.`,
    );
  };
}
