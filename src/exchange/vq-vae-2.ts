/**
 * VQ-VAE-2 in PyTorch as most checkpoints have it (github.com/rosinality/vq-vae-2-pytorch, vqvae.py, class VQVAE) → a
 * run. Its layers are those of `network: strided` and `bottleneck.kind: hierarchy`, so that both compute the same.
 */
import { expected } from '../base/errors.js';
import { writeFolderAtomic } from '../base/files.js';
import { must } from '../base/lookup.js';
import { firstAxis, type HostTensors } from '../base/tensor.js';
import { runPaths, writeRunConfig } from '../checkpoint/run.js';
import { saveWeights } from '../checkpoint/store.js';
import { loadConfig } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { imageSplits } from '../data/dataset.js';
import { over, type ParamSpec, specsOf } from '../nn/params.js';
import { innerChannels } from '../stage1-vqgan/autoencoder/strided.js';
import { modelSpecs } from '../stage1-vqgan/model.js';
import { namesIn, recordPictures } from '../stage1-vqgan/same-pictures.js';
import { startsOf } from '../stage1-vqgan/starts.js';
import { checkPlaces, fetchPlace, type Named, type Place } from './places.js';
import { type Overrides, type Shapes, shapesOf } from './taming-config.js';
import { imageLayer } from './taming-names.js';
import type { TensorFile } from './torch-file.js';

/** The sides of the pictures that it was published for, which no shape tells. */
const publishedSize = 256;

/** Strided layers before the residual blocks of `enc_b`. */
const halvings = 2;

export const isVqVae2 = (file: Pick<TensorFile, 'entries'>): boolean =>
  shapesOf(file)('enc_b.blocks.0.weight') !== undefined;

interface Options {
  readonly checkpoint: string;
  readonly run: string;
  readonly config?: string;
  readonly size?: number;
  readonly set?: readonly string[];
  readonly data?: string;
}

/**
 * @throws UserError, having written nothing, for a file whose tensors are not those of such a model, or of one that
 * vqgen has no form of
 */
export async function importVqVae2(
  file: TensorFile,
  o: Options,
): Promise<{ config: Config; parameters: number }> {
  if (o.config !== undefined)
    throw expected('no YAML', '--config', o.config, `The tensors of ${o.checkpoint} say all of a VQVAE.`);
  const config = loadConfig({ config: 'vq-vae-2', set: o.set, overrides: overridesOf(shapesOf(file), o) });
  const places = vqVae2Places(config);
  const theirs = places.flatMap(({ theirs }) => theirs);
  checkPlaces([...theirs, ...averages(config)], file, {
    file: o.checkpoint,
    what: `a VQVAE of ${2 * config.stage1.ch} channels`,
    next: 'Its layers must be those of vqvae.py.',
  });
  const model: HostTensors = {};
  for (const place of places) model[place.ours.name] = await fetchPlace(place, file.read);
  const images = await imageSplits(config.data);
  await writeFolderAtomic(
    o.run,
    async (run) => {
      await writeRunConfig(run, config, o.run);
      await recordPictures(run, config.data, namesIn(images));
      const weights = over('model', model);
      await saveWeights(runPaths(run).stage1, weights, {
        step: config.stage1.steps,
        kept: { ...startsOf(config) },
      });
    },
    { fresh: true },
  );
  return { config, parameters: Object.values(model).reduce((sum, { data }) => sum + data.length, 0) };
}

