/** How a prior that draws anywhere fills a canvas: in so many passes, each over all of it. */
import type { SampleConfig } from '../config/schema.js';

export interface Passes {
  /** Passes of the network in all. */
  readonly steps: number;
  /**
   * `confidence`: every pass draws all cells and keeps those of which the network is surest (MaskGIT, arXiv
   * 2202.04200, section 3.2); `halton`: cells far from each other first, whatever was drawn (arXiv 2503.17076).
   */
  readonly order: SampleConfig['order'];
  /** `confidence`: factor of the Gumbel noise beside log p, which falls to 0 at the last pass (choice temperature). */
  readonly choiceTemperature: number;
  /**
   * Share of the cells drawn so far that a pass masks again, those that the network believes least; it falls to 0 at
   * the last pass.
   */
  readonly revise: number;
}
