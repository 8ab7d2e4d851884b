/**
 * The first pass: every image of a folder through the tokenizer, each measure as it comes by. What is in memory does
 * not grow with the folder.
 */

import { createHash } from 'node:crypto';
import { notFinite } from '../base/errors.js';
import { must, take } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { firstAxis, float32, type HostTensor, type HostTensors } from '../base/tensor.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { streamEvalImages } from '../data/batches.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import { shareAlike } from '../data/map-labels.js';
import { colourShifts } from '../data/mean-colour.js';
import { type Pattern, patternOf, Spectrum } from '../data/pattern.js';
import { toBytes } from '../data/pictures.js';
import { psnr } from '../data/psnr.js';
import type { Skipped } from '../data/source.js';
import type { Device, Graph, GraphProgram } from '../engine/device.js';
import type { Perceptual } from '../perceptual/distances.js';
import { loadPerceptual, loadTrainedFeatures } from '../perceptual/load.js';
import { endToEnd } from '../stage1-vqgan/grids.js';
import { gridsOf, modelOf } from '../stage1-vqgan/model.js';
import { reconstructProgram } from '../stage1-vqgan/programs.js';
import { type Canvas, unknown } from '../stage2-transformer/canvas.js';
import type { TrainedPrior } from '../stage2-transformer/model.js';
import { maskedPercents } from '../stage2-transformer/prior.js';
import { labelsAmong } from '../stage2-transformer/sequences.js';
import { frozenEvaluation } from '../stage2-transformer/step.js';
import { drawnGrids, untoldCodes, withTold } from '../stage2-transformer/told.js';
import { type Teller, toldOf } from '../tokenize/told.js';
import { type BookUse, countCodes, noUse } from '../train/book-use.js';
import { type BoundMeasures, openBound } from './bound.js';
import type { FeatureSpace } from './features.js';
import { Moments } from './frechet.js';
import { SSIM_WINDOW, ssim } from './ssim.js';

