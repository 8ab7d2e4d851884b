/** Exported ONNX files in place of a run: what `tokenize` and `sample` compute with `--model`. On the CPU. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { expected, type UserError } from '../../base/errors.js';
import { settle } from '../../base/files.js';
import { picked } from '../../base/lookup.js';
import { int32, sizeOf } from '../../base/tensor.js';
import { sha256 } from '../../checkpoint/safetensors.js';
import type { Config } from '../../config/schema.js';
import type { Graph } from '../../engine/device.js';
import { type OnnxModel, openOnnxModel, readOnnxMetadata } from '../../engine/onnx-file.js';
import { aroundMeans } from '../../sample/around-means.js';
import { numbersSource } from '../../sample/numbers-source.js';
import { type Models, priorSource } from '../../sample/prior-source.js';
import type { Source, SourceOptions } from '../../sample/source.js';
import { bottleneckOf } from '../../stage1-vqgan/bottlenecks/index.js';
import { checkCodes } from '../../stage1-vqgan/model.js';
import { fileDrawer } from '../../stage2-transformer/file-drawer.js';
import { priorFor } from '../../stage2-transformer/model.js';
import type { Tokenizer } from '../../tokenize/tokenizer.js';
import { classesIn, configIn } from '../metadata-in.js';
import { aroundClasses, fileOf, type Gaussian, portableOf } from './metadata.js';
import { fromPlanes, toPlanes } from './planes.js';

const OPTION = '--model';

/** The folder that `--model` names, or that holds the file it names. @throws UserError where there is neither */
export function exportFolder(model: string): string {
  for (const place of [path.dirname(model), model]) settle(place);
  if (!existsSync(model)) {
    throw expected(
      'a folder that vqgen export wrote',
      OPTION,
      `${model}, which does not exist`,
      'For example: vqgen export --to onnx --run checkpoints/mine',
    );
  }
  return statSync(model).isDirectory() ? model : path.dirname(model);
}

/** @throws UserError where there is no exported encoder, or it gives no codes */
export async function exportedTokenizer(model: string, threads?: number): Promise<Tokenizer> {
  const folder = exportFolder(model);
  const { file, config, tokenizer, metadata } = await described(folder, 'encoder');
  const draws = bottleneckOf(config).latent.kind !== 'plain';
  checkCodes(config, model, { option: OPTION, drawing: draws ? `${OPTION} ${model}` : '--run RUN' });
  return {
    config,
    // Half precision codes some images otherwise: another tokenizer, though its codes mean the same.
    sha256: metadata.precision === 'float32' ? tokenizer : `${tokenizer} (float16)`,
    encoder: async () => encoderGraph(await openOnnxModel(file, OPTION, threads)),
    decoder: async () => decoderGraph(await openPart(folder, 'decoder', tokenizer, threads)),
  };
}

/** What `sample` draws from. Opened, it throws UserError where a file is missing, or is of another tokenizer. */
export function exportedSource(model: string, threads?: number): (o: SourceOptions) => Promise<Source> {
  return async (o) => {
    const folder = exportFolder(model);
    const { config, tokenizer } = await described(folder, 'decoder');
    const { latent } = bottleneckOf(config);
    if (latent.kind === 'codes') return priorSource(o, await exportedModels(model, threads));
    if (latent.kind === 'plain') throw noSource(model);
    const openOf = (name: string) => openPart(folder, name, tokenizer, threads);
    return numbersSource(o, {
      config,
      weights: await sumsOf(folder, ['decoder', ...(aroundClasses(latent) ? ['means'] : [])]),
      draw: async () => {
        const means = aroundClasses(latent) ? await meansOf(latent, await openOf('means')) : [];
        return aroundMeans(means, sizeOf(latent.shape));
      },
      decoder: async () => decoderGraph(await openOf('decoder')),
    });
  };
}

const noSource = (model: string): UserError =>
  expected(
    'an export that draws',
    OPTION,
    `${model}, an autoencoder without the pictures to whose latents a Gaussian is fitted`,
    'The run draws where they are: vqgen sample --run RUN',
  );

/** Of each class, flat. */
async function meansOf({ classes, shape }: Gaussian, model: OnnxModel): Promise<Float32Array[]> {
  try {
    const labels = int32([classes.length], [...classes.keys()]);
    const { means } = picked(await model.run({ labels }), ['means']);
    const width = sizeOf(shape);
    return classes.map((_, i) => (means.data as Float32Array).slice(i * width, (i + 1) * width));
  } finally {
    await model.dispose();
  }
}

/** @throws UserError where there is no exported prior and decoder, or they are of two tokenizers */
export async function exportedModels(model: string, threads?: number): Promise<Models> {
  const folder = exportFolder(model);
  const { file, config, tokenizer, metadata } = await described(folder, 'prior');
  const prior = priorFor(config, classesIn(metadata, file));
  return {
    config,
    prior,
    weights: await sumsOf(folder, ['decoder', 'prior']),
    async open(opening) {
      const decoder = decoderGraph(await openPart(folder, 'decoder', tokenizer, threads));
      try {
        const graph = await openOnnxModel(file, OPTION, threads);
        return {
          decoder,
          drawer: fileDrawer(graph, portableOf(prior).asked, {
            ...opening,
            grids: prior.grids,
            classes: prior.condition.classes.length,
          }),
        };
      } catch (error) {
        await decoder.dispose();
        throw error;
      }
    },
  };
}

/** Of files, where they are there: what is missing is told when it is opened. */
async function sumsOf(folder: string, parts: readonly string[]): Promise<Record<string, string>> {
  const files = parts.map(fileOf).filter((name) => existsSync(path.join(folder, name)));
  return Object.fromEntries(
    await Promise.all(files.map(async (name) => [name, await sha256(path.join(folder, name))])),
  );
}

/** A file with what it says of itself. @throws UserError where it is missing or vqgen did not write it */
async function described(
  folder: string,
  name: string,
): Promise<{ file: string; config: Config; tokenizer: string; metadata: Record<string, string> }> {
  const file = path.join(folder, fileOf(name));
  const metadata = await readOnnxMetadata(file, OPTION);
  const { model, config, tokenizer } = metadata;
  if (model !== name || !config || !tokenizer) {
    throw expected(
      `the ${name} that vqgen exported`,
      OPTION,
      `${file}, which is another model`,
      'For example: vqgen export --to onnx --run checkpoints/mine',
    );
  }
  return { file, metadata, tokenizer, config: configIn(metadata, file) };
}

/** @throws UserError where it is missing, or of another tokenizer */
async function openPart(
  folder: string,
  name: string,
  tokenizer: string,
  threads?: number,
): Promise<OnnxModel> {
  const found = await described(folder, name);
  if (found.tokenizer !== tokenizer) {
    throw expected(
      'files of one export',
      OPTION,
      `${found.file}, which is of another tokenizer`,
      'Export them together.',
    );
  }
  return openOnnxModel(found.file, OPTION, threads);
}

const encoderGraph = (model: OnnxModel): Graph<'images'> => ({
  run: ({ images }) => model.run({ images: toPlanes(images) }),
  dispose: () => model.dispose(),
});

const decoderGraph = (model: OnnxModel): Graph<never, 'images'> => ({
  async run(inputs) {
    const { images } = picked(await model.run(inputs), ['images']);
    return { images: fromPlanes(images) };
  },
  dispose: () => model.dispose(),
});
