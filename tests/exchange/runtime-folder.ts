/** A folder in which exported scripts find ONNX Runtime. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '../support/run.js';

export async function folderWithRuntime(): Promise<string> {
  const root = await temporaryFolder();
  const modules = path.join(root, 'node_modules');
  await fs.mkdir(modules);
  const runtime = path.resolve('node_modules/onnxruntime-node');
  await fs.symlink(runtime, path.join(modules, 'onnxruntime-node'), 'junction');
  return root;
}