export interface FolderOptions {
  readonly config: Config;
  readonly subset: Subset;
  readonly tokenizer: TrainedModel;
  /** Left out, nothing is said of codes' likelihoods. */
  readonly prior?: TrainedPrior;
  /** Tells it of the images; left out, it is told nothing. */
  readonly teller?: Teller;
  readonly space: FeatureSpace;
  /** Of how many images, spread evenly over the folder, features are kept. */
  readonly keep: number;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

export interface FolderResult {
  readonly images: number;
  readonly skipped: readonly Skipped[];
  /** Means over images; `psnr` in dB, `ssim` null for images below its window. */
  readonly psnr: number;
  readonly ssim: number | null;
  readonly perceptual: number;
  readonly perceptualNetwork: string;
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
  /** What was told of the kept images, [G], and their labels, `unknown` of no class that the prior knows. */
  readonly told: readonly { readonly codes: Int32Array; readonly label: number }[];
  readonly originals: Moments;
  readonly reconstructions: Moments;
  /** Features [n, F] of the kept images, and of their reconstructions. */
  readonly kept: { readonly originals: Float32Array; readonly reconstructions: Float32Array };
  /** See `Statistics`. */
  readonly digest: string;
}

/** Images among which a pattern is looked for, at most. */
export const mostAnalysed = 300;

/** @throws UserError when no image can be read */
export async function measureFolder(o: FolderOptions): Promise<FolderResult> {
  const { config, subset, teller, space, reporter, signal } = o;
  const { size, pictures } = config.data;
  const labelled = pictures === 'labels';
  const told: { codes: Int32Array; label: number }[] = [];
  const batch = inferenceBatch(size);
  const { network, name } = await perceptualNetwork(config);
  const graphs = await prepareAll(o, batch, network);
  const total = subset.indices.length;
  const progress = reporter.progress({ label: 'Evaluate', total, unit: 'images' });
  const chosen = spread(total, o.keep);
  const analysed = spread(total, mostAnalysed);
  const spectra = { real: new Spectrum(size), made: new Spectrum(size) };
  const shifts: number[] = [];
  const skipped: Skipped[] = [];
  const bound = await openBound(config, o.tokenizer.tensors, { batch, device: o.device });
  const grids = gridsOf(config);
  const uses = noUse(grids);
  const originals = new Moments(space.width);
  const reconstructions = new Moments(space.width);
  const kept = { originals: [] as Float32Array[], reconstructions: [] as Float32Array[] };
  const digest = createHash('sha256');
  const sums = { psnr: 0, ssim: 0, perceptual: 0, alike: 0, nats: 0, masked: new Array<number>(0) };
  if (o.prior?.model.maskedBy) sums.masked = maskedPercents.map(() => 0);
  let images = 0;
  try {
    for await (const seen of streamEvalImages(subset, {
      ...{ size, batchSize: batch, skipped, signal },
      maps: teller?.maps && ((name, picture) => must(teller.maps, 'maps').of(name, picture)),
    })) {
      const { images: real, labels } = seen;
      const n = firstAxis(real);
      const passed = await graphs.reconstruct.run({ images: padBatch(real, batch) });
      const made = rounded(first(passed.reconstruction, n));

      const [realBytes, madeBytes] = [toBytes(real), toBytes(made)];
      const area = size * size * 3;
      digest.update(realBytes);
      for (let i = 0; i < n; i++) {
        const part = (bytes: Uint8Array) => bytes.subarray(i * area, (i + 1) * area);
        sums.psnr += psnr(imageAt(real, i), imageAt(made, i));
        if (labelled) sums.alike += shareAlike(part(realBytes), part(madeBytes));
        if (size >= SSIM_WINDOW) sums.ssim += ssim(part(realBytes), part(madeBytes), size);
        if (!analysed.has(images + i)) continue;
        spectra.real.add(part(realBytes));
        spectra.made.add(part(madeBytes));
      }
      shifts.push(...colourShifts(realBytes, madeBytes, size));
      // Empty places are alike on both sides and add nothing to the mean.
      const compared = await graphs.compare.run({ x: padBatch(real, batch), y: padBatch(made, batch) });
      sums.perceptual += compared.distance.data[0]! * batch;

      const codes = grids.map(({ name }) => must(passed[name], name).data);
      countCodes(
        uses,
        codes.map((all) => all.subarray(0, (all.length / batch) * n)),
      );
      const names = take(subset.source.classes, labels);
      await bound?.add(padBatch(real, batch), names, n);
      if (graphs.prior && o.prior) {
        const known = labelsAmong(o.prior.classes, { labels, classes: subset.source.classes });
        const rows = teller ? inRows(await toldOf(teller, seen), known.length) : [];
        for (const [i, codes] of rows.entries())
          if (chosen.has(images + i)) told.push({ codes, label: known[i] ?? unknown });
        const canvas = canvasOf(o.prior, passed, known, rows);
        const { model } = o.prior;
        const ask = (inputs: HostTensors = {}) => natsOf(must(graphs.prior, 'prior'), inputs, known.length);
        sums.nats += await ask(model.feed('eval', images, canvas).batched);
        if (model.maskedBy)
          for (const [i, percent] of maskedPercents.entries())
            sums.masked[i]! += await ask(model.maskedBy(percent, images, canvas));
      }

      const features = { real: await space.extract(real), made: await space.extract(made) };
      originals.add(features.real);
      reconstructions.add(features.made);
      for (let i = 0; i < n; i++) {
        if (!chosen.has(images + i)) continue;
        kept.originals.push(row(features.real, i, space.width));
        kept.reconstructions.push(row(features.made, i, space.width));
      }
      images += n;
      progress.update(images + skipped.length);
    }
  } finally {
    progress.stop();
    for (const graph of Object.values(graphs)) await graph.dispose();
    await bound?.dispose();
  }
  return {
    images,
    skipped,
    psnr: sums.psnr / images,
    ssim: size >= SSIM_WINDOW ? sums.ssim / images : null,
    perceptual: sums.perceptual / images,
    perceptualNetwork: name,
    ...(labelled && { labelAccuracy: sums.alike / images }),
    pattern: labelled ? undefined : patternOf(spectra.real, spectra.made),
    spectrum: spectra.real,
    colourShifts: labelled ? [] : shifts,
    uses,
    bound: bound?.measures(),
    ...(o.prior && {
      nats: sums.nats / images,
      natsMasked: sums.masked.map((sum) => sum / images),
    }),
    told,
    originals,
    reconstructions,
    kept: {
      originals: joined(kept.originals, space.width),
      reconstructions: joined(kept.reconstructions, space.width),
    },
    digest: digest.digest('hex'),
  };
}

/**
 * LPIPS where the run has it; else the network that comes with vqgen, whatever the run was trained with: runs stay
 * comparable.
 */
async function perceptualNetwork(config: Config): Promise<{ network: Perceptual; name: string }> {
  const { kind } = config.stage1.perceptual;
  const own = kind === 'lpips-vgg16' ? await loadPerceptual(config) : undefined;
  if (own) return { network: own, name: kind };
  const network = await loadTrainedFeatures(config.data.size);
  return { network, name: network.name };
}

type Graphs = {
  readonly reconstruct: Graph<'images', 'reconstruction'>;
  readonly compare: Graph<'x' | 'y', 'distance'>;
  readonly prior?: Graph<never, 'loss'>;
};

async function prepareAll(o: FolderOptions, batch: number, network: Perceptual): Promise<Graphs> {
  const { config, device, prior, tokenizer } = o;
  const prepared: Record<string, Graph> = {};
  try {
    prepared.reconstruct = await device.prepare(
      reconstructProgram(modelOf(config), tokenizer.tensors, batch),
    );
    prepared.compare = await device.prepare(compareProgram(network, config.data.size, batch));
    if (prior) {
      const program = frozenEvaluation(prior.model, prior.tensors, { batch, precision: 'f32' });
      prepared.prior = await device.prepare(program);
    }
    return prepared as Graphs;
  } catch (error) {
    for (const graph of Object.values(prepared)) await graph.dispose();
    throw error;
  }
}

/** `x`, `y` [B, S, S, 3] → `distance`, the mean over the batch. */
function compareProgram(
  network: Perceptual,
  size: number,
  batch: number,
): GraphProgram<'x' | 'y', 'distance'> {
  const images = { shape: [batch, size, size, 3], dtype: 'float32' } as const;
  return {
    name: 'compare',
    inputs: { x: images, y: images },
    constants: network.constants,
    run: ({ x, y }, constants) => ({ distance: network.distance(constants, x, y) }),
  };
}

const inRows = (all: Int32Array, rows: number): Int32Array[] =>
  Array.from({ length: rows }, (_, i) => all.slice((i * all.length) / rows, ((i + 1) * all.length) / rows));

/** The codes of a batch of images, of which the first have labels. @param told of the first, nothing of the others */
function canvasOf(
  { model }: TrainedPrior,
  codes: HostTensors,
  known: Int32Array,
  told: readonly Int32Array[],
): Canvas {
  const batch = firstAxis(must(Object.values(codes)[0], 'codes'));
  const labels = new Int32Array(batch).fill(unknown);
  labels.set(known);
  const canvas = { codes: endToEnd(drawnGrids(model), codes), labels };
  const nothing = untoldCodes(model.condition.grids);
  const before = Array.from({ length: batch }, (_, i) => [...(told[i] ?? nothing)]).flat();
  return before.length > 0 ? withTold(before, canvas) : canvas;
}

/** Sum over the first `images` of a batch of their nats per token. */
async function natsOf(graph: Graph<never, 'loss'>, inputs: HostTensors, images: number): Promise<number> {
  const { loss } = await graph.run(inputs);
  const sum = (loss.data as Float32Array).subarray(0, images).reduce((sum, v) => sum + v, 0);
  if (Number.isNaN(sum)) throw notFinite('likelihoods');
  return sum;
}

/** What an 8-bit picture holds of images in about [−1, 1]: all that anybody will see of them. */
export function rounded(images: HostTensor): HostTensor {
  return float32(
    images.shape,
    Float32Array.from(toBytes(images), (byte) => byte / 127.5 - 1),
  );
}

/** n of `count` positions, spread evenly; all where there are fewer. */
export function spread(count: number, n: number): Set<number> {
  return new Set(
    Array.from({ length: Math.min(count, n) }, (_, i) => Math.floor((i * count) / Math.min(count, n))),
  );
}

/** The first n of [B, …]. */
function first(t: HostTensor, n: number): HostTensor {
  const each = t.data.length / firstAxis(t);
  return float32([n, ...t.shape.slice(1)], (t.data as Float32Array).subarray(0, each * n));
}

const row = (features: Float32Array, i: number, width: number): Float32Array =>
  features.slice(i * width, (i + 1) * width);

function joined(rows: readonly Float32Array[], width: number): Float32Array {
  const all = new Float32Array(rows.length * width);
  for (const [i, values] of rows.entries()) all.set(values, i * width);
  return all;
}
