/**
 * `scripts/moon.mjs`: half way between the codes of new and full moon a VAE gives about a half moon, an AE less so.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/moon.mjs', import.meta.url));

interface Result {
  readonly name: 'AE' | 'VAE';
  readonly half: { readonly phase: number };
}

/** Seed 1, of ten that agree (docs/lineage.md). */
test('half way from new to full moon, the middle phases unseen', async () => {
  const args = [script, '--seeds', '1', '--numbers', '1', '--json'];
  const results: Result[] = JSON.parse((await promisify(execFile)(process.execPath, args)).stdout);
  const wrong = (name: Result['name']) =>
    Math.abs(results.find((result) => result.name === name)!.half.phase - 0.5);

  expect(wrong('VAE')).toBeLessThanOrEqual(0.15);
  expect(wrong('AE')).toBeGreaterThan(wrong('VAE') + 0.02);
});
