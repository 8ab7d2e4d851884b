/**
 * The bottleneck that a config names. A new kind is a file of this folder, an entry here, and a section in
 * `config/bottlenecks.ts`.
 */
import { codeWidth, levelsOf } from '../../config/bottlenecks.js';
import type { Config, Stage1Config } from '../../config/schema.js';
import { featuresOf } from '../autoencoder/index.js';
import type { Bottleneck, Place } from '../latent.js';
import { careFor, type Following } from './codebook/care.js';
import { careRules } from './codebook/rules.js';
import { cosineCode } from './cosine.js';
import { averagedCode, followed } from './ema.js';
import { finiteScalars } from './fsq.js';
import { gaussian } from './gaussian.js';
import { highestScore } from './gumbel.js';
import { hierarchy } from './hierarchy.js';
import { lookupFree } from './lfq.js';
import { nearestCode } from './nearest.js';
import { unbound } from './none.js';
import { oneGrid } from './one-grid.js';
import type { Parameters, Quantiser } from './quantiser.js';

type Make = (config: Stage1Config, place: Place) => Bottleneck;

const kinds: Record<Stage1Config['bottleneck']['kind'], Make> = {
  nearest: withCodebook(nearestCode, { published: 'VQModel' }),
  ema: withCodebook(averagedCode, {
    published: 'VQModel',
    follow:
      ({ bottleneck: { decay } }) =>
      (now, rows, chosen) =>
        followed(now, rows, chosen, decay),
  }),
  cosine: withCodebook(cosineCode),
  gumbel: withCodebook(highestScore, { published: 'GumbelVQ', importedOnly: true }),
  fsq: pointsOfGrid(finiteScalars),
  lfq: pointsOfGrid(lookupFree, ['entropy', 'codebook_entropy']),
  hierarchy: inLevels,
  none: unbound,
  gaussian,
};

/** @param config as resolved; of a run, with its starts as whole numbers of steps (`withStarts`) */
export function bottleneckOf({ data, stage1, seed }: Config): Bottleneck {
  const place: Place = {
    side: data.size >> (stage1.ch_mult.length - 1),
    features: featuresOf(stage1),
    batch: stage1.batch_size,
    parts: stage1.accumulate,
    seed,
    dims: data.size ** 2 * 3,
  };
  return kinds[stage1.bottleneck.kind](stage1, place);
}

function withCodebook<P extends Parameters>(
  make: (config: Stage1Config) => Quantiser<P>,
  o: Pick<Bottleneck, 'published' | 'importedOnly'> & { follow?: (config: Stage1Config) => Following } = {},
): Make {
  return (config, place) => {
    const width = codeWidth(config);
    const rules = careRules(config, width);
    return oneGrid(make(config), place, {
      grid: place.grid,
      codes: config.codes,
      width,
      care: careFor(rules, place, o.follow?.(config)),
      settles: rules.first,
      remedy: rules.restarts
        ? otherKind(config)
        : 'Let unused codes start again: --set stage1.codebook.restart_after=50.',
      published: o.published,
      importedOnly: o.importedOnly,
    });
  };
}

function pointsOfGrid(make: (config: Stage1Config) => Quantiser, terms?: readonly string[]): Make {
  return (config, place) =>
    oneGrid(make(config), place, {
      grid: place.grid,
      codes: config.codes,
      width: codeWidth(config),
      terms,
      remedy: otherKind(config),
    });
}

/** Each level as the whole of a tokenizer with one grid would be, on a grid of its own. */
function inLevels(config: Stage1Config, place: Place): Bottleneck {
  const levels = levelsOf(config).map(({ name, stage1 }, i, { length }) => {
    const side = place.side >> (length - 1 - i);
    return { name, bottleneck: kinds[stage1.bottleneck.kind](stage1, { ...place, side, grid: name }) };
  });
  return hierarchy(levels, { features: place.features, blocks: config.num_res_blocks });
}

const otherKind = ({ bottleneck }: Stage1Config): string =>
  `Another stage1.bottleneck.kind than ${bottleneck.kind}, fewer codes or a lower lr may help.`;
