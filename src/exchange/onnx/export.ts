/**
 * `vqgen export --to onnx`: a run's models as ONNX files for any runtime, with a README and a script that use them.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { expected } from '../../base/errors.js';
import { writeFolderAtomic } from '../../base/files.js';
import type { StoredPrecision } from '../../base/half.js';
import type { Reporter } from '../../base/progress.js';
import { sizeOf } from '../../base/tensor.js';
import { exportFolder, readRunConfig } from '../../checkpoint/run.js';
import { folderOf } from '../../data/own-folders.js';
import type { GraphProgram } from '../../engine/device.js';
import { PORTABLE } from '../../engine/onnx.js';
import { portableModel } from '../../engine/portable.js';
import { bottleneckOf } from '../../stage1-vqgan/bottlenecks/index.js';
import { loadTrainedParts } from '../../stage2-transformer/model.js';
import { checkOut } from '../out-folder.js';
import {
  aroundClasses,
  commonMetadata,
  fileOf,
  meansMetadata,
  modelNames,
  portableOf,
  priorMetadata,
  tokenizerMetadata,
} from './metadata.js';
import { decoderProgram, encoderProgram, meansProgram } from './programs.js';
import { readmeOf } from './readme.js';
import { scriptNames, scriptOf } from './script.js';

export interface OnnxExportOptions {
  readonly run: string;
  /** A folder; the run's `onnx` unless given. */
  readonly out?: string;
  /** `f32` unless given. */
  readonly precision?: StoredPrecision;
  readonly reporter: Reporter;
}

export interface OnnxExportSummary {
  readonly run: string;
  readonly to: 'onnx';
  readonly out: string;
  readonly files: readonly string[];
  /** Of all files together. */
  readonly bytes: number;
  readonly opset: number;
  readonly precision: StoredPrecision;
}

const README = 'README.md';
const ours = new Set([README, ...Object.values(scriptNames), ...modelNames.map(fileOf)]);

/**
 * Writes `encoder.onnx`, `decoder.onnx` and what latents are drawn with: `prior.onnx` where the run has a prior,
 * `means.onnx` where classes have means; with the running averages of the weights where there are any. An earlier
 * export in the same place is replaced, unless tokens or samples were written there since.
 *
 * @throws UserError for a run without a tokenizer, a prior of another tokenizer, a folder that holds something else,
 *   or a model too
 *   large for one file
 */
export async function exportOnnx(o: OnnxExportOptions): Promise<OnnxExportSummary> {
  const { run, precision = 'f32', reporter } = o;
  const out = o.out ?? exportFolder(run, 'onnx');
  const config = readRunConfig(run);
  const isExport = async (folder: string) => (await folderOf(folder)) === 'an export of vqgen';
  await checkOut({ run, out, to: 'onnx' }, { isOurs: (name) => ours.has(name), isExport });
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
    ...(prior ? [portableOf(prior.model).program(prior.tensors)] : []),
    ...(around ? [meansProgram(around, tokenizer)] : []),
  ];
  for (const program of programs) checkSize(program, precision);
  const common = commonMetadata(config, precision, tokenizer);
  const own: Record<string, Record<string, string>> = {
    ...(prior && { prior: priorMetadata(prior) }),
    ...(around && { means: meansMetadata(around) }),
  };
  const files: string[] = [];
  let bytes = 0;
  const progress = reporter.progress({ label: 'Export', total: programs.length, unit: 'files' });
  try {
    await writeFolderAtomic(out, async (folder) => {
      const write = async (name: string, data: Uint8Array): Promise<void> => {
        await fs.writeFile(path.join(folder, name), data);
        files.push(path.join(out, name));
        bytes += data.length;
      };
      for (const program of programs) {
        const metadata = {
          ...common,
          model: program.name,
          ...(own[program.name] ?? tokenizerMetadata(config)),
        };
        await write(
          fileOf(program.name),
          await portableModel(program, { metadata, halves: precision === 'f16' }),
        );
        progress.update(files.length);
      }
      const { name, text } = scriptOf(config, prior?.model);
      await write(name, Buffer.from(text));
      await write(README, Buffer.from(readmeOf(config, { precision, prior })));
    });
  } finally {
    progress.stop();
  }
  return { run, to: 'onnx', out, files, bytes, opset: PORTABLE.opset, precision };
}

/** What protocol buffers, which ONNX files are, can hold, less room for the graph. */
const mostBytes = 2 ** 31 - 2 ** 24;

function checkSize({ name, constants }: GraphProgram, precision: StoredPrecision): void {
  const values = Object.values(constants).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const bytes = values * (precision === 'f16' ? 2 : 4);
  if (bytes <= mostBytes) return;
  const next =
    precision === 'f16' ? 'Such a model has to be exported as safetensors.' : 'Try --precision f16.';
  throw expected(
    'at most 2 GB of weights in an ONNX file',
    '--to onnx',
    `${(bytes / 1e9).toFixed(1)} GB (${name})`,
    next,
  );
}
