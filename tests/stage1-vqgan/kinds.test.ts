/** Every kind of bottleneck through the commands: a tokenizer of few steps, resumed, its tokens, a prior, a picture. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { main } from '../../src/cli/main.js';
import { call } from '../support/streams.js';

let folder: string;
const home = process.cwd();
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-kinds-'));
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(home);
  fs.rmSync(folder, { recursive: true });
});

/** The summary, and what was said. */
async function vqgen(line: string): Promise<{ summary: Record<string, unknown>; said: string }> {
  const { code, stdout, stderr } = await call(main, [...line.split(' '), '--json', '--device', 'cpu']);
  if (code !== 0) throw new Error(`vqgen ${line}: exit code ${code}: ${stderr}`);
  return { summary: JSON.parse(stdout.trim().split('\n').at(-1)!), said: stderr };
}

const lines = (run: string): Record<string, number | string>[] =>
  fs
    .readFileSync(`${run}/stage1/metrics.jsonl`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const options = '--set data.drawn=40 --set stage1.disc.weight=0 --set stage1.perceptual.kind=none';

test.each([
  ['ema', 32, ''],
  ['cosine', 32, '--set stage1.bottleneck.gradient=rotation'],
  ['fsq', 30, '--set stage1.codes=null --set stage1.bottleneck.levels=[5,3,2]'],
  ['lfq', 32, ''],
])(
  '%s',
  async (kind, vocab, more) => {
    const train =
      `train-stage1 --config tiny ${options} --set stage1.bottleneck.kind=${kind} ${more} --run ${kind}`.replace(
        / +/g,
        ' ',
      );
    await vqgen(`${train} --steps 4`);
    const { summary } = await vqgen(`${train} --steps 8 --resume`);
    expect(summary.step).toBe(8);
    const written = lines(kind);
    const last = written.findLast(({ split }) => split === 'train')!;
    expect(last.codebook_usage).toBeGreaterThan(0);
    expect(last.codebook_usage).toBeLessThanOrEqual(1);
    expect(last.commitment === 0).toBe(kind === 'fsq');
    expect(last.codebook !== 0).toBe(kind === 'cosine');
    expect('codebook_entropy' in last).toBe(kind === 'lfq');
    expect(written.findLast(({ split }) => split === 'val')).toHaveProperty('psnr');

    expect((await vqgen(`tokenize --run ${kind} --check`)).summary).toMatchObject({ vocab });
    await vqgen(`train-prior --run ${kind} --steps 1`);
    const sampled = await vqgen(`sample --n 1 --run ${kind}`);
    expect(sampled.summary.images).toBe(1);
  },
  60_000,
);

test('a codebook that falls out of use is told of once, and a resume does not tell again', async () => {
  // On a line, within ±1/512: almost every output is nearest to the first or the last of them.
  const train =
    `train-stage1 --config tiny ${options} --set stage1.codes=512 --set stage1.batch_size=16 --set stage1.codebook.init=uniform ` +
    '--set stage1.codebook.restart_after=0 --set stage1.lr=1e-9 --set stage1.embed_dim=1 --run dead';
  const { said } = await vqgen(`${train} --steps 8`);
  const warnings = said.split('\n').filter((line) => line.includes('of the codes are in use'));
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(
    /^Warning: At step \d+ only \d.* % of the codes are in use\. .*restart_after=50\.$/,
  );
  expect((await vqgen(`${train} --steps 16 --resume`)).said).not.toContain('of the codes are in use');
}, 60_000);
