/** What a config, or a prior's record, tells of pictures. A new kind is a file beside this one and an entry here. */
import { readRunConfig, runPaths } from '../../checkpoint/run.js';
import { loadModel } from '../../checkpoint/store.js';
import { lowresSide } from '../../config/conditions.js';
import type { Config } from '../../config/schema.js';
import type { MapLabel } from '../../data/map-labels.js';
import type { Device } from '../../engine/device.js';
import { gridsOf } from '../../stage1-vqgan/model.js';
import type { Conditioner, ConditionRecord, Plain } from './condition.js';
import { edges } from './edges.js';
import { learnedRecord, openLearned } from './learned.js';
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

const kinds: Record<ConditionRecord['kind'], (o: Sizes) => Plain> = {
  edges: ({ size, side }) => edges(size, side),
  lowres: ({ size, side }) => lowres(size, side),
  palette: ({ size, colours }) => palette(size, colours),
  maps: ({ size, side, labels }) => maps(size, side, labels),
};

/**
 * What a prior is told by its run's config.
 *
 * @param o.place where the tokenizer of what is told lies, where there is one
 * @param o.labels of training maps, where it is told maps of labels
 * @returns undefined where it is told nothing
 * @throws UserError for a tokenizer that is missing, or of pictures of another size
 */
export async function conditionRecord(
  config: Config,
  { place, labels = [] }: { place?: string; labels?: readonly MapLabel[] },
): Promise<ConditionRecord | undefined> {
  const { kind, side, colours } = config.prior.condition;
  if (kind === 'none') return undefined;
  const { size } = config.data;
  if (place !== undefined) {
    if (kind === 'lowres') {
      const pixels = side ?? size / 4;
      return learnedRecord({ kind, size, pixels, labels }, config, place);
    }
    const { sha256 } = await loadModel(place, 'stage1');
    return learnedRecord({ kind, size, pixels: size, sha256, labels }, readRunConfig(place), place);
  }
  const usual = kind === 'lowres' ? lowresSide : Math.max(...gridsOf(config).map(({ height }) => height));
  return kinds[kind]({ size, side: side ?? usual, colours, labels }).record;
}

/** Where a run has the tokenizer of what its prior is told; undefined where that needs none. */
export function toldTokenizer(
  run: string,
  { kind, tokenizer }: Pick<ConditionRecord, 'kind'> & { readonly tokenizer?: unknown },
): string | undefined {
  if (!tokenizer) return undefined;
  return kind === 'lowres' ? run : runPaths(run).condition;
}

/**
 * @param o.batch pictures that a tokenizer takes at a time; 1 unless given
 * @throws UserError where the run's tokenizer of what is told is another one
 */
export async function openConditioner(
  record: ConditionRecord,
  { run, device, batch = 1 }: { run: string; device: Device; batch?: number },
): Promise<Conditioner> {
  const place = toldTokenizer(run, record);
  return place === undefined ? withoutWeights(record) : openLearned(record, { place, device, batch });
}

function withoutWeights({ kind, size, grid, labels = [] }: ConditionRecord): Conditioner {
  const { record, codes, shown } = kinds[kind]({ size, side: grid.height, colours: grid.width, labels });
  return {
    record,
    codes: async (images) => Int32Array.from(images.flatMap((image) => [...codes(image)])),
    shown: async (codes) => shown(codes),
    dispose: async () => {},
  };
}
