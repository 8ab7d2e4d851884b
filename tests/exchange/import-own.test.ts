/** What vqgen exports under its own names is a run again: the same weights, which later commands take. */
import fs from 'node:fs';
import path from 'node:path';
import { readRunConfig } from '../../src/checkpoint/run.js';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { importWords } from '../../src/cli/import.js';
import { exportTaming } from '../../src/exchange/export.js';
import { loadModels } from '../../src/stage2-transformer/model.js';
import { quiet, temporaryFolder } from './fixtures.js';
import { numbersRun } from './numbers-run.js';
import { trainedRun } from './trained-run.js';

const folder = temporaryFolder('import-own');

const back = (files: readonly string[], flags: object = {}) => importWords(files, flags, quiet);

const lfq = (name: string) =>
  trainedRun(folder(), name, { stage1: { bottleneck: { kind: 'lfq' }, ema: 0.5 }, classes: ['cat', 'dog'] });

test('tokenizer and prior, by command', async () => {
  const { run, config } = await lfq('lfq');
  const { files } = await exportTaming({ run, to: 'safetensors', reporter: quiet });
  const again = path.join(folder(), 'again');
  const { summary, lines } = await back([...files].reverse(), { run: again });
  expect(summary).toMatchObject({ run: again, kind: 'vqgen', step: 1, size: 8, prior: true });
  expect(lines.at(-1)).toBe(`Next: vqgen info ${again}`);
  const [own, taken] = [await loadModels(run), await loadModels(again)];
  expect(taken.tokenizer.tensors).toEqual(own.tokenizer.tensors);
  expect(taken.prior.tensors).toEqual(own.prior.tensors);
  expect(taken.prior.classes).toEqual(['cat', 'dog']);
  expect([taken.tokenizer.step, taken.prior.step]).toEqual([own.tokenizer.step, own.prior.step]);
  const stage1 = { ...config.stage1, ema: 0 };
  expect(readRunConfig(again)).toEqual({ ...config, data: { ...config.data, dir: null }, stage1 });
});

test('numbers in half precision, without a prior', async () => {
  const { run } = await numbersRun(folder(), 'cvae');
  const { files } = await exportTaming({ run, to: 'safetensors', precision: 'f16', reporter: quiet });
  const again = path.join(folder(), 'again');
  await back(files, { run: again });
  const { 'bottleneck.class_means': means } = (await loadModel(again, 'stage1')).tensors;
  const { 'bottleneck.class_means': own } = (await loadModel(run, 'stage1')).tensors;
  expect(means!.shape).toEqual(own!.shape);
  for (const [i, mean] of means!.data.entries()) expect(mean).toBeCloseTo(own!.data[i]!, 2);
});

test('mistakes', async () => {
  const { run } = await lfq('one');
  const [model, prior] = (await exportTaming({ run, to: 'safetensors', reporter: quiet })).files as [
    string,
    string,
  ];
  const again = path.join(folder(), 'never');
  await expect(back([model])).rejects.toThrow('Expected a new folder for --run but received nothing.');
  await expect(back([model], { run })).rejects.toThrow(/Expected a new folder for --run .* which exists/);
  await expect(back([model], { run: again, set: ['prior.heads=2'] })).rejects.toThrow(
    `Expected nothing for --set with ${model} but received prior.heads=2. It holds the config of its run.`,
  );
  const pair =
    /Expected model\.safetensors and at most the prior\.safetensors and condition\.safetensors of the same export/;
  await expect(back([prior], { run: again })).rejects.toThrow(pair);
  await expect(back([model, model], { run: again })).rejects.toThrow(pair);
  const { tensors, metadata } = await readSafetensors(prior);
  const other = path.join(folder(), 'prior.safetensors');
  await writeSafetensors(other, tensors, { ...metadata, tokenizer: 'another' });
  await expect(back([model, other], { run: again })).rejects.toThrow(pair);
  const { 'norm.gamma': _, ...fewer } = tensors;
  await writeSafetensors(other, fewer, metadata);
  await expect(back([model, other], { run: again })).rejects.toThrow(
    `Expected norm.gamma [8] for ${other} but received no such tensor.`,
  );
  await writeSafetensors(other, { ...tensors, more: tensors['norm.gamma']! }, metadata);
  await expect(back([model, other], { run: again })).rejects.toThrow('Expected no other tensor');
  expect(fs.existsSync(again)).toBe(false);
});
