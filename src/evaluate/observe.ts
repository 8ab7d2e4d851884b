/**
 * The first pass: every image of a folder through the tokenizer and the networks that compare, and what comes of it, as
 * plain numbers: `folder.ts` makes measures of them. What is in memory does not grow with the folder.
 */
import { notFinite } from '../base/errors.js';
import { must, take } from '../base/lookup.js';
import type { Range } from '../base/shard.js';
import { firstAxis, float32, type HostTensor, type HostTensors } from '../base/tensor.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import { type EvalBatch, streamEvalImages } from '../data/batches.js';
import type { Subset } from '../data/dataset.js';
import { imageAt } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import { shareAlike } from '../data/map-labels.js';
import { colourShifts } from '../data/mean-colour.js';
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
import { type BoundRows, openBound } from './bound.js';
import type { FeatureSpace } from './features.js';
import { SSIM_WINDOW, ssim } from './ssim.js';

/** Images among which a pattern is looked for, at most. */
export const mostAnalysed = 300;

/** What comes of a batch of n images. Where there is nothing of a kind, it is empty. */
export interface FolderBatch extends BoundRows {
  /** [n] of the images, in the folder. */
  readonly places: Int32Array;
  /** [n] each. */
  readonly psnr: Float64Array;
  readonly ssim: Float64Array;
  /** Of label maps: share of the pixels that are of their colour again. */
  readonly alike: Float64Array;
  /** Of all but label maps; see `colourShifts`. */
  readonly shifts: Float64Array;
  /** [1], the sum over the images. */
  readonly perceptual: Float64Array;
  /** Nats per token, the sum over the images: of the codes, then of those where `maskedPercents` are masked. */
  readonly nats: Float64Array;
  /** [n, F], features. */
  readonly real: Float32Array;
  readonly made: Float32Array;
  /** 8-bit pixels of the images, and of their reconstructions, among which a pattern is looked for. */
  readonly realPixels: Uint8Array;
  readonly madePixels: Uint8Array;
  /** Grid by grid, [n, h, w] of each. */
  readonly codes: Int32Array;
}

export interface ObserveOptions {
  readonly config: Config;
  readonly subset: Subset;
  /** Which of them; all unless given. */
  readonly part?: Range;
  readonly tokenizer: TrainedModel;
  /** Left out, nothing is said of codes' likelihoods. */
  readonly prior?: TrainedPrior;
  /** Tells it of the images; left out, it is told nothing. */
  readonly teller?: Teller;
  readonly space: FeatureSpace;
  /** Receives the files that cannot be read. */
  readonly skipped: Skipped[];
  /** Called with the 8-bit pixels of each batch, [n, S, S, 3]. */
  readonly onPixels?: (pixels: Uint8Array) => void;
  readonly device: Device;
  readonly signal?: AbortSignal;
}

