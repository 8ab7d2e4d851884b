/** The colours of a data set of label maps, found before its training. */
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import type { Config } from '../config/schema.js';
import type { Dataset, ImageSet } from '../data/dataset.js';
import {
  type Colours,
  checkColours,
  checkSeveral,
  countColours,
  describeLabels,
  labelsOf,
  mostLabels,
  tooManyColours,
} from '../data/map-labels.js';

interface Counting {
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

/**
 * The config with the colours of the training maps, the most frequent first, where it does not say them; as it is for
 * other pictures.
 *
 * @throws UserError for too many of them or a single one, and for maps with others than there are
 */
export async function withLabels(config: Config, dataset: Dataset, o: Counting): Promise<Config> {
  const { data } = config;
  if (data.pictures !== 'labels') return config;
  const dir = data.dir ?? '';
  const found = await coloursIn(dataset.train, dir, o);
  const labels = labelsOf(found);
  o.reporter.note(describeLabels(labels));
  const colours = data.labels.length > 0 ? data.labels : labels.map(({ colour }) => colour);
  const known = colours.map((colour) => ({ colour }));
  checkSeveral(known, 'data.dir', dir);
  checkColours(found, known);
  checkColours(await coloursIn(dataset.val, data.val_dir ?? dir, o), known);
  return { ...config, data: { ...data, labels: colours } };
}

async function coloursIn(set: ImageSet, dir: string, { reporter, signal }: Counting): Promise<Colours> {
  const colours: Colours = new Map();
  const progress = reporter.progress({ label: 'Counting colours', total: set.count, unit: 'maps' });
  try {
    for (const [i, name] of set.names.entries()) {
      signal?.throwIfAborted();
      const map = await set.read(i);
      countColours(colours, map.data, `${name} of ${dir}`);
      if (colours.size > mostLabels) throw tooManyColours('data.dir', dir, must(set.names[i], 'name'));
      progress.update(i + 1);
    }
  } finally {
    progress.stop();
  }
  return colours;
}
