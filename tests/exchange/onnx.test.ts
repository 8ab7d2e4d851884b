/** A run as ONNX files: what they compute is what the run computes, at any batch. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import sharp from 'sharp';
import { createReporter, silent } from '../../src/base/progress.js';
import { float32, int32 } from '../../src/base/tensor.js';
import { tokenFile, writeRunConfig } from '../../src/checkpoint/run.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { exportRun } from '../../src/cli/export.js';
import { exportedOf } from '../../src/cli/exported.js';
import { main } from '../../src/cli/main.js';
import type { Config } from '../../src/config/schema.js';
import { listImages } from '../../src/data/source.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { openOnnxModel, readOnnxMetadata } from '../../src/engine/onnx-file.js';
import { exportOnnx } from '../../src/exchange/onnx/export.js';
import { exportedModels, exportedSource, exportedTokenizer } from '../../src/exchange/onnx/open.js';
import { sample } from '../../src/sample/sample.js';
import { gridsOf, modelOf } from '../../src/stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../../src/stage1-vqgan/programs.js';
import { openCachedModel } from '../../src/stage2-transformer/gpt/cache.js';
import { gptSizes } from '../../src/stage2-transformer/gpt/index.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { expectClose } from '../support/close.js';
import { ids, noise } from '../support/parity.js';
import { saveTokenizer, temporaryFolder, writePictures } from '../support/run.js';
import { clamped, first, planes } from './planes.js';
import { trainedRun } from './trained-run.js';

const device = onnxDevice({ threads: 1 });
const reporter = silent;
let root: string;
let run: string;
let config: Config;

beforeAll(async () => {
  root = await temporaryFolder();
  ({ run, config } = await trainedRun(root, 'run'));
  await exportOnnx({ run, reporter });
});
afterAll(() => fs.rm(root, { recursive: true }));

test('what lies in an export is no data', async () => {
  const folder = path.join(root, 'around');
  await writePictures(folder, 2);
  await fs.cp(path.join(run, 'onnx'), path.join(folder, 'taken'), { recursive: true });
  await fs.cp(path.join(folder, 'a', '0.png'), path.join(folder, 'taken', 'samples.png'));
  expect((await listImages(folder)).names).toEqual(['a/0.png', 'b/1.png']);
});

test.each<[string, object]>([
  ['nearest', {}],
  ['ema', { bottleneck: { kind: 'ema' } }],
  ['cosine', { bottleneck: { kind: 'cosine' } }],
  ['fsq', { bottleneck: { kind: 'fsq', levels: [5, 4, 2] }, codes: 40 }],
  ['lfq', { bottleneck: { kind: 'lfq' } }],
])('%s: codes and pictures are the run’s, at batches of 1, 3 and 16', async (name, stage1) => {
  const { run, config } = await trainedRun(root, name, { stage1 });
  const { out } = await exportOnnx({ run, reporter, out: path.join(root, `${name}-exported`) });
  const { tensors } = await loadModel(run, 'stage1');
  const [encoder, decoder] = await Promise.all(
    ['encoder', 'decoder'].map((name) => openOnnxModel(path.join(out, `${name}.onnx`), '--model', 1)),
  );
  const images = noise([16, 8, 8, 3], name, 0.5);
  const any = ids([16, 2, 2], config.stage1.codes, name);
  const own = await device.prepare(encodeProgram(modelOf(config), tensors, 16));
  const ownDecoder = await device.prepare(decodeProgram(modelOf(config), tensors, 16));
  const [wanted, pictures] = [
    (await own.run({ images })).codes!,
    (await ownDecoder.run({ codes: any })).images!,
  ];
  for (const batch of [1, 3, 16]) {
    const { codes } = await encoder!.run({ images: planes(first(images, batch)) });
    expect(codes).toEqual(first(wanted, batch));
    const decoded = await decoder!.run({ codes: first(any, batch) });
    expectClose(decoded.images!, clamped(planes(first(pictures, batch))), { atol: 1e-5, rtol: 1e-5 });
  }
  await Promise.all([own.dispose(), ownDecoder.dispose()]);
  await Promise.all([encoder!.dispose(), decoder!.dispose()]);
});

test.each([1, 3, 16])('the prior, step by step, in a batch of %i', async (batch) => {
  const { tensors: weights } = await loadModel(run, 'prior');
  const sizes = gptSizes(config.prior, gridsOf(config));
  const own = await openCachedModel({ sizes, weights, batch, device });
  const prior = await openOnnxModel(path.join(run, 'onnx', 'prior.onnx'), '--model', 1);
  let past = float32([4, batch, 2, 0, 4]);
  for (let position = 0; position < sizes.tokens; position++) {
    const before = position === 0 ? int32([batch], new Array(batch).fill(16)) : ids([batch], 16, position);
    const logits = await own.nextLogits(before.data as Int32Array, position);
    const next = await prior.run({ ids: before, past });
    expectClose(next.logits!, float32([batch, 16], logits), { atol: 1e-5, rtol: 1e-5 });
    past = next.present!;
    expect(past.shape).toEqual([4, batch, 2, position + 1, 4]);
  }
  const more = prior.run({ ids: ids([batch], 16), past });
  await expect(more).rejects.toThrow(/out of data bounds|out of bounds/); // a place that was not learned
  await Promise.all([own.dispose(), prior.dispose()]);
});

test('metadata says what goes in and out, and nothing of where files lie', async () => {
  const folder = path.join(root, 'private', 'photos');
  const { run, config } = await trainedRun(root, 'secret');
  await writeRunConfig(run, { ...config, data: { ...config.data, dir: folder, val_dir: folder } });
  const { out } = await exportOnnx({ run, reporter });
  for (const name of ['encoder', 'decoder', 'prior']) {
    const file = path.join(out, `${name}.onnx`);
    expect(await readOnnxMetadata(file, '--model')).toMatchObject({
      model: name,
      precision: 'float32',
      tokenizer: (await loadModel(run, 'stage1')).sha256,
      license: expect.stringContaining('whoever trained them'),
    });
    expect(await fs.readFile(file, 'latin1')).not.toContain('private');
  }
  const { tokens, start, past } = await readOnnxMetadata(path.join(out, 'prior.onnx'), '--model');
  expect({ tokens, start }).toEqual({ tokens: '4', start: '16' });
  expect(past).toContain('float32 [4, batch, 2, length, 4]');
});

describe('--model in place of a run', () => {
  const exported = (name: string): string => path.join(run, 'onnx', name);

  test('tokenize: the codes of the run, under the name of its tokenizer', async () => {
    const dataset = path.join(root, 'pictures');
    await writePictures(dataset, 19);
    await tokenize({ run, dataset, split: 'all', device, reporter });
    const out = path.join(root, 'elsewhere');
    const tokenizer = await exportedTokenizer(exported('encoder.onnx'), 1);
    const { file } = await tokenize({
      run: out,
      tokenizer,
      dataset,
      split: 'all',
      check: true,
      device,
      reporter,
    });
    expect(file).toBe(tokenFile(out, 'all'));
    expect(await fs.readFile(file)).toEqual(await fs.readFile(tokenFile(run, 'all')));
    await fs.access(path.join(out, 'tokens', 'all-check.png'));
    await expect(tokenize({ run: out, tokenizer, device, reporter })).rejects.toThrow(
      'Expected a folder of images for DATASET but received none. An exported tokenizer does not know what it was trained on.',
    );
  });

  test('half precision is another tokenizer', async () => {
    const out = path.join(root, 'half');
    const { bytes } = await exportOnnx({ run, out, precision: 'f16', reporter });
    expect(bytes).toBeGreaterThan(0);
    const { sha256 } = await exportedTokenizer(out, 1);
    expect(sha256).toBe(`${(await loadModel(run, 'stage1')).sha256} (float16)`);
  });

  test('sample: the pictures of the run', async () => {
    const own = await sample({ run, n: 18, seed: 2, device, reporter });
    const open = exportedSource(exported(''), 1);
    const out = path.join(root, 'drawn');
    const drawn = await sample({ run: out, open, n: 18, seed: 2, device, reporter });
    expect(drawn.files).toHaveLength(18);
    expect(path.dirname(drawn.files[0]!)).toBe(path.join(out, 'samples', 'seed-2'));
    const pixels = (file: string) => sharp(file).raw().toBuffer();
    let varied = 0;
    for (const [i, file] of drawn.files.entries()) {
      const [a, b] = [await pixels(file), await pixels(own.files[i]!)];
      expect(a.every((x, j) => Math.abs(x - b[j]!) <= 1)).toBe(true);
      if (i > 0 && !a.equals(await pixels(drawn.files[0]!))) varied++;
    }
    expect(varied).toBeGreaterThan(8);
  });

  test('sample: classes by name, with guidance', async () => {
    const { run } = await trainedRun(root, 'classes', { classes: ['cat', 'dog'] });
    const { out } = await exportOnnx({ run, reporter });
    const open = exportedSource(out, 1);
    expect((await exportedModels(out, 1)).prior.condition.classes).toEqual(['cat', 'dog']);
    const options = { n: 4, classes: ['dog'], cfgScale: 2, device, reporter };
    const own = await sample({ ...options, run });
    const drawn = await sample({ ...options, run: path.join(root, 'dogs'), open });
    expect(drawn.classes).toEqual(['dog', 'dog', 'dog', 'dog']);
    const pixels = (file: string) => sharp(file).raw().toBuffer();
    for (const [i, file] of drawn.files.entries()) {
      const [a, b] = [await pixels(file), await pixels(own.files[i]!)];
      expect(a.every((x, j) => Math.abs(x - b[j]!) <= 1)).toBe(true);
    }
  });

  test('files that are missing, of another export or of someone else', async () => {
    const nowhere = path.join(root, 'nowhere');
    await expect(exportedOf({ model: nowhere })).rejects.toThrow(
      `Expected a folder that vqgen export wrote for --model but received ${nowhere}, which does not exist.`,
    );
    await expect(exportedOf({ model: root, device: 'webgpu' })).rejects.toThrow(
      'Expected cpu for --device with --model but received webgpu.',
    );
    await expect(exportedOf({ model: root, precision: 'int8' })).rejects.toThrow(
      'Expected nothing for --precision with --model but received int8.',
    );
    const mixed = path.join(root, 'mixed');
    await fs.mkdir(mixed);
    await expect(exportedModels(mixed)).rejects.toThrow(
      `Expected an ONNX file for --model but received ${path.join(mixed, 'prior.onnx')}, which does not exist.`,
    );
    await fs.copyFile(exported('decoder.onnx'), path.join(mixed, 'prior.onnx'));
    await expect(exportedModels(mixed)).rejects.toThrow(
      /Expected the prior that vqgen exported .* another model/,
    );
    await fs.writeFile(path.join(mixed, 'encoder.onnx'), 'no protocol buffer');
    await expect(exportedTokenizer(mixed)).rejects.toThrow(
      /Expected an ONNX file .* which is something else/,
    );
    await fs.copyFile(exported('prior.onnx'), path.join(mixed, 'prior.onnx'));
    await fs.copyFile(path.join(root, 'lfq-exported', 'decoder.onnx'), path.join(mixed, 'decoder.onnx'));
    const open = (await exportedModels(mixed)).open({ cfgScale: 1, batch: 1, decodeBatch: 1 });
    await expect(open).rejects.toThrow(/Expected files of one export .* which is of another tokenizer/);
  });
});

test('by command: export, then tokens and pictures beside the files', async () => {
  const dataset = path.join(root, 'few');
  await writePictures(dataset, 5);
  const out = path.join(root, 'by-command');
  const vqgen = async (...argv: string[]) => {
    let said = '';
    const stdout = new PassThrough().on('data', (chunk) => {
      said += chunk;
    });
    const code = await main([...argv, '--json', '--quiet', '--threads', '1'], {
      stdout,
      stderr: process.stderr,
    });
    return { code, summary: JSON.parse(said.trim()) };
  };
  expect(await vqgen('export', '--to', 'onnx', '--run', run, '--out', out)).toMatchObject({ code: 0 });
  const encoder = path.join(out, 'encoder.onnx');
  const tokens = await vqgen('tokenize', dataset, '--model', encoder, '--split', 'few');
  expect(tokens).toMatchObject({ code: 0, summary: { images: 5, file: tokenFile(out, 'few') } });
  const drawn = await vqgen('sample', '--model', out, '--n', '2', '--run', path.join(root, 'results'));
  expect(drawn).toMatchObject({ code: 0, summary: { images: 2 } });
  expect(drawn.summary.grid).toBe(path.join(root, 'results', 'samples', 'seed-0', 'grid.png'));
  await expect(exportOnnx({ run, out, reporter })).rejects.toThrow(/which holds tokens\. Name another --out/);
});

describe('export', () => {
  test('a summary and a line; what is there already is replaced only if it is an export', async () => {
    const out = path.join(root, 'again');
    const call = { run, reporter: createReporter({ stream: process.stderr, quiet: true }) };
    const flags = { to: 'onnx', out };
    const { summary, lines } = await exportRun(flags, call);
    const files = ['encoder.onnx', 'decoder.onnx', 'prior.onnx', 'sample.mjs', 'README.md'].map((name) =>
      path.join(out, name),
    );
    const bytes = (await Promise.all(files.map((file) => fs.stat(file)))).reduce(
      (sum, { size }) => sum + size,
      0,
    );
    expect(summary).toEqual({ run, to: 'onnx', out, files, bytes, opset: 17, precision: 'f32' });
    expect(lines[0]).toContain('ONNX opset 17');
    const before = await fs.readFile(files[0]!);
    await exportRun(flags, call);
    expect(await fs.readFile(files[0]!)).toEqual(before); // the same bytes, too
    await fs.writeFile(path.join(out, 'thesis.tex'), '');
    await expect(exportRun(flags, call)).rejects.toThrow(
      `Expected a folder that is new or holds an export for --out but received ${out}, which holds thesis.tex.`,
    );
    await expect(exportRun({ to: 'onnx', out: files[0] }, call)).rejects.toThrow(/is a file/);
  });

  test('mistakes', async () => {
    const call = { run, reporter };
    await expect(exportRun({}, call)).rejects.toThrow(/Expected .*onnx.* for --to but received nothing/);
    await expect(exportRun({ to: 'tflite' }, call)).rejects.toThrow(/for --to but received tflite/);
    await expect(exportRun({ to: 'toString' }, call)).rejects.toThrow(/for --to but received toString/);
    await expect(exportRun({ to: 'onnx', precision: 'int8' }, call)).rejects.toThrow(
      'Expected one of f32, f16 for --precision but received int8.',
    );
    await expect(exportRun({ to: 'onnx' }, { ...call, run: path.join(root, 'none') })).rejects.toThrow(
      /a run folder/,
    );
  });

  test('no tokenizer, or a prior of another one: nothing is written', async () => {
    const empty = path.join(root, 'empty');
    await writeRunConfig(empty, config);
    await expect(exportOnnx({ run: empty, reporter })).rejects.toThrow(/Expected a trained tokenizer/);
    expect(await fs.readdir(empty)).toEqual(['config.json']);
    const { run: other } = await trainedRun(root, 'other');
    await saveTokenizer(other, config, { seed: 5, step: 2 });
    await expect(exportOnnx({ run: other, reporter })).rejects.toThrow(/a prior for the present tokenizer/);
    expect(await fs.readdir(other)).not.toContain('onnx');
  });
});
