/** Runs whose latents are numbers as ONNX files: what they compute, what is drawn with them, and where nothing is. */
import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { silent as reporter } from '../../src/base/progress.js';
import { type HostTensor, int32 } from '../../src/base/tensor.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { openOnnxModel, readOnnxMetadata } from '../../src/engine/onnx-file.js';
import { tfjsDevice } from '../../src/engine/tfjs-device.js';
import { exportOnnx } from '../../src/exchange/onnx/export.js';
import { exportedSource, exportedTokenizer } from '../../src/exchange/onnx/open.js';
import { sample } from '../../src/sample/sample.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../../src/stage1-vqgan/programs.js';
import { expectClose } from '../support/close.js';
import { noise } from '../support/parity.js';
import { temporaryFolder } from '../support/run.js';
import { numbers, numbersRun } from './numbers-run.js';
import { clamped, first, planes } from './planes.js';

const device = onnxDevice({ threads: 1 });
let root: string;

beforeAll(async () => {
  root = await temporaryFolder();
});
afterAll(() => fs.rm(root, { recursive: true }));

const open = (folder: string, name: string) => openOnnxModel(path.join(folder, `${name}.onnx`), '--model', 1);

/** What an exported file computes, once. */
async function computed(folder: string, name: string, inputs: Record<string, HostTensor>) {
  const model = await open(folder, name);
  const outputs = await model.run(inputs);
  await model.dispose();
  return outputs;
}

test.each(Object.entries(numbers))(
  '%s: what TF.js computes, at batches of 1 and 3',
  async (name, { shape }) => {
    const { run, config } = await numbersRun(root, name);
    const notes: string[] = [];
    const told = { ...reporter, note: (line: string) => void notes.push(line) };
    const { out } = await exportOnnx({ run, reporter: told });
    expect(notes).toEqual([]); // no prior is missing
    const { tensors } = await loadModel(run, 'stage1');
    const eager = await tfjsDevice(reporter);
    const images = noise([3, 8, 8, 3], name, 0.5);
    const any = noise([3, ...shape], `${name} latent`);
    const { latent } = await (await eager.prepare(encodeProgram(modelOf(config), tensors, 3))).run({
      images,
    });
    const decoded = await (await eager.prepare(decodeProgram(modelOf(config), tensors, 3))).run({
      latent: any,
    });
    expect(latent!.shape).toEqual([3, ...shape]);
    for (const batch of [1, 3]) {
      const made = await computed(out, 'encoder', { images: planes(first(images, batch)) });
      expect(Object.keys(made)).toEqual(['latent']);
      expectClose(made.latent!, first(latent!, batch), { atol: 1e-5, rtol: 1e-4 });
      const drawn = await computed(out, 'decoder', { latent: first(any, batch) });
      expectClose(drawn.images!, clamped(planes(first(decoded.images!, batch))), { atol: 1e-5, rtol: 1e-4 });
    }
  },
);

test('metadata: the shape, what the numbers are, and the classes', async () => {
  const { run } = await numbersRun(root, 'cvae');
  const { out, files } = await exportOnnx({ run, reporter });
  const names = ['encoder.onnx', 'decoder.onnx', 'means.onnx', 'sample.mjs', 'README.md'];
  expect(files.map((file) => path.basename(file))).toEqual(names);
  const said = (name: string) => readOnnxMetadata(path.join(out, `${name}.onnx`), '--model');
  expect(await said('decoder')).toMatchObject({ kind: 'gaussian', latent: 'float32 [batch, 2, 2, 4]' });
  expect(await said('means')).toMatchObject({
    labels: 'int64 [batch], 0 to 2',
    means: 'float32 [batch, 2, 2, 4]',
    classes: '["cat","dog","eel"]',
  });
  const { tensors } = await loadModel(run, 'stage1');
  const all = tensors['bottleneck.class_means']!;
  const { means } = await computed(out, 'means', { labels: int32([2], [2, 0]) });
  expect(means!.shape).toEqual([2, 2, 2, 4]);
  expect([...means!.data]).toEqual([...all.data.slice(32), ...all.data.slice(0, 16)]);

  const plain = await exportOnnx({ run: (await numbersRun(root, 'ae')).run, reporter });
  const encoder = await readOnnxMetadata(path.join(plain.out, 'encoder.onnx'), '--model');
  expect(encoder).toMatchObject({ kind: 'plain', latent: 'float32 [batch, 2, 2, 4]' });
});

