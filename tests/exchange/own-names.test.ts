/** Runs of a form that taming-transformers has not, as safetensors; and what of a run they need not know. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { readRunConfig, runPaths } from '../../src/checkpoint/run.js';
import { readSafetensors, toHosts } from '../../src/checkpoint/safetensors.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { exportTaming } from '../../src/exchange/export.js';
import { importCheckpoint } from '../../src/exchange/import.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import { walkPrograms } from '../../src/stage1-vqgan/programs.js';
import { expectClose } from '../support/close.js';
import { noise } from '../support/parity.js';
import { quiet, temporaryFolder } from './fixtures.js';
import { numbersRun } from './numbers-run.js';
import { trainedRun } from './trained-run.js';

const folder = temporaryFolder('own-names');

test('numbers: model.safetensors has every tensor by its own name, and the config', async () => {
  const { run, config } = await numbersRun(folder(), 'cvae vector', { data: { dir: '/private/photos' } });
  const notes: string[] = [];
  const reporter = { ...quiet, note: (line: string) => void notes.push(line) };
  const summary = await exportTaming({ run, to: 'safetensors', reporter });
  const file = path.join(run, 'safetensors', 'model.safetensors');
  const { tensors, sha256 } = await loadModel(run, 'stage1');
  expect(summary).toMatchObject({ files: [file], tensors: Object.keys(tensors).length, prior: false });
  expect(notes).toEqual([expect.stringMatching(/^taming-transformers has no such model/)]);
  const written = await readSafetensors(file);
  expect(toHosts(written.tensors)).toEqual(tensors);
  expect(written.metadata).toMatchObject({ tokenizer: sha256, precision: 'float32' });
  const said = JSON.parse(written.metadata.config!);
  expect(said).toEqual({ ...config, data: { ...config.data, dir: 'photos' } });
  await exportTaming({ run, to: 'safetensors', precision: 'f16', reporter }); // an export replaces an export
  const halves = (await readSafetensors(file)).tensors['decoder.conv_out.weight']!.data as Float32Array;
  expect(halves).not.toEqual(tensors['decoder.conv_out.weight']!.data);
});

test.each<[string, object, object?]>([
  ['lfq', { bottleneck: { kind: 'lfq' } }],
  ['fsq', { bottleneck: { kind: 'fsq', levels: [5, 4, 2] }, codes: 40 }],
  ['cosine', { bottleneck: { kind: 'cosine' } }],
  ['groups', { ch: 12, norm_groups: 3 }],
  ['hierarchy', { bottleneck: { kind: 'hierarchy', levels: [{}, { kind: 'lfq' }] } }],
  ['pixelcnn', {}, { kind: 'pixelcnn' }],
  ['maskgit', {}, { kind: 'maskgit' }],
  ['strided', { network: 'strided', attn_resolutions: [] }],
  ['filter', { filter: 'photo' }],
])('%s, with a prior of classes', async (name, stage1, prior = {}) => {
  const { run } = await trainedRun(folder(), name, { stage1, prior, classes: ['cat', 'dog'] });
  const { files, ...summary } = await exportTaming({ run, to: 'safetensors', reporter: quiet });
  expect(files.map((file) => path.basename(file))).toEqual(['model.safetensors', 'prior.safetensors']);
  expect(summary.prior).toBe(true);
  for (const [i, stage] of (['stage1', 'prior'] as const).entries()) {
    const { tensors } = await readSafetensors(files[i]!);
    expect(toHosts(tensors)).toEqual((await loadModel(run, stage)).tensors);
  }
  expect((await readSafetensors(files[1]!)).metadata).toMatchObject({ classes: '["cat","dog"]' });
  const refused = exportTaming({ run, to: 'taming', out: folder(), reporter: quiet });
  await expect(refused).rejects.toThrow(
    /taming-transformers has no other: --to safetensors writes it under vqgen's names, --to onnx for any runtime\.$/,
  );
});

test('a tokenizer alone is published whatever prior its config names', async () => {
  const { run } = await trainedRun(folder(), 'alone', { stage1: { ch: 8 }, prior: { kind: 'maskgit' } });
  const refused = exportTaming({ run, to: 'taming', reporter: quiet });
  await expect(refused).rejects.toThrow('Expected gpt for prior.kind but received maskgit.');
  await fs.rm(runPaths(run).prior, { recursive: true });
  const { files } = await exportTaming({ run, to: 'taming', reporter: quiet });
  expect(files.map((file) => path.basename(file))).toEqual(['vqgan.ckpt', 'vqgan.yaml']);
});

test('a tokenizer that learned from masked pictures is published as one of whole pictures', async () => {
  const masked = { ch: 8, corrupt: { kind: 'mask', amount: 0.6 } };
  const { run } = await trainedRun(folder(), 'masked', { stage1: masked });
  const out = folder();
  await exportTaming({ run, to: 'taming', out, reporter: quiet });
  const again = folder();
  const project = { checkpoint: path.join(out, 'vqgan.ckpt'), config: path.join(out, 'vqgan.yaml') };
  await importCheckpoint({ ...project, run: again, reporter: quiet });

  const device = onnxDevice({ threads: 1 });
  const pointsOf = async (run: string) => {
    const { tensors } = await loadModel(run, 'stage1');
    const graph = await device.prepare(walkPrograms(modelOf(readRunConfig(run)), tensors, 4).toPoint);
    const { point } = await graph.run({ images: noise([4, 8, 8, 3], 'masked', 0.5) });
    await graph.dispose();
    return point!;
  };
  expectClose(await pointsOf(again), await pointsOf(run), { atol: 1e-5, rtol: 1e-4 });
  expect(readRunConfig(again).stage1.corrupt.kind).toBe('none');
});
