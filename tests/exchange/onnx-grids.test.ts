/** A run of several grids of codes as ONNX files: what they code, decode and draw is what the run does. */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { silent as reporter } from '../../src/base/progress.js';
import { stream } from '../../src/base/rng.js';
import { tokenFile } from '../../src/checkpoint/run.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { openOnnxModel, readOnnxMetadata } from '../../src/engine/onnx-file.js';
import { exportOnnx } from '../../src/exchange/onnx/export.js';
import { exportedModels, exportedTokenizer } from '../../src/exchange/onnx/open.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../../src/stage1-vqgan/programs.js';
import { blankCanvas } from '../../src/stage2-transformer/canvas.js';
import { loadModels } from '../../src/stage2-transformer/model.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { expectClose } from '../support/close.js';
import { ids, noise } from '../support/parity.js';
import { writePictures } from '../support/run.js';
import { clamped, first, planes } from './planes.js';
import { folderWithRuntime } from './runtime-folder.js';
import { trainedRun } from './trained-run.js';

const device = onnxDevice({ threads: 1 });
const top = { name: 'top', height: 1, width: 1, vocab: 6 };
const bottom = { name: 'bottom', height: 2, width: 2, vocab: 40 };
const stage1 = {
  bottleneck: {
    kind: 'hierarchy',
    levels: [
      { kind: 'nearest', codes: top.vocab },
      { kind: 'fsq', levels: [5, 4, 2] },
    ],
  },
};
const classes = ['cat', 'dog', 'eel'];

let root: string;
beforeAll(async () => {
  root = await folderWithRuntime();
});
afterAll(() => fs.rm(root, { recursive: true }));

test('encoder and decoder take and give a tensor for each grid', async () => {
  const { run, config } = await trainedRun(root, 'tokenizer', { stage1 });
  const { out } = await exportOnnx({ run, reporter });
  const { tensors } = await loadModel(run, 'stage1');
  const files = ['encoder', 'decoder'].map((name) => path.join(out, `${name}.onnx`));
  for (const file of files) {
    const metadata = await readOnnxMetadata(file, '--model');
    expect(JSON.parse(metadata.grids!)).toEqual([top, bottom]);
    expect(metadata).toMatchObject({
      top: 'int64 [batch, 1, 1], 0 to 5',
      bottom: 'int64 [batch, 2, 2], 0 to 39',
    });
  }
  const own = [
    encodeProgram(modelOf(config), tensors, 3),
    decodeProgram(modelOf(config), tensors, 3),
  ] as const;
  const [ownEncoder, ownDecoder] = [await device.prepare(own[0]), await device.prepare(own[1])];
  const encoder = await openOnnxModel(files[0]!, '--model', 1);
  const decoder = await openOnnxModel(files[1]!, '--model', 1);
  const images = noise([3, 8, 8, 3], 'grids', 0.5);
  const any = { top: ids([3, 1, 1], 6, 'top'), bottom: ids([3, 2, 2], 40, 'bottom') };
  const codes = await ownEncoder.run({ images });
  const pictures = (await ownDecoder.run(any)).images!;
  for (const batch of [1, 3]) {
    const part = { top: first(any.top, batch), bottom: first(any.bottom, batch) };
    const found = await encoder.run({ images: planes(first(images, batch)) });
    expect(found).toEqual({ top: first(codes.top!, batch), bottom: first(codes.bottom!, batch) });
    const decoded = (await decoder.run(part)).images!;
    expectClose(decoded, clamped(planes(first(pictures, batch))), { atol: 1e-5, rtol: 1e-5 });
  }
  await Promise.all([ownEncoder, ownDecoder, encoder, decoder].map((graph) => graph.dispose()));

  const dataset = path.join(root, 'pictures');
  await writePictures(dataset, 3);
  await tokenize({ run, dataset, split: 'all', device, reporter });
  const elsewhere = path.join(root, 'elsewhere');
  const tokenizer = await exportedTokenizer(out, 1);
  const options = { tokenizer, dataset, split: 'all', check: true, device, reporter };
  const summary = await tokenize({ run: elsewhere, ...options });
  expect(await fs.readFile(summary.file)).toEqual(await fs.readFile(tokenFile(run, 'all')));
  expect(summary).toMatchObject({ tokens: 3 * 5, vocab: 40, height: 2, width: 2, grids: [top, bottom] });
  for (const { usage } of summary.grids!) expect(usage).toBeGreaterThan(0);
});

const draw = { choice: { temperature: 1, topK: 0, topP: 0.9 }, greedyFrom: 4 };
const random = () => [0, 1, 2].map((row) => stream('grids', row));

test.each([
  ['gpt', 2, classes],
  ['pixelcnn', 2, classes],
  ['pixelcnn', 1, []],
])('%s, guidance %d, classes %j: the files draw the codes of the run', async (kind, cfg_scale, classes) => {
  const { run } = await trainedRun(root, `${kind}-${cfg_scale}`, {
    ...{ stage1, classes, prior: { kind, ...(kind === 'pixelcnn' && { attention_every: 2 }) } },
    sample: { top_k: 1, cfg_scale },
  });
  const { out } = await exportOnnx({ run, reporter });
  const { grids } = await readOnnxMetadata(path.join(out, 'prior.onnx'), '--model');
  expect(JSON.parse(grids!)).toEqual([top, bottom]);
  const own = (await loadModels(run)).prior;
  const exported = await exportedModels(out, 1);
  const canvas = blankCanvas(5, Int32Array.of(0, 2, -1));
  canvas.codes[2] = 17; // of the first picture, known
  for (const cfgScale of new Set([1, cfg_scale])) {
    const opening = { batch: 3, cfgScale };
    const [drawer, file] = [
      await own.model.open(device, own.tensors, opening),
      await exported.open({ ...opening, decodeBatch: 1 }),
    ];
    const wanted = await drawer.draw(canvas, { ...draw, random: random() });
    expect(await file.drawer.draw(canvas, { ...draw, random: random() })).toEqual(wanted);
    expect(wanted[2]).toBe(17);
    expect([0, 5, 10].every((place) => wanted[place]! < top.vocab)).toBe(true);
    expect(Math.max(...wanted)).toBeGreaterThanOrEqual(top.vocab);
    await Promise.all([drawer, file.drawer, file.decoder].map((each) => each.dispose()));
  }

  // With the likeliest code alone chance has no say, and a grid's own codes are all that tells the first from the
  // rest.
  const labels = Int32Array.from({ length: 4 }, (_, i) => (classes.length > 0 ? i % classes.length : -1));
  const opened = await exported.open({ batch: 4, cfgScale: cfg_scale, decodeBatch: 4 });
  const likeliest = await opened.drawer.draw(blankCanvas(5, labels), {
    choice: { temperature: 1, topK: 1, topP: 1 },
    random: Array.from(labels, () => ({ uniform: () => 0 })),
  });
  await Promise.all([opened.drawer, opened.decoder].map((each) => each.dispose()));
  const use =
    "const { codes, images } = await import('./sample.mjs'); console.log(JSON.stringify([codes, images.dims]));";
  const args = ['--input-type=module', '--eval', use];
  const said = execFileSync(process.execPath, args, { cwd: out, encoding: 'utf8' });
  const [codes, dims] = JSON.parse(said.trim().split('\n').at(-1)!);
  expect(codes.flat()).toEqual([...likeliest]);
  expect(dims).toEqual([4, 3, 8, 8]);
});
