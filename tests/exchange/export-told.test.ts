/** Priors that vqgen trained on what a tokenizer tells, as taming-transformers has them; those that it has not. */
import fs from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { float32, int32 } from '../../src/base/tensor.js';
import { readRunConfig, runPaths } from '../../src/checkpoint/run.js';
import { readSafetensors } from '../../src/checkpoint/safetensors.js';
import { loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import { parseConfig } from '../../src/config/layers.js';
import type { Config } from '../../src/config/schema.js';
import { valuesOf } from '../../src/data/map-labels.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { exportTaming } from '../../src/exchange/export.js';
import { importCheckpoint } from '../../src/exchange/import.js';
import { importOwn } from '../../src/exchange/import-own.js';
import { exportRunFolder } from '../../src/exchange/share.js';
import { treeOf } from '../../src/nn/params.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import { encodeProgram } from '../../src/stage1-vqgan/programs.js';
import { gptLogits, gptSpecs } from '../../src/stage2-transformer/gpt/gpt.js';
import { gptSizes } from '../../src/stage2-transformer/gpt/index.js';
import { loadModels, priorFor, recordTokenizer } from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { priorCondition, recordCondition } from '../../src/tokenize/conditions/begun.js';
import { conditionRecord, openConditioner } from '../../src/tokenize/conditions/index.js';
import { namedTokenizer, toldPlace } from '../../src/tokenize/conditions/tokenizer.js';
import { expectClose } from '../support/close.js';
import { eager } from '../support/parity.js';
import { saveTokenizer, tinyConfig } from '../support/run.js';
import { contents } from './contents.js';
import { quiet, temporaryFolder } from './fixtures.js';

const folder = temporaryFolder('export-told');
const labels = ['#ff0000', '#00ff00', '#101010'];
const stage1 = { ch: 4, norm_groups: 4, perceptual: { kind: 'none' } };
const configOf = (prior: object, data: object = {}): Config => {
  const base = tinyConfig({ layers: 2, mlp: 'gelu', class_labels: 'none', ...prior }, data);
  return parseConfig({ ...base, stage1: { ...base.stage1, ...stage1 } }, 'test');
};

/** A run whose prior is told something, all of random weights. */
async function toldRun(
  condition: object,
  prior: object = { start: 'told' },
  maps: object = {},
): Promise<string> {
  const run = folder();
  const config = configOf({ condition, ...prior });
  await saveTokenizer(run, config);
  const { kind, tokenizer } = config.prior.condition;
  const place = kind === 'none' ? undefined : toldPlace(run, { kind, tokenizer });
  if (place !== undefined && place !== run) await saveTokenizer(place, configOf({}, maps), { seed: 5 });
  const record = conditionRecord(config, {
    tokenizer: place === undefined ? undefined : await namedTokenizer(place),
    labels: labels.map((colour) => ({ colour, share: 1 / 3 })),
  });
  const state = priorStart(priorFor(config, [], record), 0);
  for (const [i, { data }] of Object.values(state).entries())
    for (const j of data.keys()) data[j] = 10 * data[j]! + 0.1 * Math.sin(i + j);
  await saveCheckpoint(
    runPaths(run).prior,
    state,
    { step: 3, seconds: 0, validated: 3, best: null, metrics: null },
    1,
  );
  await recordCondition(run, record);
  await recordTokenizer(run, (await loadModel(run, 'stage1')).sha256);
  return run;
}

/** Of canvases [2, T] the logits of the first 16 codes at the cells that are drawn. */
async function logitsOf(run: string, codes: Int32Array): Promise<number[]> {
  const { prior } = await loadModels(run);
  const sizes = gptSizes(readRunConfig(run).prior, prior.model.grids);
  const cells = codes.length / 2;
  const ids = int32(
    [2, cells - 1],
    codes.filter((_, i) => i % cells < cells - 1),
  );
  const { logits } = await eager({ ids, ...prior.tensors }, ({ ids, ...p }) => ({
    logits: gptLogits(sizes, treeOf(gptSpecs(sizes), p), ids!),
  }));
  return [...logits!.data].filter((_, i) => i % sizes.codes < 16);
}

/** What a run's prior is told of a picture, or a map. */
async function toldCodes(run: string, picture: Float32Array): Promise<number[]> {
  const { prior } = await loadModels(run);
  const { codes, dispose } = await openConditioner(prior.told!, { run, device: onnxDevice({ threads: 1 }) });
  const found = [...(await codes([picture]))];
  await dispose();
  return found;
}

async function codesOf(run: string, images: Float32Array, size = 8): Promise<number[]> {
  const model = { ...modelOf(readRunConfig(run)), size };
  const { tensors } = await loadModel(run, 'stage1');
  const program = encodeProgram(model, tensors, 1);
  const value = float32([1, size, size, 3], images);
  const { codes } = await eager({ images: value, ...tensors }, ({ images, ...p }) =>
    program.run({ images: images! }, p),
  );
  return [...codes!.data];
}

const maps = { kind: 'maps', tokenizer: 'somewhere' };

test('told by a tokenizer of label maps: out and in again, the same codes and logits', async () => {
  const run = await toldRun(maps, { start: 'told' }, { pictures: 'labels', labels });
  const out = folder();
  await exportTaming({ run, to: 'taming', out, reporter: quiet });
  const { model } = parse(fs.readFileSync(path.join(out, 'transformer.yaml'), 'utf8'));
  expect(model.params).toMatchObject({
    cond_stage_key: 'segmentation',
    cond_stage_config: {
      target: 'taming.models.vqgan.VQSegmentationModel',
      params: {
        ...{ n_labels: 3, image_key: 'segmentation', n_embed: 16, sane_index_shape: true },
        ddconfig: { in_channels: 3, out_ch: 3, resolution: 8 },
      },
    },
    transformer_config: { params: { vocab_size: 17, block_size: 7 } },
  });
  const file = path.join(out, 'transformer.ckpt');
  expect((await contents(file))['cond_stage_model.colorize']).toMatch(/^F32 \[3,3,1,1\] /);

  const again = folder();
  await importCheckpoint({
    checkpoint: file,
    config: path.join(out, 'transformer.yaml'),
    run: again,
    reporter: quiet,
  });
  const codes = Int32Array.from({ length: 16 }, (_, i) => (5 * i) % 16);
  expectClose(
    { shape: [2, 7, 16], data: Float32Array.from(await logitsOf(again, codes)) },
    await logitsOf(run, codes),
  );
  // The checkpoint does not say in which colours labels are shown: they are grey, in the same order.
  const map = Array.from({ length: 64 }, (_, i) => (i * i) % 3);
  const inColours = (of: string) =>
    Float32Array.from(map.flatMap((label) => valuesOf(readRunConfig(of).data.labels[label]!)));
  const [before, after] = [run, again].map((of) => runPaths(of).condition) as [string, string];
  expect(readRunConfig(after).data.labels).toEqual(['#000000', '#010101', '#020202']);
  expect(await codesOf(after, inColours(after))).toEqual(await codesOf(before, inColours(before)));
});

test('told by a tokenizer of depth, and by its own of fewer pixels', async () => {
  const sections = [
    [maps, { pictures: 'depth' }, { cond_stage_key: 'depth' }],
    [
      { kind: 'lowres', tokenizer: 'own', side: 4 },
      {},
      { cond_stage_key: 'image', cond_stage_config: '__is_first_stage__', downsample_cond_size: 4 },
    ],
  ] as const;
  for (const [condition, data, section] of sections) {
    const run = await toldRun(condition, { start: 'told' }, data);
    const [out, again] = [folder(), folder()];
    await exportTaming({ run, to: 'taming', out, reporter: quiet });
    const { model } = parse(fs.readFileSync(path.join(out, 'transformer.yaml'), 'utf8'));
    expect(model.params).toMatchObject(section);
    const file = path.join(out, 'transformer.ckpt');
    const all = await contents(file);
    if (condition.kind === 'lowres')
      for (const name of Object.keys(all))
        if (name.startsWith('cond_stage_model.')) expect(all[name]).toBe(all[name.replace('cond', 'first')]);
    await importCheckpoint({
      checkpoint: file,
      config: path.join(out, 'transformer.yaml'),
      run: again,
      reporter: quiet,
    });
    // Of a picture the same codes there and here; as published, of fewer pixels by nearest.
    const record = (await loadModels(again)).prior.told!;
    expect(record.kind).toBe(condition.kind);
    const picture = Float32Array.from({ length: 192 }, (_, i) => Math.sin(i * i));
    const found = await Promise.all([run, again].map((of) => toldCodes(of, picture)));
    expect(found[1]).toEqual(found[0]);
    if (condition.kind === 'lowres') {
      expect(readRunConfig(again).prior.condition).toMatchObject(condition);
      const few = Float32Array.from({ length: 48 }, (_, i) => {
        const [y, x] = [Math.floor(i / 12), Math.floor(i / 3) % 4];
        return picture[3 * (8 * 2 * y + 2 * x) + (i % 3)]!;
      });
      expect(found[0]).toEqual(await codesOf(run, few, 4));
      expect(fs.existsSync(runPaths(again).condition)).toBe(false);
    }
    const cells = condition.kind === 'lowres' ? 5 : 8;
    const codes = Int32Array.from({ length: 2 * cells }, (_, i) => (5 * i) % 16);
    expectClose(
      { shape: [2, cells - 1, 16], data: Float32Array.from(await logitsOf(again, codes)) },
      await logitsOf(run, codes),
    );
  }
});

test.each([
  [
    { kind: 'edges' },
    { start: 'told' },
    /^Expected maps or lowres by a tokenizer for prior\.condition\.kind but received edges\. Published transformers are told the codes of a tokenizer, as prior\.condition\.tokenizer names one\. .*--to safetensors/,
  ],
  [
    { kind: 'lowres', tokenizer: 'own', side: 4 },
    {},
    /^Expected told for prior\.start but received token\. Published transformers begin with what they are told: --set prior\.start=told trains such a prior\. .*--to safetensors/,
  ],
])('%j with %j is refused', async (condition, prior, sentence) => {
  const [run, out] = [await toldRun(condition, prior), folder()];
  await expect(exportTaming({ run, to: 'taming', out, reporter: quiet })).rejects.toThrow(sentence);
  expect(fs.existsSync(out)).toBe(false);
});

test('a tokenizer of what is told that the published code has not is refused by its key', async () => {
  const run = await toldRun(maps, { start: 'told' }, { pictures: 'depth' });
  const { condition } = runPaths(run);
  const config = readRunConfig(condition);
  const strided = { ...config, stage1: { ...config.stage1, network: 'strided' } };
  await saveTokenizer(condition, parseConfig(strided, 'test'));
  const { sha256 } = await loadModel(condition, 'stage1');
  const told = priorCondition(run)!;
  await recordCondition(run, { ...told, tokenizer: { ...told.tokenizer!, sha256 } });
  await expect(exportTaming({ run, to: 'taming', out: folder(), reporter: quiet })).rejects.toThrow(
    "Expected vqgan for the condition's stage1.network but received strided.",
  );
});

test('under vqgen’s own names its tokenizer goes along, and back', async () => {
  const run = await toldRun(maps, {}, { pictures: 'labels', labels });
  const { files } = await exportTaming({ run, to: 'safetensors', out: folder(), reporter: quiet });
  expect(files.map((file) => path.basename(file))).toEqual([
    'model.safetensors',
    'prior.safetensors',
    'condition.safetensors',
  ]);
  const again = folder();
  await importOwn({ files: [...files].reverse(), run: again });
  const [own, taken] = [await loadModels(run), await loadModels(again)];
  expect(taken.prior.tensors).toEqual(own.prior.tensors);
  const [before, after] = [run, again].map((of) => runPaths(of).condition) as [string, string];
  const told = await loadModel(after, 'stage1');
  expect(told.tensors).toEqual((await loadModel(before, 'stage1')).tensors);
  const tokenizer = { ...own.prior.told?.tokenizer, sha256: told.sha256 };
  expect(taken.prior.told).toEqual({ ...own.prior.told, tokenizer });
  expect(readRunConfig(after).data).toMatchObject({ pictures: 'labels', labels });
  expect(readRunConfig(again).prior.condition).toMatchObject({ tokenizer: path.resolve(after), maps: null });

  const [model, prior, condition] = files as [string, string, string];
  await expect(importOwn({ files: [model, prior], run: folder() })).rejects.toThrow(
    `Expected the condition.safetensors of the same export for CHECKPOINT but received ${model} and ${prior}. It makes the codes that the prior is told`,
  );
  await expect(importOwn({ files: [model, condition], run: folder() })).rejects.toThrow(
    /Expected model\.safetensors and at most the prior\.safetensors and condition\.safetensors/,
  );
});

test.each(['taming', 'safetensors', 'run'] as const)('--to %s hands on no other tokenizer', async (to) => {
  const [run, out] = [await toldRun(maps, { start: 'told' }, { pictures: 'depth' }), folder()];
  const exported = () =>
    to === 'run'
      ? exportRunFolder({ run, out, reporter: quiet })
      : exportTaming({ run, to, out, reporter: quiet });
  const { condition } = runPaths(run);
  fs.rmSync(condition, { recursive: true });
  await expect(exported()).rejects.toThrow(
    /^Expected the tokenizer \w{8}, of whose codes the prior is told, for .*condition but received no tokenizer\. Copy it there again: vqgen tokenize --run /,
  );
  await saveTokenizer(condition, configOf({}, { pictures: 'depth' }), { seed: 6 });
  await expect(exported()).rejects.toThrow(
    /^Expected the tokenizer \w{8}, of whose codes the prior is told, for .*condition but received \w{8}\. A prior knows no codes of another/,
  );
  expect(fs.existsSync(out)).toBe(false);
});

test('--to run: its tokenizer goes along without what only its training did, under its new name', async () => {
  const places = { dir: '/home/me/secret/of/maps', val_dir: null };
  const run = await toldRun({ ...maps, maps: '/home/me/secret/maps' }, {}, { pictures: 'depth', ...places });
  const { condition } = runPaths(run);
  const size = weightsSize(condition);
  const out = folder();
  await exportRunFolder({ run, out, precision: 'f16', reporter: quiet });
  const copy = runPaths(out).condition;
  expect(readRunConfig(copy).data.dir).toMatch(/\/of\/maps$/);
  expect(readRunConfig(copy).stage1.ema).toBe(0);
  expect(fs.readFileSync(runPaths(copy).config, 'utf8')).not.toContain('secret');
  expect(weightsSize(copy)).toBeLessThan(0.7 * size);
  const { prior } = await loadModels(out);
  expect(prior.told?.tokenizer?.sha256).toBe((await loadModel(copy, 'stage1')).sha256);
  expect(JSON.parse(fs.readFileSync(runPaths(out).config, 'utf8')).prior.condition.tokenizer).toBe(
    './condition',
  );
  expect(await toldCodes(out, new Float32Array(192))).toHaveLength(4);
});

const weightsSize = (run: string): number => {
  const { stage1 } = runPaths(run);
  const [step] = fs.readdirSync(stage1).filter((name) => name.startsWith('step-')) as [string];
  return fs.statSync(path.join(stage1, step, 'model.safetensors')).size;
};

test('codes that no picture has are never drawn by the published sampling', async () => {
  const [run, out] = [await toldRun(maps, { start: 'told' }, { pictures: 'depth' }), folder()];
  await exportTaming({ run, to: 'taming', out, reporter: quiet });
  const again = folder();
  await importCheckpoint({
    checkpoint: path.join(out, 'transformer.ckpt'),
    config: path.join(out, 'transformer.yaml'),
    ...{ run: again, reporter: quiet },
  });
  // The code that says that nothing is told is the table's last row, which an import leaves aside.
  const kept = await readSafetensors(path.join(runPaths(again).prior, 'published.safetensors'));
  const head = Object.entries(kept.tensors).find(([name]) => name.endsWith('head.weight'))![1];
  const { tensors } = (await loadModels(run)).prior;
  const width = tensors['norm.gamma']!.data.length;
  const row = (head.data as Float32Array).subarray(16 * width, 17 * width);
  // What the last norm gives for two readings of the same mean.
  const logit = (spread: number) =>
    row.reduce((sum, w, d) => {
      const n = spread * (d % 2 ? 1 : -1);
      return sum + w * (n * tensors['norm.gamma']!.data[d]! + tensors['norm.beta']!.data[d]!);
    }, 0);
  for (const spread of [1, -1]) expect(logit(spread)).toBeLessThan(-50);
});
