/**
 * `vqgen export --to onnx`: a run's models as ONNX files for any runtime, with a README and a script that use them.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { writeFolderAtomic } from '../../base/files.js';
import type { StoredPrecision } from '../../base/half.js';
import type { Reporter } from '../../base/progress.js';
import { exportFolder } from '../../checkpoint/run.js';
import { folderOf } from '../../data/own-folders.js';
import { PORTABLE } from '../../engine/onnx.js';
import { checkOut } from '../out-folder.js';
import { fileOf, modelNames } from './metadata.js';
import { runModels, writeModels } from './models.js';
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
 * @throws UserError as `runModels`, and for a folder that holds something else
 */
export async function exportOnnx(o: OnnxExportOptions): Promise<OnnxExportSummary> {
  const { run, precision = 'f32', reporter } = o;
  const out = o.out ?? exportFolder(run, 'onnx');
  const isExport = async (folder: string) => (await folderOf(folder)) === 'an export of vqgen';
  await checkOut({ run, out, to: 'onnx' }, { isOurs: (name) => ours.has(name), isExport });
  const models = await runModels(run, { to: 'onnx', precision, reporter });
  const { config, prior, programs } = models;
  const files: string[] = [];
  let bytes = 0;
  const progress = reporter.progress({ label: 'Export', total: programs.length, unit: 'files' });
  try {
    await writeFolderAtomic(out, async (folder) => {
      const count = (name: string, size: number): void => {
        files.push(path.join(out, name));
        bytes += size;
        progress.update(Math.min(files.length, programs.length));
      };
      await writeModels(models, folder, { precision, onFile: count });
      const script = scriptOf(config, prior?.model);
      for (const { name, text } of [script, { name: README, text: readmeOf(config, { precision, prior }) }]) {
        await fs.writeFile(path.join(folder, name), text);
        count(name, Buffer.byteLength(text));
      }
    });
  } finally {
    progress.stop();
  }
  return { run, to: 'onnx', out, files, bytes, opset: PORTABLE.opset, precision };
}
