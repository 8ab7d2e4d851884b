import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { type Reporter, silent } from '../../src/base/progress.js';
import { float32 } from '../../src/base/tensor.js';
import { tokenFile } from '../../src/checkpoint/run.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { imageSplits, openDataset } from '../../src/data/dataset.js';
import { writePng } from '../../src/data/pictures.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import { encodeProgram } from '../../src/stage1-vqgan/programs.js';
import { readTokens } from '../../src/tokenize/token-file.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { saveTokenizer, temporaryFolder, tinyConfig, writePictures } from '../support/run.js';

let root: string;
let run: string;
let device: Device;
const config = tinyConfig();

beforeAll(async () => {
  root = await temporaryFolder();
  run = path.join(root, 'run');
  device = await openDevice({ device: 'tfjs', reporter: silent });
  await saveTokenizer(run, config);
});
afterAll(() => fs.rm(root, { recursive: true }));

const pictures = async (name: string, n: number): Promise<string> => {
  const folder = path.join(root, name);
  await writePictures(folder, n);
  return folder;
};

test("the tokenizer's own data set: train and val by its split, with labels and where they come from", async () => {
  const summary = await tokenize({ run, device, reporter: silent });
  const train = await readTokens(tokenFile(run, 'train'), '');
  const val = await readTokens(tokenFile(run, 'val'), '');
  expect(summary).toMatchObject({ images: 24, skipped: 0, tokens: 96, vocab: 16, height: 2, width: 2 });
  expect(summary.file).toBe(tokenFile(run, 'train'));
  expect(summary.usage).toBe(new Set([...train.codes, ...val.codes]).size / 16);
  const splits = await imageSplits(config.data);
  for (const [tokens, { source, indices }] of [
    [train, splits.train],
    [val, splits.val],
  ] as const) {
    expect(tokens.names).toEqual(indices.map((i) => source.names[i]));
    expect([...tokens.labels]).toEqual(indices.map((i) => source.labels[i]));
    expect(tokens.codes).toBeInstanceOf(Uint16Array);
    expect(tokens.codes).toHaveLength(indices.length * 4);
  }
  expect(train.tokenizer).toBe((await loadModel(run, 'stage1')).sha256);
  expect(train).toMatchObject({
    grids: [{ name: 'codes', height: 2, width: 2, vocab: 16 }],
    size: 8,
    count: splits.train.indices.length,
  });
});

test('every image into one named file, in the order of the names; codes are those of the encoder', async () => {
  const folder = await pictures('uneven', 19); // not a multiple of the batch
  const summary = await tokenize({ run, dataset: folder, split: 'all', device, reporter: silent });
  expect(summary.file).toBe(tokenFile(run, 'all'));
  const tokens = await readTokens(summary.file, '');
  expect(tokens.names).toEqual([...tokens.names].sort());
  expect(tokens.count).toBe(19);
  expect(tokens.classes).toEqual(['a', 'b']);
  expect(tokens.names.map((name) => tokens.classes.indexOf(name[0]!))).toEqual([...tokens.labels]);

  const model = await loadModel(run, 'stage1');
  const graph = await device.prepare(encodeProgram(modelOf(config), model.tensors, 1));
  for (const i of [0, 18]) {
    const { data } = await sharp(path.join(folder, tokens.names[i]!))
      .raw()
      .toBuffer({ resolveWithObject: true });
    const images = Float32Array.from(data, (byte) => byte / 127.5 - 1);
    const { codes } = await graph.run({ images: { dtype: 'float32', shape: [1, 8, 8, 3], data: images } });
    expect([...tokens.codes.slice(4 * i, 4 * i + 4)]).toEqual([...codes!.data]);
  }
});

