/** What the scripts beside exported ONNX files have to know to draw as `vqgen sample` does without options. */
import type { Config } from '../../config/schema.js';
import { growthOf, passesOf } from '../../sample/choices.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import type { Growth } from '../../stage2-transformer/guidance.js';
import type { Passes } from '../../stage2-transformer/passes.js';
import type { Portable, Prior } from '../../stage2-transformer/prior.js';
import { portableOf } from './metadata.js';

export interface DrawnAs {
  readonly asked: Portable['asked'];
  readonly grids: readonly Grid[];
  /** K: logits of a place, of which a grid with fewer codes has the first. */
  readonly codes: number;
  /** Number of the classes, which are drawn in turn. */
  readonly classes: number;
  readonly temperature: number;
  /** 0 is off. */
  readonly topK: number;
  /** 1 is off. */
  readonly topP: number;
  /** 1 without guidance. */
  readonly cfgScale: number;
  /** Of guidance. */
  readonly growth: Growth;
  /** Of a prior that draws in passes. */
  readonly passes?: Passes;
}

export function drawnAs(config: Config, prior: Prior): DrawnAs {
  const { condition, grids } = prior;
  const { temperature, top_k: topK, top_p: topP, cfg_scale } = config.sample;
  const guided = condition.classes.length > 0 && config.prior.class_dropout > 0;
  const cfgScale = guided ? cfg_scale : 1;
  return {
    asked: portableOf(prior).asked,
    grids,
    codes: Math.max(...grids.map(({ vocab }) => vocab)),
    classes: condition.classes.length,
    temperature,
    topK,
    topP,
    cfgScale,
    growth: growthOf({ cfgScale }, config, prior),
    passes: passesOf({}, config, prior),
  };
}

/** Whether a grid has fewer codes than another. */
export const vocabulariesDiffer = ({ grids }: Pick<DrawnAs, 'grids'>): boolean =>
  new Set(grids.map(({ vocab }) => vocab)).size > 1;
