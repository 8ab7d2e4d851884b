/** vqgen's own folder. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Two folders up: from `src/base/`, from `dist/base/`, and from `dist/bundle/`, where all modules are one. */
const root = fileURLToPath(new URL('../../', import.meta.url));

/** The place of a file or folder of the package. @param names from its root on */
export const inPackage = (...names: readonly string[]): string => path.join(root, ...names);

/** The package's `package.json`, as far as it is read. */
export const { version, files }: { readonly version: string; readonly files: readonly string[] } = JSON.parse(
  readFileSync(inPackage('package.json'), 'utf8'),
);
