import path from 'node:path';
import { runPaths } from '../../src/checkpoint/run.js';
import { latestCheckpoint } from '../../src/checkpoint/store.js';
import { openTensors } from '../../src/exchange/open.js';

/** Every tensor of a file: type, shape and bytes. */
export async function contents(file: string): Promise<Record<string, string>> {
  const opened = await openTensors(file);
  const found: Record<string, string> = {};
  for (const name of Object.keys(opened.entries).sort()) {
    const { dtype, shape, data } = await opened.read(name);
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    found[name] = `${dtype} [${shape}] ${bytes.toString('base64')}`;
  }
  await opened.close();
  return found;
}

export const weightsOf = (run: string, stage: 'stage1' | 'prior') =>
  contents(path.join(latestCheckpoint(runPaths(run)[stage])!.path, 'model.safetensors'));
