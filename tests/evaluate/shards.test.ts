import fs from 'node:fs/promises';
import path from 'node:path';
import { type Reporter, silent } from '../../src/base/progress.js';
import { runPaths } from '../../src/checkpoint/run.js';
import { saveCheckpoint } from '../../src/checkpoint/store.js';
import { configSchema } from '../../src/config/schema.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { type EvaluateOptions, evaluate } from '../../src/evaluate/evaluate.js';
import { evaluateShard, mergeEvaluation } from '../../src/evaluate/shards.js';
import { priorFor, recordClasses } from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { preparingOnce } from '../support/prepared.js';
import { saveTokenizer, temporaryFolder, tinyConfig, writePictures } from '../support/run.js';

const size = 16;
let root: string;
let data: string;
let run: string;
let device: Device;

beforeAll(async () => {
  root = await temporaryFolder();
  [data, run] = [path.join(root, 'data'), path.join(root, 'run')];
  device = preparingOnce(await openDevice({ device: 'cpu', threads: 1, reporter: silent }));
  await writePictures(data, 19, size);
  await fs.writeFile(path.join(data, 'a', '2.png'), 'torn');
  const config = tinyConfig({}, { dir: data, size, flip: true });
  await saveTokenizer(run, config);
  const state = { step: 1, seconds: 0, validated: 1, best: null, metrics: null };
  await saveCheckpoint(runPaths(run).prior, priorStart(priorFor(config, ['a', 'b']), 0), state, 1);
  await recordClasses(run, ['a', 'b']);
});
afterAll(() => fs.rm(root, { recursive: true }));

const call = (o: Partial<EvaluateOptions> = {}): EvaluateOptions => ({
  ...{ run, data, n: 18, device, reporter: silent },
  ...o,
});
const shard = (index: number, o: Partial<EvaluateOptions> = {}, count = 3) =>
  evaluateShard({ ...call(o), shard: { index, count } });
const home = () => path.join(runPaths(run).samples, 'evaluation-parts');

function listening(): { reporter: Reporter; said: string[] } {
  const said: string[] = [];
  const hear = (line: string) => void said.push(line);
  return { said, reporter: { ...silent, note: hear, warn: hear } };
}

test('shards in any order, one killed and run again, give the numbers of one process, exactly', async () => {
  const [out, saveStats] = [path.join(root, 'nearest.png'), path.join(root, 'stats.safetensors')];
  const one = listening();
  const whole = await evaluate(call({ out, saveStats, reporter: one.reporter }));
  expect(whole).toMatchObject({ images: 18, skipped: 1, samples: { n: 18, compared: 17 } });
  const kept = await Promise.all([out, saveStats].map((file) => fs.readFile(file)));

  await shard(3);
  await expect(shard(1, { signal: AbortSignal.abort() })).rejects.toThrow(/aborted/i);
  expect(await fs.readdir(home())).toEqual(['3-of-3']);
  await shard(2);
  await expect(mergeEvaluation(call())).rejects.toThrow(
    `received ${home()}, where part 1 of 3 is missing. Run vqgen evaluate --shard 1/3, as the others`,
  );
  expect(await shard(1)).toMatchObject({ shard: '1/3', already: false });
  const again = listening();
  expect(await shard(1, { reporter: again.reporter })).toMatchObject({ already: true });
  expect(again.said.join()).toContain('Part 1/3 is complete already');

  await expect(mergeEvaluation(call({ n: 17 }))).rejects.toThrow(
    /part 1 of 3, whose number of samples is not that now\. Run vqgen evaluate --shard 1\/3/,
  );
  const merged = listening();
  const result = await mergeEvaluation(call({ out, saveStats, reporter: merged.reporter }));
  expect({ ...result, seconds: 0 }).toEqual({ ...whole, seconds: 0 });
  expect(merged.said).toEqual(one.said);
  expect(await Promise.all([out, saveStats].map((file) => fs.readFile(file)))).toEqual(kept);
  await expect(fs.access(home())).rejects.toThrow();
});

test('what is of all goes with the merge', async () => {
  await expect(shard(1, { out: 'x.png' })).rejects.toThrow(
    'Expected nothing for --out but received x.png with --shard 1/3. It goes with --merge.',
  );
});

test('a VAE: the bound of its shards, and samples of numbers', async () => {
  const vae = path.join(root, 'vae');
  const plain = tinyConfig({}, { dir: data, size });
  const stage1 = { ...plain.stage1, bottleneck: { kind: 'gaussian' } };
  await saveTokenizer(vae, configSchema.parse({ ...plain, stage1 }));
  const whole = await evaluate(call({ run: vae }));
  expect(whole.tokenizer.elbo).toBeGreaterThan(0);
  for (const index of [2, 1]) await shard(index, { run: vae }, 2);
  expect({ ...(await mergeEvaluation(call({ run: vae }))), seconds: 0 }).toEqual({ ...whole, seconds: 0 });
});
