/** The prior that `evaluate` measures, and what tells it of the images. */
import { UserError } from '../base/errors.js';
import { must } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { runPaths } from '../checkpoint/run.js';
import { hasCheckpoint } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import type { Subset } from '../data/dataset.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { mapsFor } from '../data/maps.js';
import type { Device } from '../engine/device.js';
import { loadModels, type TrainedPrior } from '../stage2-transformer/model.js';
import { openConditioner } from '../tokenize/conditions/index.js';
import type { Teller } from '../tokenize/told.js';

export interface Measured {
  readonly prior: TrainedPrior;
  /** What it is told is computed from the images, or read from their maps; left out, it is told nothing of them. */
  tell?(device: Device): Promise<Teller>;
}

interface Options {
  readonly run: string;
  /** The folder of images, where it is not the run's. */
  readonly data?: string;
  readonly reporter: Reporter;
}

/**
 * Where the run has one for its present tokenizer that can be told of the images or need not be; that there is none,
 * or that it is told nothing, is said.
 *
 * @throws UserError for maps that do not fit the images
 */
export async function findPrior(config: Config, subset: Subset, o: Options): Promise<Measured | undefined> {
  const { run, reporter } = o;
  if (!hasCheckpoint(runPaths(run).prior)) {
    reporter.note('The run has no prior: its likelihoods and samples are left out.');
    return undefined;
  }
  let prior: TrainedPrior;
  try {
    prior = (await loadModels(run, reporter)).prior;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    reporter.warn(`Likelihoods and samples are left out. ${error.message}`);
    return undefined;
  }
  const { told } = prior;
  if (!told) return { prior };
  const batch = inferenceBatch(told.size);
  const opened = async (device: Device) => openConditioner(told, { run, device, batch, reporter });
  if (told.kind !== 'maps') return { prior, tell: async (device) => ({ conditioner: await opened(device) }) };
  const dir = config.prior.condition.val_maps ?? config.prior.condition.maps;
  if (o.data === undefined && dir !== null) {
    const maps = await mapsOf(subset, dir, told.tokenizer?.pictures, { config, reporter });
    return { prior, tell: async (device) => ({ conditioner: await opened(device), maps }) };
  }
  const why = o.data === undefined ? 'prior.condition.maps names none' : 'those of --data have none';
  if (config.prior.class_dropout > 0) {
    reporter.note(`Of images without maps the prior is told nothing: ${why}.`);
    return { prior };
  }
  const next =
    dir === null
      ? `This keeps a folder of them: vqgen tokenize --run ${run} --set prior.condition.maps=FOLDER`
      : `With its own: vqgen evaluate --run ${run}`;
  reporter.warn(
    `Likelihoods and samples are left out: the prior never learned to draw without maps, and ${why}. ${next}`,
  );
  return undefined;
}

async function mapsOf(
  { source, indices }: Subset,
  dir: string,
  kind: Parameters<typeof mapsFor>[2]['kind'] = 'labels',
  { config, reporter }: { config: Config; reporter: Reporter },
) {
  const names = indices.map((i) => must(source.names[i], 'name'));
  const where = `prior.condition.${config.prior.condition.val_maps === null ? 'maps' : 'val_maps'}`;
  return mapsFor(names, dir, { all: source.names, kind, where, reporter });
}
