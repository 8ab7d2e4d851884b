/** How many cells are masked while a canvas is filled. */
import type { PriorConfig } from '../../config/schema.js';

export type MaskSchedule = PriorConfig['mask_schedule'];

const shares: Record<MaskSchedule, (ratio: number) => number> = {
  cosine: (r) => Math.cos((Math.PI / 2) * r),
  linear: (r) => 1 - r,
  square: (r) => 1 - r * r,
  arccos: (r) => Math.acos(r) / (Math.PI / 2),
};

/**
 * Share of masked cells when a share `ratio` of the drawing is done: 1 at 0, 0 at 1 (arXiv 2202.04200, section 3.3).
 */
export const maskedShare = (schedule: MaskSchedule, ratio: number): number => shares[schedule](ratio);

/**
 * How many cells stay masked after pass `step` (1-based) of `steps`: each pass but the last leaves at least one where
 * there are several, each fills at least one, the last leaves none.
 *
 * @param o.cells masked at the start. @param o.masked masked before this pass
 */
export function stillMasked(
  schedule: MaskSchedule,
  { step, steps, cells, masked }: { step: number; steps: number; cells: number; masked: number },
): number {
  if (step >= steps) return 0;
  const wanted = Math.floor(cells * maskedShare(schedule, step / steps));
  return Math.max(0, Math.min(masked - 1, Math.max(1, wanted)));
}
