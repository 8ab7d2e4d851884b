/** Measures of a folder's images, from what came of each batch. */
import type { Config } from '../config/schema.js';
import { type Pattern, patternOf, Spectrum } from '../data/pattern.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { type BookUse, countCodes, noUse } from '../train/book-use.js';
import { type BoundMeasures, BoundSums } from './bound.js';
import { Moments } from './frechet.js';
import { type FolderBatch, spread } from './observe.js';

export interface FolderResult {
  readonly images: number;
  /** Means over images; `psnr` in dB, `ssim` null for images below its window. */
  readonly psnr: number;
  readonly ssim: number | null;
  readonly perceptual: number;
  /** Of label maps: share of the pixels that are of their colour again. */
  readonly labelAccuracy?: number;
  /** Of reconstructions; see `Pattern`. */
  readonly pattern?: Pattern;
  /** Of the originals among which it was measured. */
  readonly spectrum: Spectrum;
  /** Of each image; see `colourShifts`. */
  readonly colourShifts: readonly number[];
  /** Of each grid's book; none where latents are numbers. */
  readonly uses: readonly BookUse[];
  /** Of a VAE. */
  readonly bound?: BoundMeasures;
  /** Nats per token, mean. */
  readonly nats?: number;
  /**
   * The same of a prior that draws anywhere where `maskedPercents` of the cells are masked, of masked ones; else
   * empty.
   */
  readonly natsMasked?: readonly number[];
  readonly originals: Moments;
  readonly reconstructions: Moments;
  /** Features [n, F] of the kept images, and of their reconstructions. */
  readonly kept: { readonly originals: Float32Array; readonly reconstructions: Float32Array };
}

/**
 * @param batches in the order of the folder: sums come out the same whoever computed them
 * @param o.total images that were listed. @param o.width of features
 * @param o.keep of how many images, spread evenly over the folder, features are kept
 */
export async function measureFolder(
  batches: AsyncIterable<FolderBatch>,
  o: { config: Config; total: number; keep: number; width: number },
): Promise<FolderResult> {
  const { config, width } = o;
  const { size, pictures } = config.data;
  const chosen = spread(o.total, o.keep);
  const spectra = { real: new Spectrum(size), made: new Spectrum(size) };
  const shifts: number[] = [];
  const bound = new BoundSums(config);
  const grids = gridsOf(config);
  const uses = noUse(grids);
  const [originals, reconstructions] = [new Moments(width), new Moments(width)];
  const kept = { originals: [] as Float32Array[], reconstructions: [] as Float32Array[] };
  const sums = { psnr: 0, ssim: 0, alike: 0, perceptual: 0 };
  const nats: number[] = [];
  const measured = { ssim: false, alike: false };
  let images = 0;
  for await (const batch of batches) {
    const n = batch.places.length;
    for (const key of ['psnr', 'ssim', 'alike', 'perceptual'] as const)
      for (const value of batch[key]) sums[key] += value;
    measured.ssim ||= batch.ssim.length > 0;
    measured.alike ||= batch.alike.length > 0;
    for (const [i, value] of batch.nats.entries()) nats[i] = (nats[i] ?? 0) + value;
    spectra.real.add(batch.realPixels);
    spectra.made.add(batch.madePixels);
    shifts.push(...batch.shifts);
    countCodes(uses, codesIn(batch, grids));
    bound.add(batch);
    originals.add(batch.real);
    reconstructions.add(batch.made);
    for (const [i, place] of batch.places.entries()) {
      if (!chosen.has(place)) continue;
      kept.originals.push(row(batch.real, i, width));
      kept.reconstructions.push(row(batch.made, i, width));
    }
    images += n;
  }
  const [whole, ...masked] = nats.map((sum) => sum / images);
  return {
    images,
    psnr: sums.psnr / images,
    ssim: measured.ssim ? sums.ssim / images : null,
    perceptual: sums.perceptual / images,
    ...(measured.alike && { labelAccuracy: sums.alike / images }),
    pattern: pictures === 'labels' ? undefined : patternOf(spectra.real, spectra.made),
    spectrum: spectra.real,
    colourShifts: shifts,
    uses,
    bound: bound.measures(),
    ...(whole !== undefined && { nats: whole, natsMasked: masked }),
    originals,
    reconstructions,
    kept: {
      originals: joined(kept.originals, width),
      reconstructions: joined(kept.reconstructions, width),
    },
  };
}

/** Of each grid. */
function codesIn({ places, codes }: FolderBatch, grids: ReturnType<typeof gridsOf>): Int32Array[] {
  let at = 0;
  return grids.map(({ height, width }) => {
    const from = at;
    at += places.length * height * width;
    return codes.subarray(from, at);
  });
}

const row = (features: Float32Array, i: number, width: number): Float32Array =>
  features.slice(i * width, (i + 1) * width);

function joined(rows: readonly Float32Array[], width: number): Float32Array {
  const all = new Float32Array(rows.length * width);
  for (const [i, values] of rows.entries()) all.set(values, i * width);
  return all;
}
