/** What a config, or a prior's record, tells of pictures. A new kind is a file beside this one and an entry here. */
import type { Reporter } from '../../base/progress.js';
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
import { type ToldTokenizer, toldTokenizer } from './tokenizer.js';

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
 * @param o.tokenizer of what is told, where there is one
 * @param o.labels of training maps, where it is told maps of labels
 * @param o.began what the run's prior is told, where it has one: an imported one has no code for nothing told, and may
 *   be told of smaller maps
 * @returns undefined where it is told nothing
 * @throws UserError for a tokenizer of pictures of another size
 */
export function conditionRecord(
  config: Config,
  o: { tokenizer?: ToldTokenizer; labels?: readonly MapLabel[]; began?: ConditionRecord },
): ConditionRecord | undefined {
  const { tokenizer, labels = [], began } = o;
  const { kind, side, colours } = config.prior.condition;
  if (kind === 'none') return undefined;
  const { size } = config.data;
  if (tokenizer) {
    const ofImages = kind === 'lowres';
    const sha256 = ofImages ? undefined : tokenizer.model.sha256;
    const pixels = ofImages ? (side ?? size / 4) : size;
    const same = began?.tokenizer?.sha256 === sha256 && (!ofImages || began?.tokenizer?.pixels === pixels);
    if (began?.tokenizer && same && began.kind === kind && began.size === size)
      return { ...began, ...(began.labels && { labels }) };
    return learnedRecord({ kind, size, pixels, labels, ...(sha256 && { sha256 }) }, tokenizer);
  }
  const usual = kind === 'lowres' ? lowresSide : Math.max(...gridsOf(config).map(({ height }) => height));
  return kinds[kind]({ size, side: side ?? usual, colours, labels }).record;
}

/**
 * @param o.batch pictures that a tokenizer takes at a time; 1 unless given
 * @param o.tokenizer the run's unless given
 * @throws UserError where the run's tokenizer of what is told is lost, or another one
 */
export async function openConditioner(
  record: ConditionRecord,
  o: { run: string; device: Device; batch?: number; tokenizer?: ToldTokenizer; reporter?: Reporter },
): Promise<Conditioner> {
  const { run, device, batch = 1 } = o;
  const tokenizer = o.tokenizer ?? (await toldTokenizer(run, record, o.reporter));
  return tokenizer ? openLearned(record, tokenizer, { device, batch }) : withoutWeights(record);
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