/** @throws UserError when no image can be read */
export async function* observeFolder(o: ObserveOptions): AsyncGenerator<FolderBatch> {
  const { config, subset, part, teller, space, skipped, signal } = o;
  const { size, pictures } = config.data;
  const labelled = pictures === 'labels';
  const batch = inferenceBatch(size);
  const { network } = await perceptualNetwork(config);
  const graphs = await prepareAll(o, batch, network);
  const analysed = spread(subset.indices.length, mostAnalysed);
  const bound = await openBound(config, o.tokenizer.tensors, { batch, device: o.device });
  const grids = gridsOf(config);
  try {
    for await (const seen of streamEvalImages(subset, {
      ...{ size, batchSize: batch, part, skipped, signal },
      maps: teller?.maps && ((name, picture) => must(teller.maps, 'maps').of(name, picture)),
    })) {
      const { images: real, labels, places } = seen;
      const n = firstAxis(real);
      const at = Math.floor(must(places[0], 'place') / batch) * batch;
      const passed = await graphs.reconstruct.run({ images: padBatch(real, batch) });
      const made = rounded(first(passed.reconstruction, n));

      const [realBytes, madeBytes] = [toBytes(real), toBytes(made)];
      o.onPixels?.(realBytes);
      const area = size * size * 3;
      const partOf = (bytes: Uint8Array, i: number) => bytes.subarray(i * area, (i + 1) * area);
      const each = (measure: (i: number) => number, taken = true) =>
        Float64Array.from({ length: taken ? n : 0 }, (_, i) => measure(i));
      const looked = places.flatMap((place, i) => (analysed.has(place) ? [i] : []));
      const pixels = (bytes: Uint8Array) => Buffer.concat(looked.map((i) => partOf(bytes, i)));
      // Empty places are alike on both sides and add nothing to the mean.
      const compared = await graphs.compare.run({ x: padBatch(real, batch), y: padBatch(made, batch) });
      const codes = grids.map(({ name }) => must(passed[name], name).data as Int32Array);
      const nothing = new Float32Array();
      yield {
        places: Int32Array.from(places),
        psnr: each((i) => psnr(imageAt(real, i), imageAt(made, i))),
        ssim: each((i) => ssim(partOf(realBytes, i), partOf(madeBytes, i), size), size >= SSIM_WINDOW),
        alike: each((i) => shareAlike(partOf(realBytes, i), partOf(madeBytes, i)), labelled),
        shifts: Float64Array.from(labelled ? [] : colourShifts(realBytes, madeBytes, size)),
        perceptual: Float64Array.of(compared.distance.data[0]! * batch),
        nats: Float64Array.from(graphs.prior ? await natsIn(graphs.prior, o, { seen, passed, at }) : []),
        real: await space.extract(real),
        made: await space.extract(made),
        realPixels: new Uint8Array(pixels(realBytes)),
        madePixels: new Uint8Array(pixels(madeBytes)),
        codes: Int32Array.from(codes.flatMap((all) => [...all.subarray(0, (all.length / batch) * n)])),
        ...((await bound?.of(padBatch(real, batch), take(subset.source.classes, labels), n, at)) ?? {
          ...{ kl: nothing, squared: nothing, away: nothing },
        }),
      };
    }
  } finally {
    for (const graph of Object.values(graphs)) await graph.dispose();
    await bound?.dispose();
  }
}

/** See `FolderBatch`. */
async function natsIn(
  graph: Graph<never, 'loss'>,
  { prior: trained, teller, subset }: ObserveOptions,
  { seen, passed, at }: { seen: EvalBatch; passed: HostTensors; at: number },
): Promise<number[]> {
  const prior = must(trained, 'prior');
  const known = labelsAmong(prior.classes, { labels: seen.labels, classes: subset.source.classes });
  const rows = teller ? inRows(await toldOf(teller, seen), known.length) : [];
  const canvas = canvasOf(prior, passed, known, rows);
  const { model } = prior;
  const ask = (inputs: HostTensors = {}) => natsOf(graph, inputs, known.length);
  const nats = [await ask(model.feed('eval', at, canvas).batched)];
  for (const percent of model.maskedBy ? maskedPercents : [])
    nats.push(await ask(model.maskedBy?.(percent, at, canvas)));
  return nats;
}

export interface ToldImage {
  /** [G] */
  readonly codes: Int32Array;
  /** `unknown` of no class that the prior knows. */
  readonly label: number;
}

/** What is told of the images at some places of a folder, as far as they can be read. */
export async function toldImages(
  { source, indices }: Subset,
  places: Iterable<number>,
  o: { prior: TrainedPrior; teller: Teller; size: number; signal?: AbortSignal },
): Promise<ToldImage[]> {
  const { prior, teller, size, signal } = o;
  const told: ToldImage[] = [];
  const subset = { source, indices: take(indices, [...places]) };
  for await (const seen of streamEvalImages(subset, {
    ...{ size, batchSize: inferenceBatch(size), skipped: [], signal },
    maps: teller.maps && ((name, picture) => must(teller.maps, 'maps').of(name, picture)),
  })) {
    const known = labelsAmong(prior.classes, { labels: seen.labels, classes: source.classes });
    const rows = inRows(await toldOf(teller, seen), known.length);
    for (const [i, codes] of rows.entries()) told.push({ codes, label: known[i] ?? unknown });
  }
  return told;
}

/**
 * LPIPS where the run has it; else the network that comes with vqgen, whatever the run was trained with: runs stay
 * comparable.
 */
export async function perceptualNetwork(config: Config): Promise<{ network: Perceptual; name: string }> {
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

async function prepareAll(o: ObserveOptions, batch: number, network: Perceptual): Promise<Graphs> {
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
