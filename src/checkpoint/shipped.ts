/** The trained runs that come with vqgen: found by their names from any folder, and never written into. */
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { settle, writeFileAtomic } from '../base/files.js';
import { files, inPackage, version } from '../base/root.js';
import { markName } from '../data/own-folders.js';

/** Name → folder. A run is a folder of `checkpoints/` that package.json ships and that has a config. */
const shipped: ReadonlyMap<string, string> = new Map(
  files
    .filter((file) => file.startsWith('checkpoints/'))
    .map((file): [string, string] => [path.basename(file), inPackage(file)])
    .filter(([, folder]) => existsSync(path.join(folder, 'config.json'))),
);

export const shippedNames: readonly string[] = [...shipped.keys()];

/** A run's folder: the place itself where a run stands there, else the shipped run of this name. */
export function runAt(place: string): string {
  settle(place);
  return existsSync(path.join(place, 'config.json')) ? place : (shipped.get(place) ?? place);
}

/** The name of a run that comes with vqgen. */
export function shippedName(run: string): string | undefined {
  if (!existsSync(run)) return undefined;
  const folder = realpathSync.native(run);
  return shippedNames.find((name) => realpathSync.native(shipped.get(name) ?? '') === folder);
}

/** Where what is made of such a run goes, in the working folder. */
export const shippedOutputs = (name: string) => ({
  samples: path.join('samples', name),
  exports: path.join('exports', name),
});

/** Marks the folders that a command made: their pictures are no data. */
export async function markOutputs(run: string): Promise<void> {
  const name = shippedName(run);
  if (name === undefined) return;
  for (const folder of Object.values(shippedOutputs(name))) {
    const mark = path.join(folder, markName);
    if (existsSync(folder) && !existsSync(mark))
      await writeFileAtomic(mark, `${JSON.stringify({ vqgen: version, run: name })}\n`);
  }
}

/** @throws UserError for a run that comes with vqgen, where something would be written into it */
export function ownRun(run: string): string {
  settle(run);
  const name = shippedName(run);
  if (name === undefined) return run;
  throw expected('a run of your own', '--run', run, `${name} comes with vqgen: copy it, and name the copy.`);
}
