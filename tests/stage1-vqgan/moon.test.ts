/** `scripts/moon.mjs`: half way between the codes of new and full moon a VAE gives about a half moon, an AE does so less well. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/moon.mjs', import.meta.url));

interface Result {
  readonly name: 'AE' | 'VAE';
  readonly half: { readonly phase: number; readonly off: number };
}

async function ofSeed(seed: string): Promise<Result[]> {
  const args = [script, '--seeds', seed, '--numbers', '1', '--json'];
  return JSON.parse((await promisify(execFile)(process.execPath, args)).stdout);
}

test('half way from new to full moon, the middle phases unseen, one number', async () => {
  const results = (await Promise.all(['0', '1'].map(ofSeed))).flat();
  const wrong = (name: Result['name']) =>
    results.filter((result) => result.name === name).map(({ half }) => Math.abs(half.phase - 0.5));
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  expect(wrong('VAE')).toHaveLength(2);
  for (const value of wrong('VAE')) expect(value).toBeLessThanOrEqual(0.15);
  expect(mean(wrong('AE'))).toBeGreaterThan(mean(wrong('VAE')) + 0.05);
});
