/** What a page that samples is told of its run: `page.json`. Types only, for pages read it too. */
import type { StoredPrecision } from '../../base/half.js';
import type { Latent } from '../../stage1-vqgan/latent.js';
import type { Choice } from '../../stage2-transformer/choose.js';
import type { Growth } from '../../stage2-transformer/guidance.js';
import type { Passes } from '../../stage2-transformer/passes.js';
import type { Portable, Prior } from '../../stage2-transformer/prior.js';

export interface Description {
  readonly vqgen: string;
  /** Of the run, for people. */
  readonly name: string;
  /** Of the files' weights. */
  readonly precision: StoredPrecision;
  /** Side of a picture, pixels. */
  readonly size: number;
  readonly latent: Latent;
  /** For people: `8×8 codes of 256`. */
  readonly latentSays: string;
  /** What `vqgen sample` draws with unless told otherwise. */
  readonly seed: number;
  readonly temperature: number;
  /** Of a run with a prior. */
  readonly prior?: PriorDescription;
}

export interface PriorDescription extends Pick<Prior, 'grids' | 'draws' | 'described'> {
  readonly kind: string;
  readonly classes: readonly string[];
  /** Whether it can draw without a class, too. */
  readonly untold: boolean;
  readonly asked: Portable['asked'];
  readonly choice: Choice;
  /** Of a prior that draws with and without a class. */
  readonly guidance?: { readonly scale: number; readonly growth: Growth };
  readonly passes?: Passes;
}
