/** The colours of a data set of label maps, found before its training. */
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import type { Config } from '../config/schema.js';
import type { Dataset, ImageSet } from '../data/dataset.js';
import {
  type Colours,
  checkColours,
  countColours,
  describeLabels,
  labelsOf,
  mostLabels,
  tooManyColours,
} from '../data/map-labels.js';

/**
 * The config with the colours of the training maps, the most frequent first, where it does not say them; as it is for
 * other pictures.
 *
 * @throws UserError for too many of them, and for maps with others than there are
 */
export async function withLabels(config: Config, dataset: Dataset, reporter: Reporter): Promise<Config> {
  const { data } = config;
  if (data.pictures !== 'labels') return config;
  const dir = data.dir ?? '';
  const found = await coloursIn(dataset.train, dir);
  const labels = labelsOf(found);
  reporter.note(describeLabels(labels));
  const colours = data.labels.length > 0 ? data.labels : labels.map(({ colour }) => colour);
  const known = colours.map((colour) => ({ colour }));
  checkColours(found, known);
  checkColours(await coloursIn(dataset.val, data.val_dir ?? dir), known);
  return { ...config, data: { ...data, labels: colours } };
}

async function coloursIn(set: ImageSet, dir: string): Promise<Colours> {
  const colours: Colours = new Map();
  for (const [i, name] of set.names.entries()) {
    const map = await set.read(i);
    countColours(colours, map.data, `${name} of ${dir}`);
    if (colours.size > mostLabels) throw tooManyColours('data.dir', dir, must(set.names[i], 'name'));
  }
  return colours;
}
