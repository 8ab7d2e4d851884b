/** The bottleneck that a config names. */
import type { Stage1Config } from '../../config/schema.js';
import { cosineCode } from './cosine.js';
import { averagedCode } from './ema.js';
import { finiteScalars } from './fsq.js';
import { highestScore } from './gumbel.js';
import { lookupFree } from './lfq.js';
import { nearestCode } from './nearest.js';
import type { Bottleneck } from './quantiser.js';

const kinds: Record<Stage1Config['bottleneck']['kind'], (config: Stage1Config) => Bottleneck> = {
  nearest: nearestCode,
  ema: averagedCode,
  cosine: cosineCode,
  fsq: finiteScalars,
  lfq: lookupFree,
  gumbel: highestScore,
};

export const bottleneckOf = (config: Stage1Config): Bottleneck => kinds[config.bottleneck.kind](config);
