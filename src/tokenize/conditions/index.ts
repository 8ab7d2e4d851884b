/** What a config, or a prior's record, tells of pictures. A new kind is a file beside this one and an entry here. */
import { lowresSide } from '../../config/conditions.js';
import type { Config } from '../../config/schema.js';
import { gridsOf } from '../../stage1-vqgan/model.js';
import type { Conditioner, ConditionRecord, MapLabel } from './condition.js';
import { edges } from './edges.js';
import { lowres } from './lowres.js';
import { maps } from './maps.js';
import { palette } from './palette.js';

interface Sizes {
  /** S. */
  readonly size: number;
  readonly side: number;
  readonly colours: number;
  readonly labels: readonly MapLabel[];
}

const kinds: Record<ConditionRecord['kind'], (o: Sizes) => Conditioner> = {
  edges: ({ size, side }) => edges(size, side),
  lowres: ({ size, side }) => lowres(size, side),
  palette: ({ size, colours }) => palette(size, colours),
  maps: ({ size, side, labels }) => maps(size, side, labels),
};

/** @param labels of training maps. @returns undefined where a prior is told nothing */
export function conditionerOf(config: Config, labels: readonly MapLabel[] = []): Conditioner | undefined {
  const { kind, side, colours } = config.prior.condition;
  if (kind === 'none') return undefined;
  const { size } = config.data;
  const usual = kind === 'lowres' ? lowresSide : Math.max(...gridsOf(config).map(({ height }) => height));
  return kinds[kind]({ size, side: side ?? usual, colours, labels });
}

export const conditionerFrom = ({ kind, size, grid, labels = [] }: ConditionRecord): Conditioner =>
  kinds[kind]({ size, side: grid.height, colours: grid.width, labels });