test('a named folder is split by the same rule; without one, or by the word dataset, the run has its own images', async () => {
  const folder = await pictures('dataset', 12);
  const summary = await tokenize({ run, dataset: folder, device, reporter: silent });
  const { train, val } = await imageSplits({ ...config.data, dir: folder });
  expect((await readTokens(summary.file, '')).names).toEqual(train.indices.map((i) => train.source.names[i]));
  expect((await readTokens(tokenFile(run, 'val'), '')).count).toBe(val.indices.length);

  const before = process.cwd();
  process.chdir(root);
  const notes: string[] = [];
  const reporter: Reporter = { ...silent, note: (line) => notes.push(line) };
  const images = async (dataset?: string) => (await tokenize({ run, dataset, device, reporter })).images;
  const told =
    'The images are those of the run: the built-in pictures. The dataset in the working folder is named ./dataset.';
  try {
    expect(await images()).toBe(24);
    expect(notes).toContain(told);
    notes.length = 0;
    expect(await images('./dataset')).toBe(12);
    expect(notes).not.toContain(told);
    await fs.rm(folder, { recursive: true });
    await fs.writeFile(folder, 'a file');
    expect(await images('dataset')).toBe(24);
  } finally {
    process.chdir(before);
  }
});

test('a folder of a split, or one around the classes, is told of', async () => {
  const folder = await pictures('whole/train', 4);
  await pictures('whole/test', 4);
  const notes: string[] = [];
  const reporter: Reporter = { ...silent, note: (line) => notes.push(line) };
  await tokenize({ run, dataset: path.dirname(folder), device, reporter });
  expect(notes[0]).toMatch(
    /whole has the folders train and test: .* vqgen tokenize \S*whole\/train --split train, then \S*test with --split val$/,
  );
  await fs.rm(path.join(root, 'whole/test'), { recursive: true });
  await tokenize({ run, dataset: path.dirname(folder), split: 'x', device, reporter });
  expect(notes.at(-2)).toMatch(
    /^All 4 images lie in .* 2 folders in it as classes: vqgen tokenize \S*train\/$/,
  );
});

test('files that cannot be read are counted and named', async () => {
  const folder = await pictures('broken', 6);
  await fs.writeFile(path.join(folder, 'a', 'torn.png'), 'no picture');
  const warnings: string[] = [];
  const reporter: Reporter = { ...silent, warn: (line) => warnings.push(line) };
  const summary = await tokenize({ run, dataset: folder, split: 'x', device, reporter });
  expect(summary).toMatchObject({ images: 6, skipped: 1 });
  expect(warnings.join()).toMatch(/1 of 7 images was skipped: a\/torn\.png/);
});

test.each(['train', 'val'] as const)(
  'where no image of %s can be read, the readable ones are split as stage 1 splits them',
  async (split) => {
    const folder = await pictures(`torn-${split}`, 12);
    const data = { ...config.data, dir: folder, max_unreadable: 1 };
    const { source, indices } = (await imageSplits(data))[split];
    for (const i of indices) await fs.writeFile(path.join(folder, source.names[i]!), 'x');
    const summary = await tokenize({ run, dataset: folder, device, reporter: silent });
    expect(summary).toMatchObject({ images: 12 - indices.length, skipped: indices.length });
    const cacheDir = path.join(root, 'cache');
    const dataset = await openDataset(data, { cacheDir, reporter: silent });
    for (const part of ['train', 'val'] as const) {
      expect((await readTokens(tokenFile(run, part), '')).names).toEqual(dataset[part].names);
    }
  },
);

