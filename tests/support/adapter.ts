/** For tests that take whatever adapter answers. */
import { searchAdapter } from '../../src/engine/adapter.js';

/** Whether one does; says so where none does. Costs nothing where no GPU is in sight. */
export async function hasAdapter(): Promise<boolean> {
  const search = await searchAdapter();
  if ('adapter' in search) return true;
  process.stderr.write(`skipped: no WebGPU adapter (${search.none})\n`);
  return false;
}
