/** The trained runs that come with vqgen: found by their names from any folder, and never written into. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Name → folder. A run is a folder of `checkpoints/` that package.json ships and that has a config. */
const shipped: ReadonlyMap<string, string> = new Map(
  (JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).files as string[])
    .filter((file) => file.startsWith('checkpoints/'))
    .map((file): [string, string] => [path.basename(file), path.join(root, file)])
    .filter(([, folder]) => existsSync(path.join(folder, 'config.json'))),
);

export const shippedNames: readonly string[] = [...shipped.keys()];

/** A run's folder: the place itself where there is one, else the shipped run of this name. */
export const runAt = (place: string): string => (existsSync(place) ? place : (shipped.get(place) ?? place));

/** The name of a run that comes with vqgen. */
export function shippedName(run: string): string | undefined {
  const folder = path.resolve(run);
  return shippedNames.find((name) => shipped.get(name) === folder);
}
