/** How a prior that draws cells anywhere takes them together: so many passes, each over the whole canvas. */

export interface Passes {
  /** Passes of the network in all. */
  readonly steps: number;
  /**
   * `confidence`: every pass draws all cells and keeps those of which the network is surest (MaskGIT, arXiv 2202.04200,
   * section 3.2); `halton`: cells far from each other first, whatever was drawn (arXiv 2503.17076).
   */
  readonly order: (typeof orders)[number];
  /** `confidence`: factor of the Gumbel noise that is added to log p, which falls to 0 at the last pass (choice temperature). */
  readonly noise: number;
  /** Share of the cells drawn so far that a pass may mask again, those that the network believes least; it falls to 0 at the last pass. */
  readonly revise: number;
  /** How guidance grows from pass to pass, from none to the scale. */
  readonly guidance: (typeof guidanceSchedules)[number];
}

export const orders = ['confidence', 'halton'] as const;
export const guidanceSchedules = ['constant', 'linear', 'cosine'] as const;
