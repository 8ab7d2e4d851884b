/** What is told of the images of a data set, as its config says: read once more, or computed from the images themselves. */

import { existsSync } from 'node:fs';
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import { int32 } from '../base/tensor.js';
import { tokenFile } from '../checkpoint/run.js';
import type { Config } from '../config/schema.js';
import type { EvalBatch } from '../data/batches.js';
import { streamEvalImages } from '../data/batches.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { type Maps, mapsFor } from '../data/maps.js';
import type { Conditioner, MapLabel } from './conditions/condition.js';
import { conditionerOf } from './conditions/index.js';
import { hexOf, strangers } from './conditions/maps.js';
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
 * @throws UserError for maps that are missing or do not fit
 */
export async function tellersOf(
  config: Config,
  subsets: Readonly<Record<string, Subset>>,
  { run, reporter, signal }: { run: string; reporter: Reporter; signal?: AbortSignal },
): Promise<Readonly<Record<string, Teller>> | undefined> {
  const { kind, maps, val_maps } = config.prior.condition;
  if (kind === 'none') return undefined;
  if (kind !== 'maps' || maps === null) {
    const conditioner = conditionerOf(config);
    return conditioner && Object.fromEntries(Object.keys(subsets).map((name) => [name, { conditioner }]));
  }
  const { size } = config.data;
  const all = Object.values(subsets).flatMap(({ source }) => source.names);
  const found: Record<string, Maps> = {};
  for (const [split, { source, indices }] of Object.entries(subsets)) {
    const own = split === 'val' && val_maps !== null;
    const where = `prior.condition.${own ? 'val_maps' : 'maps'}`;
    const names = indices.map((i) => source.names[i]!);
    const o = { all: own ? source.names : all, where, size, reporter };
    found[split] = await mapsFor(names, own ? val_maps : maps, o);
  }
  const labels =
    subsets.train && found.train
      ? await labelsOf(subsets.train, found.train, { size, reporter, signal })
      : await recordedLabels(run);
  const conditioner = conditionerOf(config, labels);
  return (
    conditioner &&
    Object.fromEntries(Object.entries(found).map(([name, maps]) => [name, { conditioner, maps }]))
  );
}

/** The colours of all maps, the most frequent first. */
async function labelsOf(
  subset: Subset,
  maps: Maps,
  { size, reporter, signal }: { size: number; reporter: Reporter; signal?: AbortSignal },
): Promise<MapLabel[]> {
  const counts = new Map<string, number>();
  const total = subset.indices.length;
  const progress = reporter.progress({ label: 'Reading maps', total, unit: 'maps' });
  let pixels = 0;
  let done = 0;
  try {
    for await (const { maps: views, names } of streamEvalImages(subset, {
      ...{ size, batchSize: 16, skipped: [] },
      maps: (name, picture) => maps.of(name, picture),
    })) {
      signal?.throwIfAborted();
      const { data } = views!;
      for (let at = 0; at < data.length; at += 3) {
        const colour = hexOf(data[at]!, data[at + 1]!, data[at + 2]!);
        counts.set(colour, (counts.get(colour) ?? 0) + 1);
      }
      pixels += data.length / 3;
      if (counts.size > mostLabels) {
        throw expected(
          `maps of at most ${mostLabels} colours`,
          'prior.condition.maps',
          `${maps.dir}, which has more by ${names.at(-1)}`,
          'Each colour means something: such maps are saved without loss, as PNG.',
        );
      }
      done += names.length;
      progress.update(done);
    }
  } finally {
    progress.stop();
  }
  const labels = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  reporter.note(
    `Maps of ${labels.length} colours: ${labels.map(([colour, n]) => `${colour} ${((100 * n) / pixels).toFixed(1)} %`).join(', ')}.`,
  );
  return labels.map(([colour, n]) => ({ colour, share: n / pixels }));
}

/** Those of the training tokens. */
async function recordedLabels(run: string): Promise<readonly MapLabel[]> {
  const file = tokenFile(run, 'train');
  const next = `Tokenize the training images first: vqgen tokenize --run ${run}`;
  const { condition } = existsSync(file) ? await readTokens(file, next) : { condition: undefined };
  if (condition?.labels) return condition.labels;
  throw expected('the colours of training maps', file, 'none', next);
}

/** What is told of a batch, [n · G]. @throws UserError for a colour that no training map has */
export function toldOf({ conditioner }: Teller, { images, maps, names }: EvalBatch): Int32Array {
  const shown = maps ?? images;
  const { height, width } = conditioner.record.grid;
  const told = int32([names.length, height * width]);
  for (const [i, name] of names.entries()) {
    const image = imageAt(shown, i);
    if (maps) checkColours(image, conditioner, name);
    told.data.set(conditioner.codes(image), i * height * width);
  }
  return told.data as Int32Array;
}

/** @throws UserError for a map with a colour that no training map has */
export function checkColours(map: Float32Array, { record }: Conditioner, name: string): void {
  const { labels = [] } = record;
  const strange = strangers(map, labels);
  if (strange.length === 0) return;
  throw expected(
    `a map of the colours ${labels.map(({ colour }) => colour).join(', ')}`,
    name,
    strange.length > 8
      ? `${strange.slice(0, 8).join(', ')} and ${strange.length - 8} more`
      : strange.join(', '),
    'The maps of the training images have no other.',
  );
}
