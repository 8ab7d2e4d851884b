/** The corpus of `npm run test:corpus` without its large and slow files: each is what it should be. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { silent } from '../../src/base/progress.js';
import { openCache } from '../../src/data/cache.js';
import { listImages } from '../../src/data/source.js';

interface Corpus {
  makeCorpus(
    folder: string,
    o: { all: boolean },
  ): Promise<{ expected: Map<string, { kind: string }>; close(): Promise<void> }>;
  faultsOf(expected: Map<string, unknown>, read: Map<string, string | undefined>): string[];
}

test('bad and odd files are counted, named with the reason, or left out', async () => {
  const script = '../../scripts/odd-files.mjs';
  const { makeCorpus, faultsOf }: Corpus = await import(script);
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'odd-'));
  const { expected, close } = await makeCorpus(path.join(folder, 'data'), { all: false });
  try {
    expect(expected.size).toBeGreaterThan(200);
    const source = await listImages(path.join(folder, 'data'));
    const cache = await openCache(source, {
      size: 8,
      cacheDir: path.join(folder, 'cache'),
      reporter: silent,
    });
    const read = new Map<string, string | undefined>(source.names.map((name) => [name, undefined]));
    for (const { name, reason } of cache.skipped) read.set(name, reason);
    expect(faultsOf(expected, read)).toEqual([]);
  } finally {
    await close();
    await fs.rm(folder, { recursive: true });
  }
}, 60_000);
