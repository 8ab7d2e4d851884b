/** What is told of the images of a data set: computed from them, or read from their maps. */
import { existsSync } from 'node:fs';
import { expected, type UserError } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { type Reporter, silent } from '../base/progress.js';
import { tokenFile } from '../checkpoint/run.js';
import type { Config } from '../config/schema.js';
import type { EvalBatch } from '../data/batches.js';
import { attempt, decodeWidth } from '../data/cache.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { mapInOrder } from '../data/map-in-order.js';
import { type Maps, mapsFor } from '../data/maps.js';
import type { Conditioner, MapLabel } from './conditions/condition.js';
import { conditionerOf } from './conditions/index.js';
import { hexOf, hexOfBytes } from './conditions/maps.js';
import { readTokens } from './token-file.js';

/** What tells of a split's images. */
export interface Teller {
  readonly conditioner: Conditioner;
  /** Where it tells by maps. */
  readonly maps?: Maps;
}

const mostLabels = 256;

/**
 * @param subsets by the names of their files; maps of `train` say which colours there are
 * @returns for each what tells of its images; none where the prior is told nothing
 * @throws UserError for maps that are missing or do not fit, or have colours that no training map has
 */
export async function tellersOf(
  config: Config,
  subsets: Readonly<Record<string, Subset>>,
  o: { run: string; reporter: Reporter; signal?: AbortSignal },
): Promise<Readonly<Record<string, Teller>> | undefined> {
  const { kind, maps, val_maps } = config.prior.condition;
  if (kind === 'none') return undefined;
  if (kind !== 'maps' || maps === null) {
    const conditioner = conditionerOf(config);
    return conditioner && Object.fromEntries(Object.keys(subsets).map((name) => [name, { conditioner }]));
  }
  const found: Record<string, Maps> = {};
  const listed = new Set<string>();
  for (const [split, { source, indices }] of Object.entries(subsets)) {
    const own = split === 'val' && val_maps !== null;
    const [dir, where] = own ? [val_maps, 'prior.condition.val_maps'] : [maps, 'prior.condition.maps'];
    const names = indices.map((i) => must(source.names[i], 'name'));
    const reporter = listed.has(dir) ? silent : o.reporter;
    found[split] = await mapsFor(names, dir, { all: source.names, where, reporter });
    listed.add(dir);
  }
  const counts = await countColours(subsets, found, { ...o, size: config.data.size });
  const { train } = counts;
  const labels = train ? labelsOf(train, o.reporter) : await recordedLabels(o.run);
  for (const colours of Object.values(counts)) checkColours(colours, labels);
  const conditioner = conditionerOf(config, labels);
  return (
    conditioner &&
    Object.fromEntries(Object.entries(found).map(([name, maps]) => [name, { conditioner, maps }]))
  );
}

/** How many pixels of a split's maps have each colour, and the first map in which it is. */
type Colours = Map<string, { pixels: number; first: string }>;

async function countColours(
  subsets: Readonly<Record<string, Subset>>,
  maps: Readonly<Record<string, Maps>>,
  { size, reporter, signal }: { size: number; reporter: Reporter; signal?: AbortSignal },
): Promise<Record<string, Colours>> {
  const total = Object.values(subsets).reduce((sum, { indices }) => sum + indices.length, 0);
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
        if (map) count(colours, map.data, `${map.name} of ${dir}`);
        if (colours.size > mostLabels) throw tooMany(dir, must(map, 'map').name);
        done++;
        progress.update(done);
      }
    }
    return counts;
  } finally {
    progress.stop();
  }
}

function count(colours: Colours, data: Uint8Array, name: string): void {
  for (let at = 0; at < data.length; at += 3) {
    const colour = hexOfBytes(data[at]!, data[at + 1]!, data[at + 2]!);
    const found = colours.get(colour);
    if (found) found.pixels++;
    else colours.set(colour, { pixels: 1, first: name });
  }
}

const tooMany = (dir: string, name: string): UserError =>
  expected(
    `maps of at most ${mostLabels} colours`,
    'prior.condition.maps',
    `${dir}, which has more by ${name}`,
    'Each colour means something: such maps are saved without loss, as PNG.',
  );

/** The most frequent first. */
function labelsOf(colours: Colours, reporter: Reporter): MapLabel[] {
  const pixels = [...colours.values()].reduce((sum, { pixels }) => sum + pixels, 0);
  const labels = [...colours]
    .map(([colour, found]) => ({ colour, share: found.pixels / pixels }))
    .sort((a, b) => b.share - a.share || (a.colour < b.colour ? -1 : 1));
  const each = labels.map(({ colour, share }) => `${colour} ${(100 * share).toFixed(1)} %`);
  reporter.note(`Maps of ${labels.length} colours: ${each.join(', ')}.`);
  return labels;
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
export function toldOf({ conditioner }: Teller, { images, maps, names }: EvalBatch): Int32Array {
  const { height, width } = conditioner.record.grid;
  const told = new Int32Array(names.length * height * width);
  for (const i of names.keys()) told.set(conditioner.codes(imageAt(maps ?? images, i)), i * height * width);
  return told;
}

/** @throws UserError for a colour that no training map has, naming the map */
export function checkColours(
  found: ReadonlyMap<string, { readonly first: string }>,
  labels: readonly MapLabel[],
): void {
  const known = new Set(labels.map(({ colour }) => colour));
  const strange = [...found].filter(([colour]) => !known.has(colour));
  const [first] = strange;
  if (!first) return;
  const more = strange.length > 8 ? ` and ${strange.length - 8} more` : '';
  throw expected(
    `a map of the colours ${labels.map(({ colour }) => colour).join(', ')}`,
    first[1].first,
    strange
      .slice(0, 8)
      .map(([colour]) => colour)
      .join(', ') + more,
    'The maps of the training images have no other.',
  );
}

/** Of a map [S, S, 3] in [−1, 1], for `checkColours`. */
export function coloursOf(map: Float32Array, name: string): Map<string, { first: string }> {
  const found = new Map<string, { first: string }>();
  for (let at = 0; at < map.length; at += 3)
    found.set(hexOf(map[at]!, map[at + 1]!, map[at + 2]!), { first: name });
  return found;
}
