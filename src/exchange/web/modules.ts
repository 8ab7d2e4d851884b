/** Compiled modules of vqgen that a browser runs as they are. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { inPackage } from '../../base/root.js';

const compiled = inPackage('dist');

const imported = /^(?:import|export)\b[^'"]*?from\s*['"]([^'"]+)['"]|^import\s*['"]([^'"]+)['"]/gm;

/**
 * Modules and all that they import, by their paths in `dist`, with `/` between folders.
 *
 * @throws Error where one imports a package, which no browser finds
 */
export async function modulesFrom(entries: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const visit = async (file: string): Promise<void> => {
    if (found.has(file)) return;
    const text = await fs.readFile(path.join(compiled, file), 'utf8');
    found.set(file, text);
    for (const [, from, bare] of text.matchAll(imported)) {
      const name = from ?? bare ?? '';
      if (!name.startsWith('.')) throw new Error(`internal: ${file} of a page imports ${name}`);
      await visit(path.posix.join(path.posix.dirname(file), name));
    }
  };
  for (const entry of entries) await visit(entry);
  return found;
}
