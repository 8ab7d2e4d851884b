/** `vqgen evaluate` on a very small run, and its feature spaces. */

import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { type Reporter, silent } from '../../src/base/progress.js';
import { float32 } from '../../src/base/tensor.js';
import { readRunConfig, runPaths } from '../../src/checkpoint/run.js';
import { readSafetensors } from '../../src/checkpoint/safetensors.js';
import { loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import { parseConfig } from '../../src/config/layers.js';
import type { Device } from '../../src/engine/device.js';
import { GraphBuilder, type Value } from '../../src/engine/graph.js';
import { openDevice } from '../../src/engine/index.js';
import { encodeModel, type Port, port } from '../../src/engine/onnx.js';
import { type EvaluateOptions, evaluate } from '../../src/evaluate/evaluate.js';
import { onnxSpace, vqgenSpace } from '../../src/evaluate/features.js';
import { gatherSamples, observeSamples } from '../../src/evaluate/samples.js';
import { over } from '../../src/nn/params.js';
import { type Classifier, openClassifier } from '../../src/perceptual/classifier.js';
import { trainPerceptual } from '../../src/perceptual/train.js';
import { inProportion } from '../../src/sample/classes.js';
import { reconstruct } from '../../src/sample/reconstruct.js';
import { openSource } from '../../src/sample/sources.js';
import { gridsOf } from '../../src/stage1-vqgan/model.js';
import { priorFor, recordClasses, recordTokenizer, tokensFor } from '../../src/stage2-transformer/model.js';
import { labelled } from '../../src/stage2-transformer/sequences.js';
import { meanLosses, priorEvaluation, priorStart } from '../../src/stage2-transformer/step.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { saveTokenizer, temporaryFolder, tinyConfig, writePictures } from '../support/run.js';

const images = 21; // the last batch is short
const size = 16;
const ownFeatures = expect.stringMatching(/^vqgen-classifier [0-9a-f]{12}, 16 px$/);

let root: string;
let data: string;
let run: string;
let device: Device;

beforeAll(async () => {
  root = await temporaryFolder();
  data = path.join(root, 'data');
  run = path.join(root, 'run');
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  await writePictures(data, images, size);
  await saveTokenizer(run, tinyConfig({}, { dir: data, size, flip: true }));
});
afterAll(() => fs.rm(root, { recursive: true }));

const measure = (o: Partial<EvaluateOptions> = {}) =>
  evaluate({ run, data, n: 18, device, reporter: silent, ...o });

function listening(): { reporter: Reporter; said: string[] } {
  const said: string[] = [];
  const hear = (line: string) => void said.push(line);
  return { said, reporter: { ...silent, note: hear, warn: hear } };
}

describe('a run that has only a tokenizer', () => {
  test('is measured, and it is said what is left out', async () => {
    const { reporter, said } = listening();
    const summary = await measure({ reporter, n: undefined });
    expect(summary).toMatchObject({ run, data, images, skipped: 0, prior: null, samples: null });
    expect(summary.features).toEqual({ name: ownFeatures, width: 192 });
    expect(Object.keys(summary.tokenizer)).toEqual([
      ...[
        'psnr',
        'ssim',
        'perceptual',
        'perceptual_network',
        'pattern_luma',
        'pattern_colour',
        'pattern_lattice',
        'colour_shift',
      ],
      ...['rfd_vqgen', 'codebook_usage', 'perplexity'],
    ]);
    expect(said).toEqual([
      'The run has no prior: its likelihoods and samples are left out.',
      'rfd_vqgen is of 21 images in 192 dimensions and too high: a covariance needs at least 193, a number to compare some thousands.',
    ]);
  });

  test('options of samples are told to do nothing', async () => {
    const { reporter, said } = listening();
    await measure({ reporter, cfgScale: 2, out: path.join(root, 'never.png') });
    expect(said).toContain('Without samples nothing comes of --n, --out, --cfg-scale.');
  });

  test('by the numbers of reconstruct and tokenize', async () => {
    const { tokenizer } = await measure();
    const { psnr } = await reconstruct({ run, images: [data], device, reporter: silent });
    expect(tokenizer.psnr).toBeCloseTo(psnr, 2); // one rounds reconstructions once more
    const { usage } = await tokenize({ run, dataset: data, split: 'all', device, reporter: silent });
    expect(tokenizer.codebook_usage).toBe(usage);
  });

  test('of several grids also the codebook of each', async () => {
    const run = path.join(root, 'hierarchy');
    const { stage1, ...rest } = tinyConfig({}, { dir: data, size });
    const levels = [{ codes: 8 }, { kind: 'lfq' }];
    const config = parseConfig(
      { ...rest, stage1: { ...stage1, bottleneck: { kind: 'hierarchy', levels } } },
      run,
    );
    await saveTokenizer(run, config);
    const { tokenizer } = await measure({ run });
    const { usage, grids } = await tokenize({ run, dataset: data, split: 'all', device, reporter: silent });
    const [top, bottom] = grids!;
    expect([top, bottom]).toMatchObject([
      { name: 'top', height: 2, width: 2, vocab: 8 },
      { name: 'bottom', height: 4, width: 4, vocab: 16 },
    ]);
    const measured = {
      codebook_usage_top: top!.usage,
      codebook_usage_bottom: bottom!.usage,
      codebook_usage: usage,
    };
    expect(tokenizer).toMatchObject(measured);
    expect(usage).toBeCloseTo((8 * top!.usage + 16 * bottom!.usage) / 24, 10);
    expect(tokenizer.perplexity_top).toBeLessThanOrEqual(8 * top!.usage);
  });

  test('a picture that cannot be read is skipped and told', async () => {
    const other = path.join(root, 'damaged');
    await writePictures(other, 3, size);
    await fs.writeFile(path.join(other, 'x.png'), 'none');
    const { reporter, said } = listening();
    expect(await measure({ data: other, reporter })).toMatchObject({ images: 3, skipped: 1 });
    expect(said).toContainEqual(expect.stringMatching(/^1 of 4 images was skipped: x.png/));
  });
});

describe('a classifier', () => {
  test('says how often it finds the class of the images, of those that it knows', async () => {
    const classifier = path.join(root, 'classifier');
    await trainPerceptual({
      ...{ data: [data], val: [], out: classifier, size, steps: 1, resume: false },
      ...{ device, reporter: silent },
    });
    const summary = await measure({ classifier });
    expect(summary.classifier).toMatchObject({ images });
    expect(summary.classifier!.name).toMatch(/^vqgen-classifier [0-9a-f]{12}$/);
    const own = await openClassifier(device, classifier);
    let right = 0;
    for (let i = 0; i < images; i++) {
      const meant = i % 2 ? 'b' : 'a';
      const bytes = await sharp(path.join(data, meant, `${i}.png`))
        .raw()
        .toBuffer();
      const pixels = Float32Array.from(bytes, (byte) => byte / 127.5 - 1);
      const [found] = (await own.classify(float32([1, size, size, 3], pixels))).classes;
      if (found === meant) right++;
    }
    await own.dispose();
    expect(right).toBeGreaterThan(0);
    expect(right).toBeLessThan(images);
    expect(summary.classifier!.accuracy).toBe(right / images);
    expect((await measure()).classifier).toBeNull();

    const partly = path.join(root, 'partly');
    await fs.cp(data, partly, { recursive: true });
    await fs.rename(path.join(partly, 'b'), path.join(partly, 'c'));
    expect((await measure({ classifier, data: partly })).classifier).toMatchObject({ images: 11 });
    await fs.rename(path.join(partly, 'a'), path.join(partly, 'd'));
    await expect(measure({ classifier, data: partly })).rejects.toThrow(
      /^Expected images in subfolders named like its classes \(a, b\) for --classifier but received .*classifier and .*partly with c, d\./,
    );
  });
});

describe('a run with a prior', () => {
  beforeAll(async () => {
    const state = { step: 1, seconds: 0, validated: 1, best: null, metrics: null };
    const config = tinyConfig({}, { size });
    await saveCheckpoint(runPaths(run).prior, priorStart(priorFor(config), 0), state, 1);
  });

  test('likelihoods: those of its validation on the same tokens', async () => {
    const { prior } = await measure({ n: 2 });
    const config = readRunConfig(run);
    const { tensors } = await loadModel(run, 'prior');
    const tokenizer = await loadModel(run, 'stage1');
    await tokenize({ run, dataset: data, split: 'all', device, reporter: silent });
    const tokens = await tokensFor(run, 'all', gridsOf(config), tokenizer);
    const model = priorFor(config);
    const graph = await device.prepare(priorEvaluation(model, 3));
    const rows = Int32Array.from({ length: images }, (_, i) => i);
    const { loss: nats } = await meanLosses(graph, model, labelled(tokens, []), rows, {
      batch: 3,
      weights: over('model', tensors),
    });
    expect(prior!.loss).toBeCloseTo(nats, 5);
    expect(prior!.bits_per_token).toBeCloseTo(nats / Math.log(2), 5);
    // 4 × 4 codes for 16 × 16 × 3 values.
    expect(prior!.bits_per_dimension).toBeCloseTo(nats / Math.log(2) / 48, 6);
  });

  test('samples, and the picture of their nearest training images', async () => {
    const out = path.join(root, 'nearest.png');
    const { samples } = await measure({ out, seed: 3, topK: 5 });
    expect(samples).toMatchObject({
      n: 18,
      seed: 3,
      top_k: 5,
      reference_images: images,
      compared: 18,
      picture: out,
    });
    for (const name of ['fd_vqgen', 'nearest_train', 'nearest_train_reconstructions']) {
      expect(samples![name]).toBeGreaterThan(0);
    }
    for (const name of ['nearest_train', 'nearest_train_reconstructions']) {
      expect(samples![`${name}_least`]).toBeLessThanOrEqual(Number(samples![name]));
    }
    for (const name of ['nearest_sample_least', 'nearest_reconstruction_least']) {
      expect(samples![name]).toBeGreaterThanOrEqual(0); // so small a model draws the same again
    }
    for (const name of ['precision_vqgen', 'recall_vqgen']) {
      expect(samples![name]).toBeGreaterThanOrEqual(0);
      expect(samples![name]).toBeLessThanOrEqual(1);
    }
    // Eight columns of 16 pixels, six rows (18 samples, each above its image), enlarged six times.
    const { width, height } = await sharp(out).metadata();
    expect([width, height]).toEqual([(8 * 18 - 2) * 6, (6 * 18 - 2) * 6]);
    expect(await measure({ out, seed: 3, topK: 5 })).toMatchObject({ samples });
  });

  test('where the run takes no picture, the numbers come without', async () => {
    const closed = path.join(root, 'closed');
    await fs.cp(run, closed, { recursive: true });
    await fs.rm(path.join(closed, 'samples'), { recursive: true, force: true });
    await fs.writeFile(path.join(closed, 'samples'), 'in the way');
    const { reporter, said } = listening();
    const { samples } = await measure({ run: closed, n: 2, reporter });
    expect(samples).toMatchObject({ nearest_train: expect.any(Number), picture: null });
    expect(said).toContainEqual(
      expect.stringMatching(/^The picture of nearest .* .*closed takes none, where .* is a file\. --out/),
    );
  });

  test('with classes: likelihoods are those given the class, samples are of each as often as the images', async () => {
    const classed = path.join(root, 'classed');
    await fs.cp(run, classed, { recursive: true });
    const config = readRunConfig(run);
    const model = priorFor(config, ['b', 'a']);
    const start = priorStart(model, 0);
    for (const t of Object.values(start)) for (const i of t.data.keys()) t.data[i] = 20 * t.data[i]!;
    const state = { step: 2, seconds: 0, validated: 2, best: null, metrics: null };
    await saveCheckpoint(runPaths(classed).prior, start, state, 1);
    await recordClasses(classed, ['b', 'a']);

    const { prior, samples } = await measure({ run: classed, n: 18, cfgScale: 2 });
    expect(samples).toMatchObject({ n: 18, cfg_scale: 2 });
    await tokenize({ run: classed, dataset: data, split: 'all', device, reporter: silent });
    const tokenizer = await loadModel(classed, 'stage1');
    const tokens = await tokensFor(classed, 'all', gridsOf(config), tokenizer);
    const graph = await device.prepare(priorEvaluation(model, 3));
    const weights = over('model', (await loadModel(classed, 'prior')).tensors);
    const rows = Int32Array.from({ length: images }, (_, i) => i);
    const loss = async (classes: string[]) =>
      (await meanLosses(graph, model, labelled(tokens, classes), rows, { batch: 3, weights })).loss;
    expect(prior!.loss).toBeCloseTo(await loss(['b', 'a']), 5);
    expect(Math.abs((prior!.loss as number) - (await loss(['a', 'b'])))).toBeGreaterThan(1e-3);

    const source = await openSource({
      run: classed,
      device,
      reporter: silent,
      classOf: inProportion([1, 3]),
    });
    const space = await vqgenSpace(device, size, 16);
    const sees = (name: string): Classifier => ({
      ...{ name: '', file: '', classes: ['a', 'z'], size, dispose: async () => {} },
      classify: async ({ shape }) => ({
        classes: new Array(shape[0]!).fill(name),
        probabilities: new Float32Array(),
      }),
    });
    const drawAs = (name: string) => {
      const part = { from: 0, to: 16 };
      const o = { part, batch: 16, space, onPlace: () => {}, classifier: sees(name) };
      return gatherSamples(observeSamples(source, o), { n: 16, show: 1, size, width: space.width });
    };
    const drawn = await drawAs('a');
    expect(drawn.classified).toEqual({ images: 12, right: 12 }); // 4 are of b, which it does not know
    expect((await drawAs('z')).classified).toEqual({ images: 12, right: 0 });
    await source.dispose();
    await space.dispose();

    const unknown = path.join(root, 'unknown');
    await fs.cp(path.join(data, 'a'), path.join(unknown, 'zebra'), { recursive: true });
    const { reporter, said } = listening();
    await measure({ run: classed, data: unknown, n: 2, reporter });
    expect(said).toContain(
      '11 of 11 images are of no class that the run knows: their likelihoods are those of images without, or left out of the bound.',
    );
  });

  test('statistics once saved take the place of the folder, and say of which images they are', async () => {
    const file = path.join(root, 'stats.safetensors');
    const { samples } = await measure({ saveStats: file });
    const { tensors, metadata } = await readSafetensors(file);
    expect(metadata).toMatchObject({ count: `${images}`, features: ownFeatures });
    expect(tensors.covariance).toMatchObject({ dtype: 'F64', shape: [192, 192] });
    const few = path.join(root, 'few');
    await writePictures(few, 5, size);
    const elsewhere = await measure({ data: few, stats: file });
    expect(elsewhere.samples!.fd_vqgen).toBe(samples!.fd_vqgen);
    expect(elsewhere.samples).toMatchObject({ reference: file, reference_images: images, compared: 5 });
    expect((await measure({ data: few })).samples!.fd_vqgen).not.toBe(samples!.fd_vqgen);

    const copy = path.join(root, 'copy');
    await fs.cp(data, copy, { recursive: true });
    await measure({ data: copy, saveStats: `${file}2` });
    expect((await readSafetensors(`${file}2`)).metadata.digest).toBe(metadata.digest);
  });

  test('without its training images the nearest ones are left out', async () => {
    await fs.rename(data, `${data}-moved`);
    const { reporter, said } = listening();
    const { samples } = await measure({ data: `${data}-moved`, reporter });
    await fs.rename(`${data}-moved`, data);
    expect(samples).toMatchObject({ nearest_train: null, picture: null });
    expect(samples!.fd_vqgen).toBeGreaterThan(0);
    expect(said.at(-1)).toMatch(
      /^The nearest training images are left out\. Expected the pictures that .* was trained on for data\.dir/,
    );
  });

  test('of an earlier tokenizer: left out', async () => {
    await recordTokenizer(run, 'of another');
    const { reporter, said } = listening();
    expect(await measure({ reporter })).toMatchObject({ prior: null, samples: null });
    await fs.rm(path.join(runPaths(run).prior, 'tokenizer.json'));
    expect(said[0]).toMatch(
      /^Likelihoods and samples are left out\. Expected a prior for the present tokenizer/,
    );
  });
});

/** A network that averages each channel of [B, 3, side, side], times `copies`. */
async function averages(name: string, input: (number | string)[], copies = 1, cut?: number): Promise<string> {
  const g = new GraphBuilder();
  const images: Port = { name: 'images', type: 'float32', shape: input };
  const pooled = g.op('GlobalAveragePool', [images as Value], {}, { shape: [1, 3, 1, 1] });
  let output = g.op('Tile', [pooled, g.ints([1, copies, 1, 1])], {}, { shape: [1, 3 * copies, 1, 1] });
  if (cut)
    output = g.op('Slice', [output, g.ints([0]), g.ints([cut]), g.ints([1])], {}, { shape: [1, cut, 1, 1] });
  const { model } = encodeModel({
    name,
    nodes: g.nodes,
    initializers: [...g.initializers.values()],
    inputs: [images],
    outputs: [{ ...port(output), shape: ['B', ...output.shape.slice(1)] }],
  });
  const file = path.join(root, `${name}.onnx`);
  await fs.writeFile(file, model);
  return file;
}

describe("a network of the user's", () => {
  const colours = float32(
    [2, 4, 4, 3],
    Float32Array.from({ length: 96 }, (_, i) => [-1, 0, 0.5][i % 3]! + Math.floor(i / 48) / 4),
  );
  const wanted = [0, 0.5, 0.75, 0.125, 0.625, 0.875];

  test.each([
    ['of any batch', ['B', 3, 8, 8]],
    ['of single images', [1, 3, 8, 8]],
    ['of three images', [3, 3, 8, 8]],
  ])('%s gets images of its size in [0, 1], channels first', async (name, shape) => {
    const space = await onnxSpace(await averages(name, shape), 1);
    expect([...(await space.extract(colours))].map((v) => Math.round(1e5 * v) / 1e5)).toEqual(wanted);
    expect(space).toMatchObject({ label: 'onnx', width: 3 });
    expect(space.name).toMatch(/^of .*\.onnx, sha256 [0-9a-f]{12}$/);
    await space.dispose();
  });

  test('is called the standard one only where it has its shape', async () => {
    const space = await onnxSpace(await averages('like-inception', ['B', 3, 'H', 'W'], 683, 2048), 1);
    expect(space).toMatchObject({ label: 'inception', width: 2048 });
    await space.dispose();
  });

  test('names every number', async () => {
    const features = await averages('mean', ['B', 3, 8, 8]);
    const { tokenizer, samples } = await measure({ features, threads: 1 });
    expect(tokenizer).toHaveProperty('rfd_onnx');
    expect(Object.keys(samples!)).toEqual(
      expect.arrayContaining(['fd_onnx', 'precision_onnx', 'recall_onnx']),
    );
    expect(JSON.stringify([tokenizer, samples])).not.toMatch(/vqgen"|fid/);
  });
});

test("vqgen's features are the same however many images come at a time", async () => {
  const space = await vqgenSpace(device, 16, 4);
  const three = float32(
    [3, 16, 16, 3],
    Array.from({ length: 3 * 768 }, (_, i) => Math.sin(i)),
  );
  const all = await space.extract(three);
  expect(all).toHaveLength(3 * space.width);
  const second = await space.extract(float32([1, 16, 16, 3], three.data.slice(768, 1536) as Float32Array));
  expect(second).toEqual(all.slice(space.width, 2 * space.width));
  expect(second).not.toEqual(all.slice(0, space.width));
  await space.dispose();
});

describe('mistakes', () => {
  beforeAll(async () => {
    await writePictures(path.join(root, 'one'), 1, size);
    await fs.mkdir(path.join(root, 'empty'));
    await fs.writeFile(path.join(root, 'words.onnx'), 'no network');
    await averages('oblong', ['B', 3, 8, 6]);
    const file = path.join(root, 'other-stats');
    await evaluate({
      run,
      data,
      n: 2,
      features: await averages('a', ['B', 3, 8, 8]),
      saveStats: file,
      device,
      reporter: silent,
    });
  });

  test.each([
    [{ run: 'none' }, /^Expected a run folder for --run but received none/],
    [
      { data: 'ROOT/nowhere' },
      /^Expected a folder of images for --data but received .*nowhere, which does not exist/,
    ],
    [
      { data: 'ROOT/empty' },
      /^Expected a folder of images for --data but received .*empty, which holds no image file/,
    ],
    [
      { data: 'ROOT/one' },
      /^Expected at least 2 images for --data but received .*one with 1\. One image has no covariance\.$/,
    ],
    [{ n: 1 }, /^Expected at least 2 for --n but received 1\. One sample has no covariance\.$/],
    [
      { stats: 'ROOT/none' },
      /^Expected statistics that --save-stats wrote for --stats but received .*none, which does not exist\. To make it: vqgen evaluate/,
    ],
    [
      { classifier: 'ROOT/none' },
      /^Expected a safetensors file for --classifier but received .*none, which does not exist\. It takes a folder that vqgen train-perceptual made, or its file\.$/,
    ],
    [
      { features: 'ROOT/none.onnx' },
      /^Expected an ONNX file for --features but received .*none\.onnx, which does not exist/,
    ],
    [
      { features: 'ROOT/words.onnx' },
      /^Expected an ONNX file for --features but received .*words\.onnx, which ONNX Runtime cannot read/,
    ],
    [
      { features: 'ROOT/oblong.onnx' },
      /^Expected a network that takes \[B, 3, S, S\] for --features but received .*oblong\.onnx with \[B, 3, 8, 6\]/,
    ],
    [{ stats: 'ROOT/words.onnx' }, /^Expected a safetensors file for .*words\.onnx/],
    [
      { stats: 'ROOT/other-stats' },
      /^Expected statistics of the features vqgen-classifier [0-9a-f]{12}, 16 px for --stats but received .*other-stats, which has those of a\.onnx, sha256 .*--save-stats/,
    ],
    [
      { saveStats: 'ROOT/one' },
      /^Expected a file in a folder for --save-stats but received .*one, which is a folder/,
    ],
    [{ out: 'ROOT/one' }, /^Expected a file in a folder for --out/],
  ])('%j', async (options, sentence) => {
    const placed = Object.entries(options).map(([key, value]) => [
      key,
      typeof value === 'string' ? value.replace('ROOT', root) : value,
    ]);
    const error = await measure(Object.fromEntries(placed)).catch((e) => e);
    expect(error).toMatchObject({ name: 'UserError', message: expect.stringMatching(sentence) });
  });
});
