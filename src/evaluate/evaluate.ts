/** `vqgen evaluate`: how well a run's tokenizer reconstructs, its prior predicts, and its samples resemble images. */

import { patternWarning } from '../data/pattern.js';
import { describeSkipped } from '../data/source.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { drawnGrids } from '../stage2-transformer/told.js';
import { codebookUse } from '../train/book-use.js';
import { collapseWarning } from '../train/usage-watch.js';
import { type Measures, measureNames } from './features.js';
import { measureFolder } from './folder.js';
import { checkEnough, type Job, type JobOptions, withJob } from './job.js';
import { perceptualNetwork } from './observe.js';
import { computing, type Passes } from './passes.js';
import { writeStatistics } from './statistics.js';
import { priorMeasures, samplesMeasures, tokenizerMeasures, warnOfBias } from './summary.js';

export type EvaluateOptions = JobOptions;

export interface EvaluateSummary {
  readonly run: string;
  readonly data: string;
  readonly images: number;
  readonly skipped: number;
  readonly features: { readonly name: string; readonly width: number };
  /** null where no classifier was named. */
  readonly classifier: Measures | null;
  readonly tokenizer: Measures;
  /** null where the run has no prior. */
  readonly prior: Measures | null;
  readonly samples: Measures | null;
  readonly seconds: number;
}

/** From about here on a Fréchet distance takes seconds. */
const manyFeatures = 1000;

/** @throws UserError for a run without a tokenizer, a folder with fewer than two images, files that do not fit */
export async function evaluate(o: EvaluateOptions): Promise<EvaluateSummary> {
  const started = performance.now();
  const measures = await withJob(o, (job) => measure(job, computing(job, o), o));
  return { ...measures, seconds: (performance.now() - started) / 1000 };
}

/** What the passes found, in numbers. */
export async function measure(
  job: Job,
  passes: Passes,
  o: EvaluateOptions,
): Promise<Omit<EvaluateSummary, 'seconds'>> {
  const { config, subset, space, draws, n, classifier } = job;
  const { reporter } = o;
  const { width } = space;
  const found = await passes.found();
  const total = subset.indices.length;
  const folder = await measureFolder(passes.images(), { config, total, keep: draws ? n : 0, width });
  const { origin } = subset.source;
  const { skipped } = passes;
  checkEnough(folder.images, origin);
  if (skipped.length > 0) reporter.warn(describeSkipped(skipped, folder.images + skipped.length));
  const originals = folder.originals.gaussian();
  if (o.saveStats !== undefined)
    await writeStatistics(o.saveStats, {
      ...originals,
      features: space.name,
      digest: await passes.digest(),
    });
  if (width > manyFeatures) reporter.note(`Fréchet distances of ${width} features take up to a minute each.`);
  warnOfBias(measureNames(space.label).rfd, folder.images, space, reporter);
  const warning = patternWarning('Reconstructions', folder.pattern, {
    pictures: folder.spectrum.count,
    stage1: config.stage1,
  });
  if (warning) reporter.warn(warning);
  const collapse = collapseWarning(codebookUse(folder.uses));
  if (collapse) reporter.warn(collapse);
  const { name: network } = await perceptualNetwork(config);
  const prior = job.measured?.prior;
  const reference = job.reference ?? originals;
  return {
    run: o.run,
    data: origin.value,
    images: folder.images,
    skipped: skipped.length,
    features: { name: space.name, width },
    classifier:
      found && classifier
        ? { name: classifier.name, images: found.images, accuracy: found.right / found.images }
        : null,
    tokenizer: tokenizerMeasures(folder, originals, { space, network }),
    prior:
      folder.nats === undefined || !prior
        ? null
        : priorMeasures(folder, cellsIn(drawnGrids(prior.model)), config),
    samples: draws ? await samplesMeasures(job, passes, { ...o, folder, reference }) : null,
  };
}
