/**
 * `vqgen export --to safetensors` of a run that taming-transformers has no form of: its tensors under vqgen's own
 * names.
 */
import path from 'node:path';
import { UserError } from '../base/errors.js';
import { writeFolderAtomic } from '../base/files.js';
import type { StoredPrecision } from '../base/half.js';
import type { HostTensors } from '../base/tensor.js';
import { inHalves, type Metadata, openSafetensors, writeSafetensors } from '../checkpoint/safetensors.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import type { TrainedPrior } from '../stage2-transformer/model.js';
import { commonMetadata } from './onnx/metadata.js';

/** Whether vqgen wrote a safetensors file, with the config in it. */
export async function isOwn(file: string): Promise<boolean> {
  try {
    const { metadata, close } = await openSafetensors(file);
    await close();
    return 'vqgen' in metadata && 'config' in metadata;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

/**
 * `model.safetensors`, the tokenizer, and where there are such `prior.safetensors` and `condition.safetensors`, the
 * tokenizer of what the prior is told; each with its config as JSON in its metadata.
 *
 * @returns the files, and how many tensors are in them
 */
export async function writeOwnNames(
  out: string,
  o: {
    config: Config;
    tokenizer: TrainedModel;
    prior?: TrainedPrior;
    told?: { readonly config: Config; readonly model: TrainedModel };
    precision: StoredPrecision;
  },
): Promise<{ files: string[]; tensors: number }> {
  const { config, tokenizer, prior, told, precision } = o;
  const common = commonMetadata(config, precision, tokenizer);
  const parts: [name: string, HostTensors, Metadata][] = [['model', tokenizer.tensors, common]];
  if (prior) {
    const { tensors, sha256, step, classes } = prior;
    const own = {
      ...{ prior: sha256, prior_step: `${step}`, classes: JSON.stringify(classes) },
      ...(prior.told && { condition: JSON.stringify(prior.told) }),
    };
    parts.push(['prior', tensors, { ...common, ...own }]);
  }
  if (told) {
    const own = { tokenizer: tokenizer.sha256, tells: told.model.sha256 };
    const metadata = { ...commonMetadata(told.config, precision, told.model), ...own };
    parts.push(['condition', told.model.tensors, metadata]);
  }
  const fileOf = (folder: string, name: string) => path.join(folder, `${name}.safetensors`);
  await writeFolderAtomic(out, async (folder) => {
    for (const [name, tensors, metadata] of parts) {
      const halved = () => Object.fromEntries(Object.entries(tensors).map(([key, t]) => [key, inHalves(t)]));
      await writeSafetensors(fileOf(folder, name), precision === 'f16' ? halved() : tensors, metadata);
    }
  });
  return {
    files: parts.map(([name]) => fileOf(out, name)),
    tensors: parts.reduce((sum, [, tensors]) => sum + Object.keys(tensors).length, 0),
  };
}
