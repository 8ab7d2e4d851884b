/** What an exported ONNX file says of itself, in its metadata. */
import path from 'node:path';
import type { StoredPrecision } from '../../base/half.js';
import { version } from '../../checkpoint/run.js';
import type { TrainedModel } from '../../checkpoint/store.js';
import type { Config } from '../../config/schema.js';
import { codeSide } from '../../stage1-vqgan/model.js';
import type { TrainedPrior } from '../../stage2-transformer/model.js';

export const modelNames = ['encoder', 'decoder', 'prior'] as const;
export const fileOf = (name: string): string => `${name}.onnx`;

export const license =
  'The weights are those of whoever trained them; vqgen, which wrote the graph, is MIT-licensed.';

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
  const { data, stage1 } = config;
  return {
    ...config,
    data: { ...data, dir: last(data.dir), val_dir: last(data.val_dir) },
    stage1: { ...stage1, perceptual: { ...stage1.perceptual, weights: last(stage1.perceptual.weights) } },
  };
}

export function tokenizerMetadata(config: Config): Record<string, string> {
  const side = codeSide(config);
  return {
    images: `float32 [batch, 3, ${config.data.size}, ${config.data.size}], RGB, 0 to 1`,
    codes: `int64 [batch, ${side}, ${side}], 0 to ${config.stage1.codes - 1}`,
  };
}

export const priorMetadata = ({ sha256, step, classes, model }: TrainedPrior): Record<string, string> => ({
  prior: sha256,
  prior_step: `${step}`,
  classes: JSON.stringify(classes),
  ...model.portable.metadata,
});
