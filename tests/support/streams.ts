/** A command line called in this process, its streams collected. */
import { PassThrough } from 'node:stream';
import type { main } from '../../src/cli/main.js';

export interface Called {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function call(command: typeof main, argv: readonly string[]): Promise<Called> {
  const written = { stdout: '', stderr: '' };
  const collect = (name: 'stdout' | 'stderr') =>
    new PassThrough().on('data', (chunk) => {
      written[name] += chunk;
    });
  const code = await command([...argv], { stdout: collect('stdout'), stderr: collect('stderr') });
  return { code, ...written };
}
