/**
 * The prior that a config names. A new kind is a folder beside this file, an entry here, and a section in
 * `config/priors.ts`.
 */
import type { Config, PriorConfig } from '../config/schema.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { gptPrior } from './gpt/index.js';
import { maskgitPrior } from './maskgit/index.js';
import { pixelcnnPrior } from './pixelcnn/index.js';
import type { Condition, Prior } from './prior.js';

/** The config's section, with the seed that acts. */
export type PriorSettings = PriorConfig & { readonly seed: number };

type Make = (settings: PriorSettings, grids: readonly Grid[], condition: Condition) => Prior;

const kinds: Record<PriorConfig['kind'], Make> = {
  gpt: gptPrior,
  pixelcnn: pixelcnnPrior,
  maskgit: maskgitPrior,
};

export const priorSettings = ({ prior, seed }: Config): PriorSettings => ({
  ...prior,
  seed: prior.seed ?? seed,
});

/** @param grids what it draws */
export const priorOf = (settings: PriorSettings, grids: readonly Grid[], condition: Condition): Prior =>
  kinds[settings.kind](settings, grids, condition);
