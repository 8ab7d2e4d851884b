/**
 * Folders that vqgen itself writes pictures into, so that a run below the data does not become a class of it. They
 * are known by what they hold, not by their names: a folder of somebody's own that is called `samples` stays.
 *
 * - A run is a folder whose `config.json` says which vqgen wrote it. Below the data it is left out whole; where it is
 *   the data folder itself, only the folders that a run has (`runFolders`).
 * - An ONNX export is a folder whose `decoder.onnx` names vqgen as its producer: the scripts beside it draw there.
 *   `export --to run` writes a run; the other exports, and what `dataset make` writes, need no rule.
 * - What is drawn from a run that comes with vqgen lies in a folder with a file `vqgen.json`.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { firstBytes, readRegular } from '../base/regular-file.js';
import type { Place } from './file-names.js';

/** What lies in a run beside its config, see `runPaths`. */
export const runFolders: readonly string[] = ['stage1', 'prior', 'tokens', 'condition', 'samples'];

/** By which a folder is known that vqgen made: `{ "vqgen": … }`. */
export const markName = 'vqgen.json';

export type Own = 'a run of vqgen' | 'an export of vqgen' | 'pictures of vqgen';

/** @param files the regular files of a folder, by name */
export async function ownFolder(files: ReadonlyMap<string, Place>): Promise<Own | undefined> {
  const config = files.get('config.json');
  if (config && (await namesVqgen(config))) return 'a run of vqgen';
  const mark = files.get(markName);
  if (mark && (await namesVqgen(mark))) return 'pictures of vqgen';
  const decoder = files.get('decoder.onnx');
  return decoder && isExported(decoder) ? 'an export of vqgen' : undefined;
}

/** The same of a folder by its place. */
export async function folderOf(folder: string): Promise<Own | undefined> {
  const entries = await fs.readdir(folder, { withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ name }) => [name, path.join(folder, name)] as const);
  return ownFolder(new Map(files));
}

const mostConfig = 2 ** 20;

async function namesVqgen(file: Place): Promise<boolean> {
  try {
    const text = (await readRegular(file, mostConfig)).toString('utf8');
    return typeof JSON.parse(text).vqgen === 'string';
  } catch {
    return false;
  }
}

/** An ONNX file begins with its format's version (field 1) and the producer's name (field 2). */
function isExported(file: Place): boolean {
  try {
    return firstBytes(file, 16).includes('\x12\x05vqgen');
  } catch {
    return false;
  }
}
