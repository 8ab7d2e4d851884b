/** `vqgen export --to web`: a folder that any static file server serves, with a page that samples in the browser. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { writeFolderAtomic } from '../../base/files.js';
import type { StoredPrecision } from '../../base/half.js';
import type { Reporter } from '../../base/progress.js';
import { exportFolder } from '../../checkpoint/run.js';
import { folderOf } from '../../data/own-folders.js';
import { fileOf, modelNames } from '../onnx/metadata.js';
import { runModels, writeModels } from '../onnx/models.js';
import { checkOut } from '../out-folder.js';
import { describe } from './describe.js';
import { indexPage } from './index-page.js';
import { modulesFrom } from './modules.js';
import { runtimeFiles, servedName } from './runtime.js';
import { style } from './style.js';

export interface WebExportOptions {
  readonly run: string;
  /** A folder; the run's `web` unless given. */
  readonly out?: string;
  /** `f32` unless given. */
  readonly precision?: StoredPrecision;
  readonly reporter: Reporter;
}

export interface WebExportSummary {
  readonly run: string;
  readonly to: 'web';
  readonly out: string;
  /** Relative to `out`, with `/` between folders. */
  readonly files: readonly string[];
  /** Of all files together. */
  readonly bytes: number;
  /** Of ONNX Runtime Web's among them. */
  readonly runtimeBytes: number;
  readonly precision: StoredPrecision;
}

/** Where things lie in the folder; the page's own modules know these names, too. */
const [runtimeFolder, scriptsFolder] = ['runtime', 'scripts'];
const page = 'exchange/web/page';
const ours = new Set([
  ...['index.html', 'style.css', 'page.json', runtimeFolder, scriptsFolder],
  ...modelNames.map(fileOf),
]);

/**
 * An earlier export in the same place is replaced.
 *
 * @throws UserError where onnxruntime-web is not installed, as `runModels`, and for a folder that holds something else
 */
export async function exportWeb(o: WebExportOptions): Promise<WebExportSummary> {
  const { run, precision = 'f32', reporter } = o;
  const runtime = runtimeFiles();
  const out = o.out ?? exportFolder(run, 'web');
  const isExport = async (folder: string) => (await folderOf(folder)) === 'an export of vqgen';
  await checkOut({ run, out, to: 'web' }, { isOurs: (name) => ours.has(name), isExport });
  const models = await runModels(run, { to: 'web', precision, reporter });
  const description = describe(run, models, precision);
  const modules = await modulesFrom([`${page}/main.js`, `${page}/worker.js`]);
  const total = models.programs.length;
  const files: string[] = [];
  let [bytes, runtimeBytes] = [0, 0];
  const progress = reporter.progress({ label: 'Export', total, unit: 'models' });
  try {
    await writeFolderAtomic(out, async (folder) => {
      const count = (name: string, size: number): void => {
        files.push(name);
        bytes += size;
        progress.update(Math.min(files.length, total));
      };
      const write = async (name: string, data: string | Uint8Array): Promise<void> => {
        const file = path.join(folder, name);
        await fs.mkdir(path.dirname(file), { recursive: true });
        await fs.writeFile(file, data);
        count(name, Buffer.byteLength(data));
      };
      await writeModels(models, folder, { precision, onFile: count });
      for (const file of runtime) {
        const data = await fs.readFile(file);
        await write(`${runtimeFolder}/${servedName(file)}`, data);
        runtimeBytes += data.length;
      }
      for (const [name, text] of modules) await write(`${scriptsFolder}/${name}`, text);
      await write('page.json', `${JSON.stringify(description)}\n`);
      await write('style.css', style);
      await write('index.html', indexPage(description, `${scriptsFolder}/${page}/main.js`));
    });
  } finally {
    progress.stop();
  }
  return { run, to: 'web', out, files, bytes, runtimeBytes, precision };
}
