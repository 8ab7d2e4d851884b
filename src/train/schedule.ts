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
 */
export function learningRate(step: number, { lr, warmup, steps, schedule }: Schedule): number {
  if (step < warmup) return (lr * step) / warmup;
  if (schedule === 'constant') return lr;
  const done = (step - warmup) / (steps - warmup + 1);
  return (lr * (1 + Math.cos(Math.PI * Math.min(done, 1)))) / 2;
}
