/** Import → export → import. What PyTorch says of exported files is in docs/exchange.md. */
import fs from 'node:fs';
import path from 'node:path';
import { stream } from '../../src/base/rng.js';
import { float32, int32 } from '../../src/base/tensor.js';
import { readRunConfig, runPaths } from '../../src/checkpoint/run.js';
import { loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import type { Config } from '../../src/config/schema.js';
import { exportTaming } from '../../src/exchange/export.js';
import { importCheckpoint } from '../../src/exchange/import.js';
import { importOwn } from '../../src/exchange/import-own.js';
import { lpipsNames } from '../../src/exchange/lpips.js';
import { fetchPlace, type Place, spreadPlace } from '../../src/exchange/places.js';
import { over, treeOf } from '../../src/nn/params.js';
import { gridsOf } from '../../src/stage1-vqgan/model.js';
import { gptLogits, gptSpecs } from '../../src/stage2-transformer/gpt/gpt.js';
import { gptSizes } from '../../src/stage2-transformer/gpt/index.js';
import { foldStart } from '../../src/stage2-transformer/gpt/sequences.js';
import { expectClose } from '../support/close.js';
import { eager } from '../support/parity.js';
import { contents, weightsOf } from './contents.js';
import { fixture, imported, quiet, temporaryFolder } from './fixtures.js';
import { trainedRun } from './trained-run.js';

const folder = temporaryFolder('round-trip');

describe.each([
  ['gumbel.ckpt', 'gumbel.yaml', 'vqgan'],
  ['vqgan-half.pt', undefined, 'vqgan'],
  ['remapped.ckpt', undefined, 'vqgan'],
  ['transformer.ckpt', 'transformer.yaml', 'transformer'],
])('%s', (checkpoint, yaml, name) => {
  test.each(['taming', 'safetensors'] as const)(
    'as %s: every tensor as it was, and the same run again',
    async (to) => {
      const run = await imported(folder(), checkpoint, yaml);
      const out = folder();
      const { files, losses } = await exportTaming({ run, to, out, reporter: quiet });
      expect(losses).toBe(false);
      const file = path.join(out, `${name}.${to === 'taming' ? 'ckpt' : 'safetensors'}`);
      expect(files).toContain(file);
      expect(await contents(file)).toEqual(await contents(fixture(checkpoint)));

      const again = folder();
      await importCheckpoint({
        checkpoint: file,
        config: path.join(out, `${name}.yaml`),
        run: again,
        reporter: quiet,
      });
      expect(await weightsOf(again, 'stage1')).toEqual(await weightsOf(run, 'stage1'));
      if (name === 'transformer')
        expect(await weightsOf(again, 'prior')).toEqual(await weightsOf(run, 'prior'));
    },
  );
});

test('in half precision: half the size, and what was half is what it was', async () => {
  const run = await imported(folder(), 'vqgan-half.pt');
  const [whole, half] = [folder(), folder()];
  await exportTaming({ run, to: 'taming', out: whole, reporter: quiet });
  await exportTaming({ run, to: 'taming', out: half, precision: 'f16', reporter: quiet });
  const file = path.join(half, 'vqgan.ckpt');
  expect(await contents(file)).toEqual(await contents(fixture('vqgan-half.pt')));
  const size = (folder: string) => fs.statSync(path.join(folder, 'vqgan.ckpt')).size;
  expect(size(half) / size(whole)).toBeLessThan(0.6);
});

test('names and shapes of LPIPS in a checkpoint', () => {
  const names = lpipsNames('loss.');
  expect(names).toHaveLength(2 * 13 + 5 + 2);
  expect(names).toContainEqual({ name: 'loss.net.slice1.0.weight', shape: [64, 3, 3, 3] });
  expect(names).toContainEqual({ name: 'loss.net.slice5.28.weight', shape: [512, 512, 3, 3] });
  expect(names).toContainEqual({ name: 'loss.lin2.model.1.weight', shape: [1, 256, 1, 1] });
});

test('the discriminator alone does not go: the published loss would miss LPIPS', async () => {
  const run = await imported(folder(), 'vqgan.ckpt', 'vqgan.yaml');
  const warnings: string[] = [];
  const reporter = { ...quiet, warn: (line: string) => void warnings.push(line) };
  const { losses } = await exportTaming({ run, to: 'taming', out: folder(), reporter });
  expect(losses).toBe(false);
  expect(warnings).toEqual([expect.stringContaining('Without discriminator')]);
});

test.each([
  ['batch', 'the run has no LPIPS weights'],
  ['group', 'its discriminator has no BatchNorm'],
  ['spectral', 'its discriminator has no BatchNorm'],
])('why a discriminator with disc.norm %s does not go', async (norm, why) => {
  const stage1 = { ch: 8, disc: { weight: 1, norm, ch: 8, layers: 1 } };
  const { run } = await trainedRun(folder(), norm, { stage1 });
  const warnings: string[] = [];
  const reporter = { ...quiet, warn: (line: string) => void warnings.push(line) };
  await exportTaming({ run, to: 'taming', reporter });
  expect(warnings).toContainEqual(expect.stringContaining(why));
});

test('a prior that learned classes stays behind with a warning; its tokenizer goes', async () => {
  const { run } = await trainedRun(folder(), 'classes', { stage1: { ch: 8 }, classes: ['cat', 'dog'] });
  const warnings: string[] = [];
  const reporter = { ...quiet, warn: (line: string) => void warnings.push(line) };
  const { files, prior } = await exportTaming({ run, to: 'taming', reporter });
  expect(files.map((file) => path.basename(file))).toEqual(['vqgan.ckpt', 'vqgan.yaml']);
  expect(prior).toBe(false);
  expect(warnings).toContainEqual(expect.stringMatching(/^Without the prior: .* --to onnx takes it/));
});

test.each([
  ['norm', 'rms', 'layer'],
  ['mlp', 'relu2', 'gelu'],
  ['qk_norm', true, 'false'],
  ['positions', 'rope', 'learned'],
])('a prior with %s %p is refused, and goes under vqgen’s own names', async (key, value, only) => {
  const { run } = await trainedRun(folder(), key, { stage1: { ch: 8 }, prior: { [key]: value } });
  await expect(exportTaming({ run, to: 'taming', reporter: quiet })).rejects.toThrow(
    `Expected ${only} for prior.${key} but received ${value}. taming-transformers has no other: ` +
      "--to safetensors writes it under vqgen's names, --to onnx for any runtime.",
  );
  const { files } = await exportTaming({ run, to: 'safetensors', reporter: quiet });
  const again = path.join(folder(), 'again');
  await importOwn({ files, run: again });
  const [before, after] = [await loadModel(run, 'prior'), await loadModel(again, 'prior')];
  expect(after.tensors).toEqual(before.tensors);
});

test('a prior that was trained in many orders goes out as one that reads row by row: the same logits', async () => {
  const { run, config } = await trainedRun(folder(), 'order', {
    stage1: { ch: 8 },
    prior: { order: 'annealed' },
  });
  const own = await loadModel(run, 'prior');
  for (const name of ['positions', 'targets'])
    for (const i of own.tensors[name]!.data.keys()) own.tensors[name]!.data[i] = Math.sin(i + 1);
  const state = { step: 4, seconds: 0, validated: 4, best: null, metrics: null };
  await saveCheckpoint(runPaths(run).prior, over('model', own.tensors), state, 1);
  const out = folder();
  await exportTaming({ run, to: 'taming', out, reporter: quiet });
  const again = path.join(folder(), 'again');
  await importCheckpoint({
    checkpoint: path.join(out, 'transformer.ckpt'),
    config: path.join(out, 'transformer.yaml'),
    run: again,
    reporter: quiet,
  });
  const logits = async (from: string, prior: Config['prior']) => {
    const sizes = gptSizes(prior, gridsOf(config));
    const { tensors } = await loadModel(from, 'prior');
    const { logits } = await eager({ ids: int32([1, 4], [16, 3, 1, 2]), ...tensors }, ({ ids, ...p }) => ({
      logits: gptLogits(sizes, treeOf(gptSpecs(sizes), p), ids!),
    }));
    return logits!;
  };
  const taken = readRunConfig(again).prior;
  expect(taken.order).toBe('raster');
  expectClose(await logits(again, taken), await logits(run, config.prior));
});

test('an export replaces an export and nothing else', async () => {
  const run = await imported(folder(), 'gumbel.ckpt', 'gumbel.yaml');
  const out = folder();
  await exportTaming({ run, to: 'taming', out, reporter: quiet });
  await exportTaming({ run, to: 'taming', out, reporter: quiet });
  fs.writeFileSync(path.join(out, 'mine.txt'), '');
  await expect(exportTaming({ run, to: 'taming', out, reporter: quiet })).rejects.toThrow(
    /which holds mine\.txt/,
  );
});

test('a start token that is no code moves into the first position', () => {
  const weights = {
    'tokens.weight': float32([3, 2], [1, 2, 3, 4, 10, 20]), // Two codes and the start token.
    positions: float32([2, 2], [0.5, 0.25, 7, 8]),
  };
  const published = { vocabulary: 2, block: 2, start: 0, classes: 0 };
  expect(Array.from(foldStart(weights, 2, published).positions!.data)).toEqual([9.5, 18.25, 7, 8]);
  const same = { ...weights, 'tokens.weight': float32([3, 2], [1, 2, 3, 4, 1, 2]) };
  expect(foldStart(same, 2, published)).toBe(same);
});

test.each<[string, Place]>([
  ['filter', place('filter', [3, 2, 4, 5], [[5, 4, 3, 2]])],
  ['filter, some rows', { ...place('filter', [1, 1, 4, 2], [[6, 4, 1, 1]]), rows: [5, 0] }],
  ['columns', place('columns', [3, 5], [[5, 3]])],
  [
    'columns of three',
    place(
      'columns',
      [3, 6],
      [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
    ),
  ],
  ['joined vectors', place('same', [6], [[2], [2], [2]])],
])('a place there and back: %s', async (_, at) => {
  const rng = stream('places');
  const theirs = Object.fromEntries(
    at.theirs.map(({ name, shape }) => {
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal());
      return [name, { dtype: 'F32' as const, shape, data }];
    }),
  );
  const ours = await fetchPlace(at, async (name) => theirs[name]!);
  expect(ours.shape).toEqual(at.ours.shape);
  const back = spreadPlace(at, ours, theirs);
  for (const [name, { data }] of Object.entries(theirs)) expect(back[name]!.data).toEqual(data);
});

test('what a filter and three projections become', async () => {
  const count = (n: number, from = 0) => Float32Array.from({ length: n }, (_, i) => from + i);
  const of = (tensors: Record<string, Float32Array>) => async (name: string) =>
    ({ dtype: 'F32', shape: [], data: tensors[name]! }) as const;
  const filter = await fetchPlace(place('filter', [1, 2, 2, 3], [[3, 2, 1, 2]]), of({ t0: count(12) }));
  expect(Array.from(filter.data)).toEqual([0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11]);
  const three = place(
    'columns',
    [2, 3],
    [
      [1, 2],
      [1, 2],
      [1, 2],
    ],
  );
  const qkv = await fetchPlace(three, of({ t0: count(2), t1: count(2, 10), t2: count(2, 20) }));
  expect(Array.from(qkv.data)).toEqual([0, 10, 20, 1, 11, 21]);
});

function place(order: Place['order'], ours: number[], theirs: number[][]): Place {
  return {
    ours: { name: 'ours', shape: ours },
    theirs: theirs.map((shape, i) => ({ name: `t${i}`, shape })),
    order,
  };
}