test('several codings of each training image: rows one after another, the first as without, validation untouched', async () => {
  const flipped = path.join(root, 'flipped');
  const folder = path.join(root, 'wide');
  for (let i = 0; i < 12; i++) {
    const pixels = Array.from({ length: 8 * 14 * 3 }, (_, j) => Math.sin(i + j * j));
    await writePng(path.join(folder, i % 2 ? 'b' : 'a', `${i}.png`), float32([8, 14, 3], pixels));
  }
  await saveTokenizer(flipped, { ...tinyConfig({}, { dir: folder, flip: true }), tokenize: { codings: 3 } });
  const tokenized = async (o: object = {}) => {
    const summary = await tokenize({ run: flipped, device, reporter: silent, ...o });
    const [train, val] = [
      await readTokens(summary.file, ''),
      await readTokens(tokenFile(flipped, 'val'), ''),
    ];
    return { summary, train, val };
  };
  const { summary, train, val } = await tokenized();
  const file = await fs.readFile(summary.file);
  const one = await tokenized({ codings: 1 });
  expect(one.train.codings).toBe(1);
  expect(train.codings).toBe(3);
  expect(train.count).toBe(3 * one.train.count);
  expect(train.names).toEqual(one.train.names.flatMap((name) => [name, name, name]));
  expect([...train.labels]).toEqual([...one.train.labels].flatMap((label) => [label, label, label]));
  expect(val).toEqual(one.val);
  expect(summary).toMatchObject({ images: 12, tokens: 4 * (train.count + val.count) });

  const area = 4;
  const rows = Array.from({ length: train.count }, (_, i) => [
    ...train.codes.slice(area * i, area * (i + 1)),
  ]);
  const firsts = rows.filter((_, i) => i % 3 === 0);
  expect(firsts.flat()).toEqual([...one.train.codes]);
  expect(rows.filter((_, i) => i % 3 === 1)).not.toEqual(firsts);
  await tokenized();
  expect((await fs.readFile(summary.file)).equals(file)).toBe(true);
  expect((await tokenized({ seed: 7 })).train.codes).not.toEqual(train.codes);
});

test('codings that cannot differ are told; those of another split are refused', async () => {
  const warnings: string[] = [];
  const reporter: Reporter = { ...silent, warn: (line) => warnings.push(line) };
  await tokenize({ run, codings: 2, device, reporter });
  expect(warnings).toEqual([
    'No image has more than 1 different codings, though 2 were asked for: crops differ where one side is longer, and mirrored ones come with data.flip.',
  ]);
  await expect(tokenize({ run, codings: 2, split: 'x', device, reporter })).rejects.toThrow(
    /^Expected 1 for --codings but received 2 with --split x\./,
  );
});

test('--check writes originals above decoded codes', async () => {
  const folder = await pictures('few', 3);
  await tokenize({ run, dataset: folder, split: 'few', check: true, device, reporter: silent });
  const { width, height } = await sharp(path.join(run, 'tokens', 'few-check.png')).metadata();
  expect(width! / height!).toBeCloseTo((3 * 10 - 2) / (2 * 10 - 2), 5); // 3 columns of 8 pixels, 2 between
});

test('a run that takes no tokens is refused before the work', async () => {
  const closed = path.join(root, 'closed');
  await saveTokenizer(closed, config);
  await fs.writeFile(path.join(closed, 'tokens'), 'in the way');
  await expect(tokenize({ run: closed, device, reporter: silent })).rejects.toThrow(
    /^Expected a run that takes tokens for --run but received .*closed, where .*tokens is a file\. .* the copy\.$/,
  );
});

test('stopping leaves the files of before', async () => {
  const file = tokenFile(run, 'kept');
  await tokenize({ run, split: 'kept', device, reporter: silent });
  const bytes = await fs.readFile(file);
  const folder = await pictures('other', 4);
  const signal = AbortSignal.abort();
  await expect(
    tokenize({ run, dataset: folder, split: 'kept', device, reporter: silent, signal }),
  ).rejects.toThrow();
  expect(await fs.readFile(file)).toEqual(bytes);
  expect((await fs.readdir(path.dirname(file))).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('mistakes', async () => {
  const given = { run, device, reporter: silent };
  await expect(tokenize({ ...given, dataset: 'no-such-folder' })).rejects.toThrow(
    /Expected a folder of images for DATASET but received .*no-such-folder, which does not exist/,
  );
  await expect(tokenize({ ...given, split: '../x' })).rejects.toThrow(/Expected a file name .* for --split/);
  await expect(tokenize({ ...given, run: path.join(root, 'none') })).rejects.toThrow(/train-stage1/);
});
