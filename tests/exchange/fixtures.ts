/** The checkpoints that PyTorch wrote, what it computed with them, and runs imported from them. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { createReporter } from '../../src/base/progress.js';
import { importCheckpoint } from '../../src/exchange/import.js';
import type { ImportOptions } from '../../src/exchange/understand.js';

const root = path.resolve('tests/exchange/fixtures');

export const fixture = (name: string): string => path.join(root, name);

/** Numbers in row-major order, the last axis channels or codes. */
type Outputs = Record<
  'codes' | 'told' | 'reconstruction' | 'decoded' | 'discriminator' | 'logits' | 'last',
  number[]
> &
  Record<'used' | 'nearest' | 'ids', number[]> & {
    loss: number;
    /** Norm, and 16 values. */
    gradients: Record<string, { norm: number; values: number[] }>;
  };

/** What scripts/taming-fixture.py wrote beside a checkpoint. */
export const outputs = (name: string): Outputs =>
  JSON.parse(fs.readFileSync(fixture(`${name}.json`), 'utf8'));

/** Names of new folders inside one that goes when the tests of a file are over. */
export function temporaryFolder(name: string): () => string {
  let folder: string;
  let count = 0;
  beforeAll(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), `vqgen-${name}-`));
  });
  afterAll(() => fs.rmSync(folder, { recursive: true }));
  return () => path.join(folder, String(count++));
}

export const quiet = createReporter({ stream: new PassThrough(), quiet: true });

/** Imports a fixture as a run of 16 × 16 pixels. */
export async function imported(
  run: string,
  checkpoint: string,
  config?: string,
  more: Partial<ImportOptions> = {},
): Promise<string> {
  const size = config === undefined ? 16 : undefined;
  const yaml = config && fixture(config);
  await importCheckpoint({
    checkpoint: fixture(checkpoint),
    run,
    config: yaml,
    size,
    reporter: quiet,
    ...more,
  });
  return run;
}
