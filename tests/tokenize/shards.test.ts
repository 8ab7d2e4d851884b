import fs from 'node:fs/promises';
import path from 'node:path';
import { type Reporter, silent } from '../../src/base/progress.js';
import { readRunConfig, runPaths, tokenFile } from '../../src/checkpoint/run.js';
import { type Config, configSchema } from '../../src/config/schema.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { mergeTokens, tokenizeShard } from '../../src/tokenize/shards.js';
import type { JobOptions } from '../../src/tokenize/subsets.js';
import { readTokens } from '../../src/tokenize/token-file.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { preparingOnce } from '../support/prepared.js';
import { saveTokenizer, temporaryFolder, tinyConfig, writePictures } from '../support/run.js';

let root: string;
let device: Device;
let pictures: string;

beforeAll(async () => {
  root = await temporaryFolder();
  device = preparingOnce(await openDevice({ device: 'cpu', threads: 1, reporter: silent }));
  pictures = path.join(root, 'pictures');
  await writePictures(pictures, 40);
  await fs.writeFile(path.join(pictures, 'a', '0.png'), 'torn'); // the first: all others would move up
});
afterAll(() => fs.rm(root, { recursive: true }));

/** Two runs of the same tokenizer: one for a single process, one for shards. */
async function twoRuns(name: string, config: Config): Promise<[string, string]> {
  const runs = ['whole', 'shards'].map((of) => path.join(root, name, of));
  for (const run of runs) await saveTokenizer(run, config);
  return [runs[0]!, runs[1]!];
}

const shard = (index: number, o: Partial<JobOptions> & { run: string }, count = 3) =>
  tokenizeShard({ device, reporter: silent, ...o, shard: { index, count } });

const merge = (run: string, o: { split?: string; shards?: number } = {}) =>
  mergeTokens({ run, reporter: silent, ...o });

function listening(): { reporter: Reporter; said: string[] } {
  const said: string[] = [];
  const hear = (line: string) => void said.push(line);
  return { said, reporter: { ...silent, note: hear, warn: hear } };
}

const files = async (run: string, splits: readonly string[]) =>
  Promise.all(splits.map((split) => fs.readFile(tokenFile(run, split))));

const edges = ['tokenize.codings=3', 'prior.condition.kind=edges'];
const level = { kind: 'nearest', codes: 8, embed_dim: 4 };

test.each([
  ['one grid', {}],
  ['a hierarchy', { bottleneck: { kind: 'hierarchy', levels: [level, level] } }],
])('shards in any order, merged, are what one process writes, byte for byte: %s', async (name, stage1) => {
  const plain = tinyConfig({}, { flip: true });
  const config = configSchema.parse({ ...plain, stage1: { ...plain.stage1, ...stage1 } });
  const [whole, run] = await twoRuns(name, config);
  const o = { dataset: pictures, set: edges };
  const one = await tokenize({ ...o, run: whole, device, reporter: silent });
  const parts = [];
  for (const index of [2, 3, 1]) parts.push(await shard(index, { ...o, run }));
  expect(parts.map(({ shard }) => shard)).toEqual(['2/3', '3/3', '1/3']);
  expect(parts.reduce((sum, { images }) => sum + images, 0)).toBe(39);
  await expect(fs.access(tokenFile(run, 'train'))).rejects.toThrow();
  expect(readRunConfig(run).prior.condition.kind).toBe('none');
  const { said, reporter } = listening();
  const merged = await mergeTokens({ run, reporter });
  expect(await files(run, ['train', 'val'])).toEqual(await files(whole, ['train', 'val']));
  expect({ ...merged, seconds: 0 }).toEqual({ ...one, seconds: 0, file: tokenFile(run, 'train') });
  expect(said.join()).toMatch(/1 of 40 images was skipped: a\/0\.png/);
  expect(readRunConfig(run)).toEqual(readRunConfig(whole));
  expect((await fs.readdir(runPaths(run).tokens)).sort()).toEqual(['train.safetensors', 'val.safetensors']);
  expect((await readTokens(tokenFile(run, 'train'), '')).condition?.kind).toBe('edges');
});

