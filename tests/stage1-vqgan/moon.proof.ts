/** `scripts/moon.mjs`: half way between the codes of new and full moon a VAE gives about a half moon, an AE less so. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('../../scripts/moon.mjs', import.meta.url));

interface Result {
  readonly name: 'AE' | 'VAE';
  readonly numbers: number;
  readonly half: { readonly phase: number; readonly off: number };
  readonly random: { readonly off: number };
}

async function ofSeed(seed: string, numbers: string): Promise<Result[]> {
  const args = [script, '--seeds', seed, '--numbers', numbers, '--json'];
  return JSON.parse((await promisify(execFile)(process.execPath, args)).stdout);
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Means, as one training in five folds, and another processor's rounding may make it one of these (docs/lineage.md). */
test('half way from new to full moon, the middle phases unseen; random vectors', async () => {
  const results = (await Promise.all([ofSeed('0', '1'), ofSeed('1', '1,8')])).flat();
  const of = (name: Result['name'], numbers: number) =>
    results.filter((result) => result.name === name && result.numbers === numbers);
  const wrong = (name: Result['name']) => mean(of(name, 1).map(({ half }) => Math.abs(half.phase - 0.5)));

  expect(of('VAE', 1)).toHaveLength(2);
  expect(wrong('VAE')).toBeLessThanOrEqual(0.15);
  expect(wrong('AE')).toBeGreaterThan(wrong('VAE') + 0.02);
  const [ae, vae] = [of('AE', 8)[0]!.random.off, of('VAE', 8)[0]!.random.off];
  expect(ae / vae).toBeGreaterThan(2);
});
