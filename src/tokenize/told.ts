/** What is told of the images of a data set: computed from them, or read from their maps. */
import { existsSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { type Reporter, silent } from '../base/progress.js';
import { readRunConfig, tokenFile } from '../checkpoint/run.js';
import type { Config } from '../config/schema.js';
import type { EvalBatch } from '../data/batches.js';
import { attempt, decodeWidth } from '../data/cache.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { mapInOrder } from '../data/map-in-order.js';
import {
  type Colours,
  checkColours,
  checkSeveral,
  countColours,
  describeLabels,
  labelsOf,
  type MapLabel,
  mostLabels,
  tooManyColours,
} from '../data/map-labels.js';
import { type Maps, mapsFor } from '../data/maps.js';
import type { PictureKind } from '../data/reading.js';
import { endDrawingsOn } from '../data/svg-file.js';
import { priorCondition } from './conditions/begun.js';
import type { Conditioner, ConditionRecord } from './conditions/condition.js';
import { conditionRecord } from './conditions/index.js';
import { checkNamed, namedPlace, namedTokenizer, type ToldTokenizer } from './conditions/tokenizer.js';
import { readTokens } from './token-file.js';

/** What tells of a data set's images. */
export interface Telling {
  readonly record: ConditionRecord;
  /** What makes codes of it, where a tokenizer does. */
  readonly tokenizer?: ToldTokenizer;
  /** Of each split by its name, where it tells by maps. */
  readonly maps?: Readonly<Record<string, Maps>>;
}

/** What tells of a split's images. */
export interface Teller {
  readonly conditioner: Conditioner;
  /** Where it tells by maps. */
  readonly maps?: Maps;
}

/**
 * @param subsets by the names of their files; maps of `train` say which colours there are
 * @param o.set what is changed of the config in this call
 * @returns undefined where the prior is told nothing
 * @throws UserError for maps that are missing or do not fit, have colours that no training map has,
 *   or by a tokenizer that is missing
 */
export async function tellingOf(
  config: Config,
  subsets: Readonly<Record<string, Subset>>,
  o: { run: string; set?: readonly string[]; reporter: Reporter; signal?: AbortSignal },
): Promise<Telling | undefined> {
  const { kind } = config.prior.condition;
  if (kind === 'none') return undefined;
  const place = namedPlace(config, o.run, o.set);
  if (place !== undefined) await checkNamed(place, o.run);
  if (kind !== 'maps') return tellingBy(config, place, o);
  if (config.prior.condition.maps === null) {
    const next = 'prior.condition.kind maps takes one for each picture.';
    throw expected('a folder of maps', 'prior.condition.maps', null, next);
  }
  const own = place === undefined ? undefined : readRunConfig(place).data;
  const pictures = own?.pictures ?? 'labels';
  const maps = await mapsOf(config, subsets, { kind: pictures, reporter: o.reporter });
  const labels = pictures === 'labels' ? await labelsIn(subsets, maps, own?.labels, { ...o, config }) : [];
  return { ...(await tellingBy(config, place, o, labels)), maps };
}

/** The tokenizer is opened last: where it trains on, its checkpoints are not there for long. */
async function tellingBy(
  config: Config,
  place: string | undefined,
  { run, reporter }: { run: string; reporter: Reporter },
  labels: readonly MapLabel[] = [],
): Promise<Telling> {
  const tokenizer = place === undefined ? undefined : await namedTokenizer(place, reporter);
  const record = conditionRecord(config, { tokenizer, labels, began: priorCondition(run) });
  return { record: must(record, 'condition'), tokenizer };
}

async function mapsOf(
  config: Config,
  subsets: Readonly<Record<string, Subset>>,
  { kind, reporter }: { kind: PictureKind; reporter: Reporter },
): Promise<Record<string, Maps>> {
  const { maps, val_maps } = config.prior.condition;
  const found: Record<string, Maps> = {};
  const listed = new Set<string>();
  for (const [split, { source, indices }] of Object.entries(subsets)) {
    const own = split === 'val' && val_maps !== null;
    const dir = own ? val_maps : must(maps ?? undefined, 'maps');
    const where = own ? 'prior.condition.val_maps' : mapsKey;
    const names = indices.map((i) => must(source.names[i], 'name'));
    const told = { all: source.names, kind, where, reporter: listed.has(dir) ? silent : reporter };
    found[split] = await mapsFor(names, dir, told);
    listed.add(dir);
  }
  return found;
}

const mapsKey = 'prior.condition.maps';

/** The colours of all maps, by those of training. @param known of the tokenizer that was trained on such maps */
async function labelsIn(
  subsets: Readonly<Record<string, Subset>>,
  maps: Readonly<Record<string, Maps>>,
  known: readonly string[] | undefined,
  o: { config: Config; run: string; reporter: Reporter; signal?: AbortSignal },
): Promise<readonly MapLabel[]> {
  const counts = await countAll(subsets, maps, { ...o, size: o.config.data.size });
  const { train } = counts;
  const found = train ? labelsOf(train) : await recordedLabels(o.run);
  if (train) o.reporter.note(describeLabels(found));
  const shares = new Map(found.map(({ colour, share }) => [colour, share]));
  const labels = known?.map((colour) => ({ colour, share: shares.get(colour) ?? 0 })) ?? found;
  checkSeveral(labels, mapsKey, o.config.prior.condition.maps ?? '');
  for (const colours of Object.values(counts)) checkColours(colours, labels);
  return labels;
}

async function countAll(
  subsets: Readonly<Record<string, Subset>>,
  maps: Readonly<Record<string, Maps>>,
  { size, reporter, signal }: { size: number; reporter: Reporter; signal?: AbortSignal },
): Promise<Record<string, Colours>> {
  const total = Object.values(subsets).reduce((sum, { indices }) => sum + indices.length, 0);
  endDrawingsOn(signal);
  const progress = reporter.progress({ label: 'Reading maps', total, unit: 'maps' });
  let done = 0;
  try {
    const counts: Record<string, Colours> = {};
    for (const [split, { source, indices }] of Object.entries(subsets)) {
      const colours: Colours = new Map();
      counts[split] = colours;
      const { of, dir } = must(maps[split], split);
      for await (const map of mapInOrder(indices, decodeWidth, async (index) => {
        const name = must(source.names[index], 'name');
        const picture = await attempt(source, index, size);
        return 'reason' in picture ? undefined : { name, data: (await of(name, picture)).data };
      })) {
        signal?.throwIfAborted();
        if (map) countColours(colours, map.data, `${map.name} of ${dir}`);
        if (colours.size > mostLabels) throw tooManyColours(mapsKey, dir, must(map, 'map').name);
        done++;
        progress.update(done);
      }
    }
    return counts;
  } finally {
    progress.stop();
  }
}

/** Those of the training tokens. */
async function recordedLabels(run: string): Promise<readonly MapLabel[]> {
  const file = tokenFile(run, 'train');
  const next = `Tokenize the training images first: vqgen tokenize --run ${run}`;
  const { condition } = existsSync(file) ? await readTokens(file, next) : { condition: undefined };
  if (condition?.labels) return condition.labels;
  throw expected('the colours of training maps', file, 'none', next);
}

/** What is told of a batch, [n · G]. */
export const toldOf = ({ conditioner }: Teller, { images, maps, names }: EvalBatch): Promise<Int32Array> =>
  conditioner.codes(names.map((_, i) => imageAt(maps ?? images, i)));
