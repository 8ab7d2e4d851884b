import fs from 'node:fs/promises';
import path from 'node:path';
import { type Reporter, silent } from '../../src/base/progress.js';
import { runPaths } from '../../src/checkpoint/run.js';
import { saveCheckpoint } from '../../src/checkpoint/store.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { sample } from '../../src/sample/sample.js';
import { sampleShard } from '../../src/sample/shards.js';
import { priorFor, recordClasses } from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { preparingOnce } from '../support/prepared.js';
import { saveTokenizer, temporaryFolder, tinyConfig } from '../support/run.js';

let root: string;
let run: string;
let whole: string;
let device: Device;
const n = 35; // three batches, the last of them short

beforeAll(async () => {
  root = await temporaryFolder();
  [run, whole] = [path.join(root, 'a', 'run'), path.join(root, 'b', 'run')];
  device = preparingOnce(await openDevice({ device: 'cpu', threads: 1, reporter: silent }));
  const config = tinyConfig();
  await saveTokenizer(run, config);
  const state = { step: 1, seconds: 0, validated: 1, best: null, metrics: null };
  await saveCheckpoint(runPaths(run).prior, priorStart(priorFor(config, ['cat', 'dog']), 0), state, 1);
  await recordClasses(run, ['cat', 'dog']);
  await fs.cp(run, whole, { recursive: true });
});
afterAll(() => fs.rm(root, { recursive: true }));

const call = (o: object = {}) => ({ run, n, device, reporter: silent, ...o });
const shard = (index: number, o: object = {}) => sampleShard({ ...call(o), shard: { index, count: 3 } });

async function contents(folder: string): Promise<Record<string, string>> {
  const names = (await fs.readdir(folder)).sort();
  const bytes = await Promise.all(names.map((name) => fs.readFile(path.join(folder, name), 'base64')));
  return Object.fromEntries(names.map((name, i) => [name, bytes[i]!]));
}

test('shards in any order, one killed and run again, and the grid of their pictures, byte for byte', async () => {
  const one = await sample(call({ run: whole }));
  const folder = path.join(run, 'samples', 'seed-0');
  expect(await shard(3)).toMatchObject({ shard: '3/3', images: 3, already: 0, folder, seed: 0 });
  const controller = new AbortController();
  const stopping: Reporter = {
    ...silent,
    progress: (o) => ({ ...silent.progress(o), update: () => controller.abort(new Error('killed')) }),
  };
  await expect(shard(2, { reporter: stopping, signal: controller.signal })).rejects.toThrow('killed');
  await expect(sample(call({ merge: { shards: 3 } }))).rejects.toThrow(
    `Expected every picture for --merge but received ${folder}, where 32 of ${n} are missing or drawn otherwise, 0000.png first. ` +
      'Run vqgen sample --shard 1/3, then vqgen sample --shard 2/3, as the others were run.',
  );
  await shard(1);
  await shard(2);
  const before = await contents(folder);
  const said: string[] = [];
  const note = (line: string) => void said.push(line);
  expect(await shard(1, { reporter: { ...silent, note } })).toMatchObject({ images: 16, already: 16 });
  expect(said).toContain(`Part 1/3 is complete already: ${folder}`);

  const other = path.join(folder, '0020.png');
  await fs.copyFile(path.join(folder, '0021.png'), other); // a picture, but of another number
  await expect(sample(call({ merge: {} }))).rejects.toThrow(
    /1 of 35 are missing .* 0020\.png first\. Run their/,
  );
  expect(await shard(2)).toMatchObject({ images: 16, already: 0 });

  const merged = await sample(call({ merge: {} }));
  const { 'grid.png': grid, ...pictures } = await contents(folder);
  expect(pictures).toEqual(before);
  expect({ ...pictures, 'grid.png': grid }).toEqual(await contents(path.dirname(one.grid)));
  const rest = { seconds: 0, tokens_per_second: 0 };
  const files = one.files.map((file) => path.join(folder, path.basename(file)));
  expect({ ...merged, ...rest }).toEqual({ ...one, ...rest, files, grid: path.join(folder, 'grid.png') });
});

test('the grid is made of all', async () => {
  await expect(shard(1, { out: 'grid.png' })).rejects.toThrow(
    'Expected nothing for --out but received grid.png with --shard 1/3. The grid is made of all: --merge.',
  );
});
