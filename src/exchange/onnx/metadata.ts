/** What an exported ONNX file says of itself, in its metadata. */
import path from 'node:path';
import { expected } from '../../base/errors.js';
import type { StoredPrecision } from '../../base/half.js';
import { must } from '../../base/lookup.js';
import { version } from '../../base/root.js';
import type { TrainedModel } from '../../checkpoint/store.js';
import type { Config } from '../../config/schema.js';
import { bottleneckOf } from '../../stage1-vqgan/bottlenecks/index.js';
import type { Grid, Latent } from '../../stage1-vqgan/latent.js';
import { gridsOf } from '../../stage1-vqgan/model.js';
import type { TrainedPrior } from '../../stage2-transformer/model.js';
import type { Portable, Prior } from '../../stage2-transformer/prior.js';

export const modelNames = ['encoder', 'decoder', 'prior', 'means'] as const;
export const fileOf = (name: string): string => `${name}.onnx`;

export const license =
  'The weights are those of whoever trained them; vqgen, which wrote the file, is MIT-licensed.';

export function commonMetadata(
  config: Config,
  precision: StoredPrecision,
  tokenizer: TrainedModel,
): Record<string, string> {
  return {
    vqgen: version,
    config: JSON.stringify(withoutFolders(config)),
    precision: precision === 'f16' ? 'weights float16, computed in float32' : 'float32',
    tokenizer: tokenizer.sha256,
    tokenizer_step: `${tokenizer.step}`,
    license,
  };
}

/** Where someone's files lie is nobody else's business. */
function withoutFolders(config: Config): Config {
  const last = (file: string | null): string | null => file && path.basename(file);
  const { data, stage1, prior } = config;
  const { maps, val_maps, tokenizer } = prior.condition;
  return {
    ...config,
    data: { ...data, dir: last(data.dir), val_dir: last(data.val_dir) },
    stage1: { ...stage1, perceptual: { ...stage1.perceptual, weights: last(stage1.perceptual.weights) } },
    prior: {
      ...prior,
      condition: {
        ...prior.condition,
        ...{ maps: last(maps), val_maps: last(val_maps), tokenizer: last(tokenizer) },
      },
    },
  };
}

/** The tensors of a latent by their names: type, shape and range. */
export function latentPorts(latent: Latent): Record<string, string> {
  if (latent.kind !== 'codes') return { latent: `float32 [batch, ${latent.shape.join(', ')}]` };
  const ports = latent.grids.map(({ name, height, width, vocab }) => [
    name,
    `int64 [batch, ${height}, ${width}], 0 to ${vocab - 1}`,
  ]);
  return Object.fromEntries(ports);
}

export type Gaussian = Extract<Latent, { kind: 'gaussian' }>;

/** A latent that lies around the means of classes. */
export const aroundClasses = (latent: Latent): Gaussian | undefined =>
  latent.kind === 'gaussian' && latent.classes.length > 0 ? latent : undefined;

export function tokenizerMetadata(config: Config): Record<string, string> {
  const { latent } = bottleneckOf(config);
  return {
    images: `float32 [batch, 3, ${config.data.size}, ${config.data.size}], RGB, 0 to 1`,
    kind: latent.kind,
    ...latentPorts(latent),
    ...gridsMetadata(gridsOf(config)),
  };
}

export const meansMetadata = (latent: Gaussian): Record<string, string> => ({
  labels: `int64 [batch], 0 to ${latent.classes.length - 1}`,
  means: must(latentPorts(latent).latent, 'latent'),
  classes: JSON.stringify(latent.classes),
});

/** @param to the format, for errors. @throws UserError where no file can be the prior */
export function portableOf({ portable, described }: Prior, to = 'onnx'): Portable {
  if (portable) return portable;
  const next = '--to safetensors and --to run take it.';
  throw expected('a prior that an ONNX file can be', `--to ${to}`, described, next);
}

export const priorMetadata = ({ sha256, step, classes, model }: TrainedPrior): Record<string, string> => ({
  prior: sha256,
  prior_step: `${step}`,
  classes: JSON.stringify(classes),
  ...gridsMetadata(model.grids),
  ...portableOf(model).metadata,
});

/** Of several grids their names, sizes and numbers of codes, in the order in which a prior reads them. */
const gridsMetadata = (grids: readonly Grid[]): Record<string, string> =>
  grids.length > 1 ? { grids: JSON.stringify(grids) } : {};