describe('a part that is not there', () => {
  let whole: string;
  let run: string;
  const o = () => ({ run, dataset: pictures, split: 'all' });
  const home = () => path.join(runPaths(run).tokens, 'parts');

  beforeAll(async () => {
    [whole, run] = await twoRuns('missing', tinyConfig());
    await tokenize({ ...o(), run: whole, device, reporter: silent });
  });

  test('is named, with what to type; one that is killed leaves nothing, and is run again alone', async () => {
    await expect(merge(run, { split: 'all' })).rejects.toThrow(/parts that shards left .* holds none/);
    await shard(1, o());
    const signal = AbortSignal.abort();
    await expect(shard(3, { ...o(), signal })).rejects.toThrow(/aborted/i);
    expect(await fs.readdir(home())).toEqual(['all-1-of-3']);
    await expect(merge(run, { split: 'all' })).rejects.toThrow(
      `Expected every part for --merge but received ${home()}, where parts 2 and 3 of 3 are missing. ` +
        'Run vqgen tokenize --shard 2/3, then vqgen tokenize --shard 3/3, as the others were run.',
    );
    await shard(3, o());
    await expect(merge(run, { split: 'all' })).rejects.toThrow(/where part 2 of 3 is missing\. Run/);
  });

  test('which is there already says so and is left as it is', async () => {
    const file = path.join(home(), 'all-1-of-3', 'part.json');
    const before = await fs.stat(file);
    const { said, reporter } = listening();
    expect(await shard(1, { ...o(), reporter })).toMatchObject({ already: true, skipped: 1, images: 15 });
    expect(said).toContain(`Part 1/3 is complete already: ${path.dirname(file)}`);
    expect((await fs.stat(file)).ino).toBe(before.ino);
  });

  test('or is of other images, another tokenizer, another number, or damaged, is refused by name', async () => {
    const other = path.join(root, 'other');
    await writePictures(other, 34);
    await shard(2, { ...o(), dataset: other });
    await expect(merge(run, { split: 'all' })).rejects.toThrow(
      /part 2 of 3, whose list of images is not that of part 1\. Run vqgen tokenize --shard 2\/3,/,
    );
    await shard(2, o()); // replaces it
    await shard(2, o(), 4);
    await expect(merge(run, { split: 'all' })).rejects.toThrow(
      /with parts of 3 and of 4\. Say which: --shards 3/,
    );
    const file = path.join(home(), 'all-3-of-3', 'all.safetensors');
    const bytes = await fs.readFile(file);
    await fs.writeFile(file, bytes.with(bytes.length - 1, bytes.at(-1)! ^ 1));
    await expect(merge(run, { split: 'all', shards: 3 })).rejects.toThrow(
      /where part 3 of 3 is damaged\. Run/,
    );
    expect(await shard(3, o())).toMatchObject({ already: false });
    await saveTokenizer(run, tinyConfig(), { seed: 1, step: 2 });
    await expect(merge(run, { split: 'all', shards: 3 })).rejects.toThrow(
      /part 1 of 3, whose tokenizer is not that now\. Run vqgen tokenize --shard 1\/3/,
    );
    await fs.rm(path.join(runPaths(run).stage1, 'step-00000002'), { recursive: true });
    await merge(run, { split: 'all', shards: 3 });
    expect(await files(run, ['all'])).toEqual(await files(whole, ['all']));
    expect(await fs.readdir(home())).toEqual(['all-2-of-4']);
  });

  test('--check is of all', async () => {
    await expect(
      tokenizeShard({ ...o(), device, reporter: silent, check: true, shard: { index: 1, count: 3 } }),
    ).rejects.toThrow(/Expected nothing for --check but received shard 1\/3 of several/);
  });
});
