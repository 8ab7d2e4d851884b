/** The whole of `train-perceptual` on plain pictures, and the classifier that it leaves. */
import { readFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { type Reporter, silent } from '../../src/base/progress.js';
import { float32 } from '../../src/base/tensor.js';
import { sha256 } from '../../src/checkpoint/safetensors.js';
import { writePng } from '../../src/data/pictures.js';
import { openDevice } from '../../src/engine/index.js';
import { openClassifier } from '../../src/perceptual/classifier.js';
import { type TrainPerceptualOptions, trainPerceptual } from '../../src/perceptual/train.js';
import { readMetrics } from '../../src/train/metrics.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { preparingOnce } from '../support/prepared.js';

const size = 16;
const device = preparingOnce(await openDevice({ device: 'cpu', threads: 1, reporter: silent }));
let root: string;
afterAll(removeFolders);

const plain = (colour: readonly number[], side = size) =>
  float32(
    [side, side, 3],
    Array.from({ length: side * side * 3 }, (_, k) => colour[k % 3]! + 0.1 * Math.sin(k)),
  );

const red = [0.8, -0.8, -0.8];
const green = [-0.8, 0.8, -0.8];
const blue = [-0.8, -0.8, 0.8];

beforeAll(async () => {
  root = await freshFolder();
  for (let i = 0; i < 6; i++) {
    await writePng(path.join(root, 'one', 'red', `${i}.png`), plain(red));
    await writePng(path.join(root, 'one', 'green', `${i}.png`), plain(green));
    await writePng(path.join(root, 'other', 'blue', `${i}.png`), plain(blue, 20));
    await writePng(path.join(root, 'other', 'red', `${i}.png`), plain(red, 20));
  }
  for (const [name, colour] of Object.entries({ red, blue }))
    await writePng(path.join(root, 'unseen', name, '0.png'), plain(colour));
  for (const [name, colour] of Object.entries({ red, blue }))
    await writePng(path.join(root, 'around', 'inside', name, '0.png'), plain(colour));
  await writePng(path.join(root, 'strange', 'yellow', '0.png'), plain([1, 1, -1]));
});

const at = (...names: string[]) => names.map((name) => path.join(root, name));
const train = (o: Partial<TrainPerceptualOptions> & { out: string }) =>
  trainPerceptual({
    ...{ data: at('one', 'other'), val: at('unseen'), size, steps: 4, resume: false },
    ...{ device, reporter: silent },
    ...o,
  });

const lines = async (out: string) =>
  (await readMetrics(path.join(out, 'training', 'metrics.jsonl'))).map(
    ({ time_s: _, images_per_second: __, ...line }) => line,
  );

test('learns the union of the classes of its folders; stopped and resumed it gives the same file', async () => {
  const [whole, parts] = at('whole', 'parts') as [string, string];
  const result = await train({ out: whole });
  expect(result).toMatchObject({
    ...{ run: whole, step: 4, stopped: false, classes: ['blue', 'green', 'red'] },
    file: path.join(whole, 'perceptual.safetensors'),
    val: [{ data: at('unseen')[0], images: 2, accuracy: result.accuracy }],
  });
  const written = await lines(whole);
  expect(written.map(({ step, split }) => `${split} ${step}`)).toEqual(['train 1', 'train 4', 'val 4']);
  expect(written[1]).toMatchObject({ loss: expect.any(Number), accuracy: expect.any(Number) });
  expect(written[1]!.loss).toBeLessThan(Number(written[0]!.loss));

  const stop = new AbortController();
  const reporter: Reporter = {
    ...silent,
    progress: ({ label }) => ({ update: () => void (label === 'Classifier' && stop.abort()), stop() {} }),
  };
  const first = await train({ out: parts, reporter, signal: stop.signal });
  expect(first).toMatchObject({ stopped: true, accuracy: null, file: null });
  expect(first.step).toBeLessThan(4);
  await train({ out: parts, resume: true, data: [], val: [], size: undefined, steps: undefined });
  expect(await lines(parts)).toEqual(written);
  const files = [whole, parts].map((out) => path.join(out, 'perceptual.safetensors'));
  expect(await sha256(files[1]!)).toBe(await sha256(files[0]!));
  expect((await fs.stat(files[0]!)).size).toBeLessThan(4e6);

  const settings = path.join(parts, 'settings.json');
  const { pooling: _, ...before } = JSON.parse(readFileSync(settings, 'utf8'));
  await fs.writeFile(settings, JSON.stringify(before));
  await expect(train({ out: parts, resume: true })).rejects.toThrow(
    `Expected a classifier that this version of vqgen began for --out but received ${parts} of another one`,
  );

  const finished = await train({ out: whole });
  expect(finished).toMatchObject({ step: 4, accuracy: result.accuracy, loss: result.loss });
});

test('tells plain colours apart, in pictures of any size, after a few steps', async () => {
  const out = path.join(root, 'longer');
  const { accuracy } = await train({ out, steps: 20 });
  expect(accuracy).toBe(1);
  const classifier = await openClassifier(device, out);
  const images = (side: number) =>
    float32([2, side, side, 3], [...plain(green, side).data, ...plain(blue, side).data]);
  const { classes, probabilities } = await classifier.classify(images(size));
  expect(classes).toEqual(['green', 'blue']);
  for (let i = 0; i < 2; i++) {
    expect(probabilities.slice(3 * i, 3 * i + 3).reduce((sum, p) => sum + p, 0)).toBeCloseTo(1);
  }
  expect((await classifier.classify(images(24))).classes).toEqual(['green', 'blue']);
  await classifier.dispose();
});

describe('mistakes', () => {
  test.each([
    [
      { data: ['ROOT/one/red'] },
      /^Expected images of at least two classes for --data but received .*one\/red/,
    ],
    [
      { data: ['ROOT/around'] },
      /All 2 images lie in .* For the 2 folders in it as classes: --data .*inside\/$/,
    ],
    [
      { val: ['ROOT/strange'] },
      /^Expected only classes of --data \(blue, green, red\) for --val but received .*strange with yellow/,
    ],
    [{ data: [], val: ['ROOT/unseen'] }, /^Expected --data for --val but received no --data/],
    [{ size: 8 }, /^Expected at least 16 for --size but received 8/],
    [
      { data: ['ROOT/none'] },
      /^Expected a folder of images for --data but received .*none, which does not exist/,
    ],
    [
      { out: 'ROOT/whole', seed: 1 },
      /^Expected an untrained stage for --out but received .*a finished training with another seed\. .*--out/,
    ],
    [
      { out: 'ROOT/whol', resume: true },
      /^Expected a training to go on with for --out but received .*whol, which does not exist\. Did you mean .*whole\? /,
    ],
    [
      { out: 'ROOT/whole', seed: 1, resume: true },
      /^Expected 0, as in .*settings\.json, for seed but received 1\. --resume changes only steps\. .*another --out/,
    ],
    [{ out: 'ROOT/one/red/0.png/x' }, /^Expected a folder for --out but received .*0\.png is a file/],
  ])('%j', async (options, sentence) => {
    const placed = JSON.parse(JSON.stringify({ out: 'ROOT/new', ...options }).replaceAll('ROOT', root));
    const error = await train(placed).catch((e) => e);
    expect(error).toMatchObject({ name: 'UserError', message: expect.stringMatching(sentence) });
    expect(await fs.stat(path.join(root, 'new')).catch(() => 'none')).toBe('none');
  });

  test('a classifier that is none', async () => {
    const file = path.join(root, 'one', 'red', '0.png');
    await expect(openClassifier(device, file)).rejects.toThrow(/^Expected a safetensors file/);
    await expect(openClassifier(device, path.join(root, 'one'))).rejects.toThrow(
      /^Expected a safetensors file for --classifier but received .*perceptual\.safetensors, which does not exist/,
    );
  });
});

test('the settings that a training began with are saved', () => {
  const saved = JSON.parse(readFileSync(path.join(root, 'whole', 'settings.json'), 'utf8'));
  expect(saved).toMatchObject({ data: at('one', 'other'), val: at('unseen'), size, steps: 4, seed: 0 });
});
