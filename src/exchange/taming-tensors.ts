/** The tensors of a run's models under the names and in the layout of taming-transformers. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { must } from '../base/lookup.js';
import { stream } from '../base/rng.js';
import { type HostTensor, type HostTensors, sizeOf } from '../base/tensor.js';
import { readChecked } from '../checkpoint/content-sum.js';
import { openSafetensors, type StoredTensors, toHost, toHosts } from '../checkpoint/safetensors.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { withoutOrders } from '../stage2-transformer/gpt/orders.js';
import { foldStart } from '../stage2-transformer/gpt/sequences.js';
import type { Kept } from './kept.js';
import { writtenLpips } from './lpips.js';
import { spreadPlace } from './places.js';
import { condStage, firstStage } from './taming-config.js';
import {
  attentionMasks,
  discriminatorPlaces,
  type PublishedPrior,
  type PublishedTokenizer,
  priorPlaces,
  publishedTokenizer,
  runningStatistics,
  tokenizerPlaces,
} from './taming-names.js';
import type { Written } from './torch-write.js';

export type Tensors = [name: string, tensor: Written][];

const stored = ({ dtype, shape, data }: HostTensor): Written => ({
  dtype: dtype === 'int32' ? 'I32' : 'F32',
  shape,
  data,
});

/** What a tokenizer keeps, or what one of vqgen's would, without the prefix of a transformer's part. */
export function keptTokenizer(
  config: Config,
  kept: Kept<PublishedTokenizer> | undefined,
): Kept<PublishedTokenizer> {
  if (!kept) return { published: publishedTokenizer(config), tensors: projection(config) };
  const bare = (name: string) =>
    [firstStage, condStage].reduce(
      (left, part) => (left.startsWith(part) ? left.slice(part.length) : left),
      name,
    );
  const tensors = Object.entries(kept.tensors).map(([name, t]) => [bare(name), t]);
  return { published: kept.published, tensors: Object.fromEntries(tensors) };
}

/** Of labels: the random colours in which the published class shows them. */
function projection({ data: { pictures, labels }, seed }: Config): StoredTensors {
  if (pictures !== 'labels') return {};
  const rng = stream(seed, 'colorize');
  const values = Float32Array.from({ length: 3 * labels.length }, () => rng.normal());
  return { colorize: { dtype: 'F32', shape: [3, labels.length, 1, 1], data: values } };
}

/** @param prefix of what comes out */
export function tokenizerTensors(
  config: Config,
  weights: HostTensors,
  { published, tensors }: Kept<PublishedTokenizer>,
  prefix = '',
): Tensors {
  const found: Tensors = tokenizerPlaces(config, published).flatMap((place) =>
    Object.entries(spreadPlace(place, must(weights[place.ours.name], place.ours.name), tensors)).map(
      ([name, t]): [string, Written] => [prefix + name, stored(t)],
    ),
  );
  const { used } = published;
  if (used) {
    const data = BigInt64Array.from(used, BigInt);
    found.push([`${prefix}quantize.used`, { dtype: 'I64', shape: [used.length], data }]);
  }
  for (const [name, t] of Object.entries(tensors))
    if (name === 'colorize' || (published.loss && name.startsWith('loss.'))) found.push([prefix + name, t]);
  return found;
}

/** Discriminator, its statistics and LPIPS; nothing where one of the two is missing, or pictures are no photographs. */
export async function lossTensors(
  { data, stage1: { disc, perceptual } }: Config,
  { path: folder }: TrainedModel,
  kept: StoredTensors,
): Promise<Tensors | undefined> {
  if (data.pictures !== 'photographs') return undefined;
  if (disc.weight === 0 || disc.norm !== 'batch' || perceptual.kind !== 'lpips-vgg16') return undefined;
  if (!perceptual.weights || !existsSync(perceptual.weights)) return undefined;
  const file = await openSafetensors(path.join(folder, 'model.safetensors'));
  const found: Tensors = [];
  try {
    for (const place of discriminatorPlaces(disc)) {
      const weights = toHost(await file.read(`disc.${place.ours.name}`));
      for (const [name, t] of Object.entries(spreadPlace(place, weights, {}))) found.push([name, stored(t)]);
    }
  } finally {
    await file.close();
  }
  for (const { name, shape } of runningStatistics(disc)) found.push([name, kept[name] ?? fresh(name, shape)]);
  const lpips = toHosts((await readChecked(perceptual.weights)).tensors);
  for (const [name, t] of Object.entries(writtenLpips(lpips, 'loss.perceptual_loss.')))
    found.push([name, stored(t)]);
  return found;
}

/** What BatchNorm begins with. */
function fresh(name: string, shape: readonly number[]): Written {
  if (name.endsWith('num_batches_tracked')) return { dtype: 'I64', shape, data: new BigInt64Array(1) };
  return {
    dtype: 'F32',
    shape,
    data: new Float32Array(sizeOf(shape)).fill(name.endsWith('running_var') ? 1 : 0),
  };
}

/** As which a prior goes that was trained in many orders: it draws in one. */
export const rowByRow = (config: Config): Config => ({
  ...config,
  prior: { ...config.prior, order: 'raster' },
});

/** @param grids of its canvas, those that are told first */
export function priorTensors(
  config: Config,
  weights: HostTensors,
  { published, tensors }: Kept<PublishedPrior>,
  grids: readonly Grid[],
): Tensors {
  const read = config.prior.order === 'annealed' ? withoutOrders(weights) : weights;
  const folded = foldStart(read, Math.max(...grids.map(({ vocab }) => vocab)), published);
  const found: Tensors = priorPlaces(rowByRow(config), published, grids).flatMap((place) =>
    Object.entries(spreadPlace(place, must(folded[place.ours.name], place.ours.name), tensors)).map(
      ([name, t]): [string, Written] => [name, stored(t)],
    ),
  );
  const { block } = published;
  const mask = Float32Array.from({ length: block * block }, (_, i) =>
    i % block <= Math.floor(i / block) ? 1 : 0,
  );
  for (const { name, shape } of attentionMasks(config, published))
    found.push([name, { dtype: 'F32', shape, data: mask }]);
  return found;
}