/** What its shapes say. */
function overridesOf(shape: Shapes, o: Options): Overrides {
  const [channels = 0] = shape(`enc_b.blocks.${2 * halvings}.weight`) ?? [];
  let blocks = 0;
  const inside = (block: number) => shape(`enc_b.blocks.${2 * halvings + 1 + block}.conv.1.weight`);
  while (inside(blocks)) blocks++;
  const [inner = innerChannels(channels)] = inside(0) ?? [];
  if (inner !== innerChannels(channels)) {
    throw expected(
      `residual blocks with a quarter of the ${channels} channels inside`,
      o.checkpoint,
      `${inner} of them`,
      'Others have no form in vqgen.',
    );
  }
  const level = (name: string) => {
    const [width, codes] = shape(`quantize_${name}.embed`) ?? [];
    return { kind: 'ema', codes: codes ?? null, embed_dim: width ?? null };
  };
  return {
    'data.size': o.size ?? publishedSize,
    'data.dir': o.data ?? null,
    'stage1.ch': channels / 2,
    'stage1.ch_mult': [1, 2, 2],
    'stage1.num_res_blocks': blocks,
    'stage1.bottleneck.levels': [level('t'), level('b')],
    'stage1.steps': 1,
  };
}

/** The names of ours as a checkpoint's `model.` has them, without it. */
export function vqVae2Places(config: Config): Place[] {
  const { num_res_blocks } = config.stage1;
  return Object.entries(specsOf(modelSpecs(config))).map(([name, spec]) => {
    const book = /^bottleneck\.(top|bottom)\.codebook$/.exec(name)?.[1];
    if (book === undefined) return imageLayer(name, theirName(name, num_res_blocks), spec);
    return codebookPlace(name, `quantize_${book[0]}.embed`, spec);
  });
}

/** Codes [K, D], theirs [D, K]. */
function codebookPlace(name: string, theirs: string, { shape }: ParamSpec): Place {
  return {
    ours: { name, shape },
    theirs: [{ name: theirs, shape: shape.toReversed() }],
    order: 'columns',
  };
}

function theirName(name: string, blocks: number): string {
  const [, module = '', layer = ''] =
    /^(encoder|decoder|bottleneck\.(?:top|bottom)\.\w+)\.(.+)$/.exec(name) ?? [];
  const narrowing = (module: string, count: number) => `${module}.blocks.${narrowingLayer(layer, count)}`;
  const widening = (module: string) => `${module}.blocks.${wideningLayer(layer, blocks)}`;
  const names: Record<string, string> = {
    encoder: narrowing('enc_b', halvings),
    'bottleneck.top.encode': narrowing('enc_t', 1),
    'bottleneck.top.project': `quantize_conv_t.${layer}`,
    'bottleneck.bottom.decode': widening('dec_t'),
    'bottleneck.bottom.project': `quantize_conv_b.${layer}`,
    'bottleneck.bottom.enlarge': `upsample_t.${layer}`,
    decoder: widening('dec'),
  };
  return must(names[module], `place of ${name}`);
}

/** Places in a sequence in which a ReLU follows each halving: its residual blocks have two convolutions, 1 and 3. */
const narrowingLayer = (layer: string, count: number): string =>
  layer
    .replace(/^halvings\.(\d+)/, (_, i) => `${2 * Number(i)}`)
    .replace(/^conv_out/, `${2 * count}`)
    .replace(
      /^blocks\.(\d+)\.conv([12])/,
      (_, i, n) => `${2 * count + 1 + Number(i)}.conv.${2 * Number(n) - 1}`,
    );

/** Likewise; a ReLU stands behind the blocks and behind each doubling but the last. */
const wideningLayer = (layer: string, blocks: number): string =>
  layer
    .replace(/^conv_in/, '0')
    .replace(/^blocks\.(\d+)\.conv([12])/, (_, i, n) => `${1 + Number(i)}.conv.${2 * Number(n) - 1}`)
    .replace(/^doublings\.(\d+)/, (_, i) => `${blocks + 2 + 2 * Number(i)}`);

/** What its averages are made of; the codes are all that encodes and decodes. */
function averages(config: Config): Named[] {
  return vqVae2Places(config)
    .filter(({ ours }) => ours.name.endsWith('codebook'))
    .flatMap(({ ours, theirs: [book] }) => {
      const { name, shape } = must(book, 'codebook');
      const quantiser = name.replace(/\.embed$/, '');
      return [
        { name: `${quantiser}.cluster_size`, shape: [firstAxis(ours)] },
        { name: `${quantiser}.embed_avg`, shape },
      ];
    });
}
