/** The learning rate as a pure function of the step. */
export interface Schedule {
  /** The highest rate. */
  readonly lr: number;
  /** Steps of linear rise; 0 starts at `lr`. */
  readonly warmup: number;
  /** Total of the run. */
  readonly steps: number;
  readonly schedule: 'constant' | 'cosine';
}

/**
 * Rises linearly to `lr`, reached at step `warmup`; then constant, or half a cosine (arXiv 1608.03983, one cycle)
 * down to 0, which the step after the last would reach.
 *
 * @param step 1-based
 * @param since the step after which Adam's moments began (`SavedState.moments_since`): from there it rises, by as many
 *   steps, to what the schedule has there
 */
export function learningRate(step: number, schedule: Schedule, since = 0): number {
  const { lr, warmup } = schedule;
  const whole = lr * fall(step, schedule);
  const risen = step - since;
  return risen < warmup ? (whole * risen) / warmup : whole;
}

/** What the schedule leaves of `lr` at a step, 1 in the warm-up. */
function fall(step: number, { warmup, steps, schedule }: Schedule): number {
  if (schedule === 'constant' || step <= warmup) return 1;
  const done = (step - warmup) / (steps - warmup + 1);
  return (1 + Math.cos(Math.PI * Math.min(done, 1))) / 2;
}
