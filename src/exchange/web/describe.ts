/** What a page that samples is told of a run. */
import path from 'node:path';
import type { StoredPrecision } from '../../base/half.js';
import { version } from '../../base/root.js';
import type { Config } from '../../config/schema.js';
import { choiceOf, growthOf, passesOf } from '../../sample/choices.js';
import { bottleneckOf } from '../../stage1-vqgan/bottlenecks/index.js';
import { describeLatent } from '../../stage1-vqgan/latent.js';
import type { Prior } from '../../stage2-transformer/prior.js';
import { portableOf } from '../onnx/metadata.js';
import type { RunModels } from '../onnx/models.js';
import type { Description, PriorDescription } from './description.js';

export function describe(run: string, { config, prior }: RunModels, precision: StoredPrecision): Description {
  const { latent } = bottleneckOf(config);
  return {
    ...{ vqgen: version, name: path.basename(path.resolve(run)), precision },
    ...{ size: config.data.size, latent, latentSays: describeLatent(latent) },
    ...{ seed: config.seed, temperature: config.sample.temperature },
    ...(prior && { prior: describePrior(config, prior.model) }),
  };
}

function describePrior(config: Config, prior: Prior): PriorDescription {
  const { grids, draws, described, condition } = prior;
  const { classes } = condition;
  const { class_dropout, kind } = config.prior;
  const scale = config.sample.cfg_scale;
  return {
    ...{ kind, grids, draws, described, classes, untold: classes.length === 0 || class_dropout > 0 },
    asked: portableOf(prior, 'web').asked,
    choice: choiceOf({}, config.sample, Math.max(...grids.map(({ vocab }) => vocab))),
    ...(classes.length > 0 &&
      class_dropout > 0 && { guidance: { scale, growth: growthOf({ cfgScale: scale }, config, prior) } }),
    passes: passesOf({}, config, prior),
  };
}
