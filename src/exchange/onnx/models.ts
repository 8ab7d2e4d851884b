/** A run's models as ONNX files: what exports for any runtime have in common. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../../base/errors.js';
import type { StoredPrecision } from '../../base/half.js';
import type { Reporter } from '../../base/progress.js';
import { sizeOf } from '../../base/tensor.js';
import { readRunConfig } from '../../checkpoint/run.js';
import type { Config } from '../../config/schema.js';
import type { GraphProgram } from '../../engine/device.js';
import { portableModel } from '../../engine/portable.js';
import { bottleneckOf } from '../../stage1-vqgan/bottlenecks/index.js';
import { loadTrainedParts, type TrainedPrior } from '../../stage2-transformer/model.js';
import {
  aroundClasses,
  commonMetadata,
  fileOf,
  meansMetadata,
  portableOf,
  priorMetadata,
  tokenizerMetadata,
} from './metadata.js';
import { decoderProgram, encoderProgram, meansProgram } from './programs.js';

export interface RunModels {
  readonly config: Config;
  /** None of a run without one, or whose latents are numbers. */
  readonly prior?: TrainedPrior;
  readonly programs: readonly GraphProgram[];
  /** What each file says of itself, by its program's name. */
  readonly metadata: (name: string) => Record<string, string>;
}

/**
 * `encoder`, `decoder` and what latents are drawn with: `prior` where the run has one, `means` where classes have
 * means; with the running averages of the weights where there are any.
 *
 * @param o.to the format, for errors
 * @throws UserError for a run without a tokenizer, a prior of another tokenizer or one that no file can be, or a model
 *   too large for one file
 */
export async function runModels(
  run: string,
  o: { readonly to: string; readonly precision: StoredPrecision; readonly reporter: Reporter },
): Promise<RunModels> {
  const { to, precision, reporter } = o;
  const config = readRunConfig(run);
  const { tokenizer, prior } = await loadTrainedParts(run, reporter);
  const { latent } = bottleneckOf(config);
  const around = aroundClasses(latent);
  if (prior?.told) {
    const received = `${run}, whose prior is told of ${prior.told.kind}`;
    throw expected(
      'a prior that is told of classes alone',
      '--run',
      received,
      'vqgen draws with it: vqgen sample.',
    );
  }
  if (!prior && latent.kind === 'codes') {
    reporter.note(`${run} has no prior yet: encoder and decoder only.`);
  }
  const programs = [
    encoderProgram(config, tokenizer.tensors),
    decoderProgram(config, tokenizer.tensors),
    ...(prior ? [portableOf(prior.model, to).program(prior.tensors)] : []),
    ...(around ? [meansProgram(around, tokenizer)] : []),
  ];
  for (const program of programs) checkSize(program, precision, to);
  const common = commonMetadata(config, precision, tokenizer);
  const own: Record<string, Record<string, string>> = {
    ...(prior && { prior: priorMetadata(prior) }),
    ...(around && { means: meansMetadata(around) }),
  };
  const metadata = (model: string) => ({ ...common, model, ...(own[model] ?? tokenizerMetadata(config)) });
  return { config, prior, programs, metadata };
}

/** @param onFile called with each file's name and size in bytes, in turn */
export async function writeModels(
  { programs, metadata }: RunModels,
  folder: string,
  { precision, onFile }: { precision: StoredPrecision; onFile: (name: string, bytes: number) => void },
): Promise<void> {
  for (const program of programs) {
    const name = fileOf(program.name);
    const data = await portableModel(program, {
      metadata: metadata(program.name),
      halves: precision === 'f16',
    });
    await fs.writeFile(path.join(folder, name), data);
    onFile(name, data.length);
  }
}

/** What protocol buffers, which ONNX files are, can hold, less room for the graph. */
const mostBytes = 2 ** 31 - 2 ** 24;

function checkSize({ name, constants }: GraphProgram, precision: StoredPrecision, to: string): void {
  const values = Object.values(constants).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const bytes = values * (precision === 'f16' ? 2 : 4);
  if (bytes <= mostBytes) return;
  const next =
    precision === 'f16' ? 'Such a model has to be exported as safetensors.' : 'Try --precision f16.';
  throw expected(
    'at most 2 GB of weights in an ONNX file',
    `--to ${to}`,
    `${(bytes / 1e9).toFixed(1)} GB (${name})`,
    next,
  );
}