describe('--model in place of a run', () => {
  test.each([
    ['vae', {}],
    ['vae vector', { temperature: 0.5 }],
    ['cvae', {}],
    ['cvae vector', { classes: ['eel', 'cat'] }],
  ])('sample: the pictures of the run, %s', async (name, how) => {
    const { run } = await numbersRun(root, name);
    const { out } = await exportOnnx({ run, reporter });
    const options = { n: 6, seed: 2, ...how, device, reporter };
    const own = await sample({ ...options, run });
    const drawn = await sample({
      ...options,
      run: path.join(root, 'drawn', name),
      open: exportedSource(out, 1),
    });
    expect(drawn.classes).toEqual(own.classes);
    expect(drawn.files.map((file) => path.basename(path.dirname(file)))).toEqual(
      own.files.map((file) => path.basename(path.dirname(file))),
    );
    const pixels = (file: string) => sharp(file).raw().toBuffer();
    const [start] = [await pixels(drawn.files[0]!)];
    for (const [i, file] of drawn.files.entries()) {
      const [a, b] = [await pixels(file), await pixels(own.files[i]!)];
      expect(a.every((x, j) => Math.abs(x - b[j]!) <= 1)).toBe(true);
      if (i > 0) expect(a.equals(start)).toBe(false);
    }
  });

  test('an autoencoder has nothing to draw from, and none of them codes', async () => {
    const [ae, vae] = [await numbersRun(root, 'ae'), await numbersRun(root, 'vae')];
    const [plain, normal] = [await exportOnnx({ ...ae, reporter }), await exportOnnx({ ...vae, reporter })];
    const drawn = sample({ run: root, open: exportedSource(plain.out, 1), n: 1, device, reporter });
    await expect(drawn).rejects.toThrow(
      `Expected an export that draws for --model but received ${plain.out}, an autoencoder without the pictures ` +
        'to whose latents a Gaussian is fitted. The run draws where they are: vqgen sample --run RUN',
    );
    const codes = 'Expected a tokenizer whose latents are codes for --model but received';
    await expect(exportedTokenizer(normal.out, 1)).rejects.toThrow(
      `${codes} ${normal.out}, whose latents are numbers (stage1.bottleneck.kind gaussian). ` +
        `To draw from it takes neither tokens nor a prior: vqgen sample --model ${normal.out}`,
    );
    await expect(exportedTokenizer(plain.out, 1)).rejects.toThrow(/nor a prior: vqgen sample --run RUN$/);
  });

  test('what acts on codes alone is refused, and means of another export', async () => {
    const { run } = await numbersRun(root, 'cvae vector');
    const { out } = await exportOnnx({ run, reporter });
    const options = { run: root, open: exportedSource(out, 1), n: 1, device, reporter };
    await expect(sample({ ...options, topK: 5 })).rejects.toThrow('Expected nothing for --top-k');
    await expect(sample({ ...options, classes: ['owl'] })).rejects.toThrow('Expected one of cat, dog, eel');
    const another = await exportOnnx({ run: (await numbersRun(root, 'cvae')).run, reporter });
    await fs.copyFile(path.join(another.out, 'means.onnx'), path.join(out, 'means.onnx'));
    await expect(sample(options)).rejects.toThrow(/Expected files of one export .* of another tokenizer/);
    await fs.rm(path.join(out, 'means.onnx'));
    await expect(sample(options)).rejects.toThrow(/means\.onnx, which does not exist/);
  });
});
