/** The numbers of `vqgen evaluate`, from what its passes found. */
import { pairs } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import type { Config } from '../config/schema.js';
import { ninetieth } from '../data/mean-colour.js';
import { noPattern, patternOf, patternWarning } from '../data/pattern.js';
import { maskedPercents } from '../stage2-transformer/prior.js';
import { codebookUse } from '../train/book-use.js';
import { type FeatureSpace, type Measures, measureNames } from './features.js';
import type { FolderResult } from './folder.js';
import { frechetDistance, type Gaussian } from './frechet.js';
import type { Job, JobOptions } from './job.js';
import { memorising, shownPairs } from './memorising.js';
import { NEIGHBOURS, precisionRecall } from './neighbours.js';
import type { Passes } from './passes.js';
import { gatherSamples } from './samples.js';

/** @param network the perceptual one's name */
export function tokenizerMeasures(
  folder: FolderResult,
  originals: Gaussian,
  { space, network }: { space: FeatureSpace; network: string },
): Measures {
  return {
    psnr: folder.psnr,
    ssim: folder.ssim,
    perceptual: folder.perceptual,
    perceptual_network: network,
    ...(folder.labelAccuracy !== undefined && { label_accuracy: folder.labelAccuracy }),
    ...noPattern,
    ...folder.pattern,
    ...(folder.colourShifts.length > 0 && { colour_shift: ninetieth(folder.colourShifts) }),
    [measureNames(space.label).rfd]: frechetDistance(folder.reconstructions.gaussian(), originals),
    ...codebookUse(folder.uses),
    ...folder.bound,
  };
}

/** The bits of all tokens over all values of the image: a code length of the codes, not of the exact pixels. */
export function priorMeasures(
  { nats = 0, natsMasked = [] }: FolderResult,
  tokens: number,
  config: Config,
): Measures {
  const bits = nats / Math.LN2;
  return {
    loss: nats,
    bits_per_token: bits,
    bits_per_dimension: (bits * tokens) / (3 * config.data.size ** 2),
    ...(natsMasked.length > 0 && { passes_of_bound: tokens }),
    ...Object.fromEntries(
      pairs(maskedPercents.slice(0, natsMasked.length), natsMasked).map(([percent, masked]) => [
        `bits_masked_${percent}`,
        masked / Math.LN2,
      ]),
    ),
  };
}

/** @param o.reference what the samples' distance is to */
export async function samplesMeasures(
  job: Job,
  passes: Passes,
  o: JobOptions & { readonly folder: FolderResult; readonly reference: Gaussian },
): Promise<Measures> {
  const { n, space, config } = job;
  const { folder, reference, reporter } = o;
  const { width } = space;
  const { seed, settings, batches } = await passes.samples();
  const drawn = await gatherSamples(batches, { n, show: shownPairs, size: config.data.size, width });
  const names = measureNames(space.label);
  warnOfBias(names.fd, Math.min(n, reference.count), space, reporter);
  const pattern = patternOf(folder.spectrum, drawn.spectrum);
  const pictures = Math.min(folder.spectrum.count, drawn.spectrum.count);
  const warning = patternWarning('Samples', pattern, { pictures, stage1: config.stage1 });
  if (warning) reporter.warn(warning);
  return {
    n,
    seed,
    ...settings,
    ...(drawn.classified.images > 0 && {
      class_accuracy: drawn.classified.right / drawn.classified.images,
      classified: drawn.classified.images,
    }),
    ...noPattern,
    ...pattern,
    [names.fd]: frechetDistance(drawn.moments.gaussian(), reference),
    reference: o.stats ?? job.subset.source.origin.value,
    reference_images: reference.count,
    ...manifolds(drawn.features, folder.kept.originals, space),
    ...(await memorising(o, { config, space, drawn, unseen: folder.kept.reconstructions, passes })),
  };
}

/** As many samples as images of the folder: the paper's measure compares equal numbers. */
function manifolds(drawn: Float32Array, real: Float32Array, space: FeatureSpace): Measures {
  const { precision, recall } = measureNames(space.label);
  const compared = Math.min(drawn.length, real.length) / space.width;
  if (compared <= NEIGHBOURS) return { [precision]: null, [recall]: null, compared };
  const part = (rows: Float32Array) => rows.subarray(0, compared * space.width);
  const result = precisionRecall(part(real), part(drawn), space.width);
  return { [precision]: result.precision, [recall]: result.recall, compared };
}

export function warnOfBias(name: string, images: number, { width }: FeatureSpace, reporter: Reporter): void {
  if (images > width) return;
  reporter.warn(
    `${name} is of ${images} images in ${width} dimensions and too high: a covariance needs at least ${width + 1}, a number to compare some thousands.`,
  );
}
