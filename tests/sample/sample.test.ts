import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { silent } from '../../src/base/progress.js';
import { readChecked } from '../../src/checkpoint/content-sum.js';
import { runPaths, tokenFile, writeRunConfig } from '../../src/checkpoint/run.js';
import { writeSafetensors } from '../../src/checkpoint/safetensors.js';
import { loadModel, saveCheckpoint } from '../../src/checkpoint/store.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { samplesName } from '../../src/sample/out.js';
import { reconstruct } from '../../src/sample/reconstruct.js';
import { sample } from '../../src/sample/sample.js';
import { gridsOf } from '../../src/stage1-vqgan/model.js';
import { priorFor, recordClasses, recordTokenizer, tokensFor } from '../../src/stage2-transformer/model.js';
import { labelled, validationRows } from '../../src/stage2-transformer/sequences.js';
import { frozenEvaluation, meanLosses, priorStart } from '../../src/stage2-transformer/step.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { pixelsOf } from '../support/editing.js';
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

const draw = (o: object = {}) => sample({ run, n: 3, device, reporter: silent, ...o });
const bytesOf = (files: readonly string[]) => Promise.all(files.map((file) => fs.readFile(file)));

describe('sample', () => {
  test('refuses before the prior is trained', async () => {
    await expect(draw()).rejects.toThrow(/Expected a trained prior for --run .* Next: vqgen train-prior/);
    const state = { step: 1, seconds: 0, validated: 1, best: null, metrics: null };
    await saveCheckpoint(runPaths(run).prior, priorStart(priorFor(config), 0), state, 1);
  });

  test('pictures and a grid, by the seed alone, whatever their number', async () => {
    const three = await draw();
    expect(three).toMatchObject({
      images: 3,
      seed: 0,
      grid: path.join(run, 'samples', 'seed-0', 'grid.png'),
    });
    expect(three.files.map((file) => path.relative(run, file))).toEqual([
      'samples/seed-0/0000.png',
      'samples/seed-0/0001.png',
      'samples/seed-0/0002.png',
    ]);
    expect(three.tokens_per_second).toBeGreaterThan(0);
    const first = await bytesOf(three.files);
    const firstGrid = await fs.readFile(three.grid);
    expect(new Set(first.map((bytes) => bytes.toString('hex'))).size).toBe(3);
    const { width, height } = await sharp(first[0]!).metadata();
    expect([width, height]).toEqual([8, 8]);

    const many = await draw({ n: 18 }); // two batches
    expect(many.files).toHaveLength(18);
    const eighteen = await bytesOf(many.files);
    expect(eighteen.slice(0, 3)).toEqual(first);
    expect(eighteen[16]).not.toEqual(eighteen[0]);
    expect(eighteen[17]).not.toEqual(eighteen[1]);
    const notes: string[] = [];
    await draw({ reporter: { ...silent, note: (line: string) => notes.push(line) } });
    expect(await fs.readFile(three.grid)).toEqual(firstGrid);
    expect(await bytesOf(many.files)).toEqual(eighteen); // of an earlier call, and still there
    expect(notes).toContain(`${path.dirname(three.grid)} also holds 15 pictures of an earlier call.`);
    const other = await draw({ seed: 1 });
    expect((await bytesOf(other.files)).every((bytes, i) => !bytes.equals(first[i]!))).toBe(true);
  });

  test('--out takes the grid; the pictures stay in the run', async () => {
    const out = path.join(root, 'grid.png');
    const { grid, files } = await draw({ n: 1, out, seed: 5 });
    expect(grid).toBe(out);
    await fs.access(out);
    expect(await fs.readdir(path.join(run, 'samples', 'seed-5'))).toEqual(['0000.png']);
    expect(files).toHaveLength(1);
  });

  test('temperature and top-k take effect', async () => {
    const one = await draw({ topK: 1 });
    const same = await draw({ temperature: 1e-6 });
    expect(await Promise.all(one.files.map(pixelsOf))).toEqual(await Promise.all(same.files.map(pixelsOf)));
    expect(path.relative(run, one.grid)).toBe('samples/seed-0_top-k-1/grid.png');
    expect(path.relative(run, same.grid)).toBe('samples/seed-0_temperature-0.000001/grid.png');
    expect(path.relative(run, (await draw({ topK: 0, temperature: 1 })).grid)).toBe(
      'samples/seed-0/grid.png',
    );
  });

  test('a folder is named by all that decides its pictures', () => {
    const usual = { choice: { temperature: 1, topK: 0, topP: 1 }, cfgScale: 1, classes: ['a', 'b', 'c'] };
    const name = (o: object) => samplesName({ seed: 3, ...usual, ...o }, usual);
    expect(name({})).toBe('seed-3');
    expect(name({ classes: ['c', 'a'], cfgScale: 2.5, precision: 'int8' })).toBe(
      'seed-3_class-c+a_cfg-scale-2.5_int8',
    );
    expect(name({ cfgScale: 2, growth: 'linear' })).toBe('seed-3_cfg-scale-2_cfg-growth-linear');
    expect(name({ choice: { temperature: 0.8, topK: 5, topP: 0.9 } })).toBe(
      'seed-3_temperature-0.8_top-k-5_top-p-0.9',
    );
    expect(name({ classes: ['a+b', 'c:"/'] })).toBe('seed-3_class-a%2bb+c%3a%22%2f');
    const long = Array.from({ length: 60 }, (_, i) => `猫${i}`);
    expect(name({ classes: long })).toMatch(/^seed-3_class-猫0\+.{17}-[0-9a-f]{8}$/u);
    expect(name({ classes: long.slice(1) })).not.toBe(name({ classes: long }));
  });

  test.each([
    [{ n: 0 }, /positive whole number for --n but received 0/],
    [{ temperature: 0 }, /above 0 for --temperature/],
    [{ topK: 17 }, /whole number from 0 to 16 for --top-k/],
    [
      { out: os.tmpdir() },
      /Expected a file in a folder for --out but received .*, which is a folder\. For example/,
    ],
    [{ out: 'new/' }, /Expected a file in a folder for --out but received new\/, which is a folder\./],
    [{ out: 'package.json/grid.png' }, /for --out but received .*, where .*package\.json is a file\./],
    [{ topP: 1.5 }, /for --top-p but received 1\.5/],
    [
      { out: 'g.gif' },
      /Expected a file that ends in \.png, \.jpg, \.jpeg, \.webp for --out but received g\.gif/,
    ],
  ])('refuses %j', async (settings, message) => {
    await expect(draw(settings)).rejects.toThrow(message);
  });

  test('a run that takes no pictures is refused before the work, or only --out is written', async () => {
    const closed = path.join(root, 'closed');
    await fs.cp(run, closed, { recursive: true });
    await fs.rm(path.join(closed, 'samples'), { recursive: true });
    await fs.writeFile(path.join(closed, 'samples'), 'in the way');
    const message =
      /^Expected a run that takes pictures for --run but received .*closed, where .*samples is a file\. .* --out/;
    await expect(draw({ run: closed, device: undefined })).rejects.toThrow(message);
    await expect(
      reconstruct({ run: closed, images: ['package.json'], device: undefined as never, reporter: silent }),
    ).rejects.toThrow(message);
    const warnings: string[] = [];
    const reporter = { ...silent, warn: (line: string) => warnings.push(line) };
    const out = path.join(root, 'only.png');
    const { grid, files } = await draw({ run: closed, out, reporter });
    expect([grid, files]).toEqual([out, []]);
    await expect(pixelsOf(out)).resolves.toEqual(await pixelsOf((await draw()).grid));
    expect(warnings.join()).toMatch(/^Only the grid is written, no single pictures: .*closed takes none/);
  });

  test('refuses 8-bit weights where the device has none', async () => {
    await expect(draw({ precision: 'int8' })).rejects.toThrow(/Expected f32 for --precision/);
  });

  describe('with 8-bit weights', () => {
    let notes: string[];
    let warnings: string[];
    const drawInt8 = async () => {
      notes = [];
      warnings = [];
      const reporter = {
        ...silent,
        note: (line: string) => notes.push(line),
        warn: (line: string) => warnings.push(line),
      };
      const cpu = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
      return draw({ n: 1, precision: 'int8', device: cpu, reporter });
    };
    const kept = () => path.join(run, '.cache', 'int8-loss.json');

    test('without validation tokens it says so and draws', async () => {
      const { int8, files } = await drawInt8();
      expect(int8).toBeNull();
      expect(files).toHaveLength(1);
      expect(notes).toEqual([
        expect.stringMatching(
          /^What int8 weights cost cannot be measured\. Expected a token file .*tokenize/,
        ),
      ]);
    });

    test('what they cost on validation tokens is said, and kept', async () => {
      await writePictures(path.join(root, 'held-out'), 40);
      await tokenize({ run, dataset: path.join(root, 'held-out'), split: 'val', device, reporter: silent });
      const { int8 } = await drawInt8();
      expect(int8!.tokens).toBe(40 * 4);
      expect(Math.abs(int8!.loss_f32 - Math.log(16))).toBeLessThan(0.2); // nothing learned
      expect(int8!.loss_int8).not.toBe(int8!.loss_f32);
      expect(int8!.loss_int8).toBeCloseTo(int8!.loss_f32, 3);
      expect(int8!.percent).toBeCloseTo(100 * (int8!.loss_int8 / int8!.loss_f32 - 1), 9);
      expect(notes).toEqual([
        expect.stringMatching(
          /^With int8 weights the prior's validation loss is 2\.\d{4} nats per token instead of 2\.\d{4} \([+−]0\.\d\d %, 160 tokens\)\.$/,
        ),
      ]);
      expect(warnings).toEqual([]);

      const saved = JSON.parse(await fs.readFile(kept(), 'utf8'));
      await fs.writeFile(kept(), JSON.stringify({ ...saved, loss_int8: 3, percent: 8.2 }));
      expect((await drawInt8()).int8).toMatchObject({ loss_int8: 3, tokens: 160 });
      expect(warnings).toEqual([expect.stringMatching(/is 3\.0000 nats .* more than 0\.5 % higher/)]);

      await fs.writeFile(kept(), JSON.stringify({ ...saved, loss_int8: 3, key: 'another prior' }));
      expect((await drawInt8()).int8).toEqual(int8);
      expect(warnings).toEqual([]);
    });
  });

  describe('of a prior without classes', () => {
    test.each([
      [
        { classes: ['cat'] },
        /Expected no class for --class but received cat\. The run was trained without classes/,
      ],
      [
        { cfgScale: 2 },
        /Expected 1 for --cfg-scale but received 2, where the prior was trained without classes/,
      ],
      [
        { cfgGrowth: 'linear' },
        /Expected nothing for --cfg-growth but received linear of guidance 1, which is none\. Try --cfg-scale 3\./,
      ],
      [{ cfgScale: -1 }, /Expected a number of at least 0 for --cfg-scale but received -1/],
    ])('%j is refused', async (settings, message) => {
      await expect(draw(settings)).rejects.toThrow(message);
    });

    test('no scale of the config acts, and nothing is said of classes', async () => {
      const plain = await draw();
      expect(plain).not.toHaveProperty('classes');
      await writeRunConfig(run, { ...config, sample: { ...config.sample, cfg_scale: 3 } });
      expect(await bytesOf((await draw()).files)).toEqual(await bytesOf(plain.files));
      await writeRunConfig(run, config);
    });
  });

  describe('of a prior with classes', () => {
    const classes = ['car', 'cat', 'house'];
    let classed: string;
    let cpu: Device;
    beforeAll(async () => {
      classed = path.join(root, 'classed');
      await fs.cp(run, classed, { recursive: true });
      cpu = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
      const start = priorStart(priorFor(config, classes), 0);
      for (const t of Object.values(start)) for (const i of t.data.keys()) t.data[i] = 20 * t.data[i]!; // classes that matter
      const state = { step: 2, seconds: 0, validated: 1, best: null, metrics: null };
      await saveCheckpoint(runPaths(classed).prior, start, state, 1);
      await recordClasses(classed, classes);
    });
    const drawClassed = (o: object = {}) => draw({ run: classed, device: cpu, topP: 1, ...o });

    test('classes in turn; an image does not depend on how many were asked for, nor on the others', async () => {
      const many = await drawClassed({ n: 18 });
      expect(many.classes).toEqual(Array.from({ length: 18 }, (_, i) => classes[i % 3]));
      const images = await bytesOf(many.files);
      const few = await drawClassed({ n: 4 });
      expect(few.classes).toEqual(['car', 'cat', 'house', 'car']);
      expect(await bytesOf(few.files)).toEqual(images.slice(0, 4));
      const cats = await drawClassed({ n: 17, classes: ['cat'] });
      expect(new Set(cats.classes)).toEqual(new Set(['cat']));
      const ofCats = await bytesOf(cats.files);
      for (const i of [1, 4, 16]) expect(ofCats[i]).toEqual(images[i]);
      expect(ofCats[0]).not.toEqual(images[0]);
      const pairs = await drawClassed({ n: 4, classes: ['house', 'cat'] });
      expect(pairs.classes).toEqual(['house', 'cat', 'house', 'cat']);
      const { width, height } = await sharp((await drawClassed({ n: 12 })).grid).metadata();
      expect((width! + 24) / (height! + 24 - 24)).toBe(3 / 4); // 3 columns: each is one class, under its name
    });

    test('a grid that cannot hold all of them says so', async () => {
      const notes: string[] = [];
      const reporter = { ...silent, note: (line: string) => notes.push(line) };
      const { grid } = await drawClassed({ n: 258, out: path.join(root, 'large.png'), reporter });
      const { width, height } = await sharp(grid).metadata();
      // 12 columns, four of each class, 22 rows of 8 pixels with 2 between, enlarged 12 times, and names
      expect([width, height]).toEqual([(12 * 10 - 2) * 12, (22 * 10 - 2) * 12 + 24]);
      expect(notes).toEqual(['The grid shows the first 256 of 258 images.']);
    });

    test('guidance: 1 is none, 0 is without class, and no scale depends on how many were asked for', async () => {
      const plain = await bytesOf((await drawClassed()).files);
      expect(await bytesOf((await drawClassed({ cfgScale: 1 })).files)).toEqual(plain);
      const guided = await bytesOf((await drawClassed({ cfgScale: 4 })).files);
      expect(guided).not.toEqual(plain);
      expect((await bytesOf((await drawClassed({ cfgScale: 4, n: 18 })).files)).slice(0, 3)).toEqual(guided);
      const growing = await drawClassed({ cfgScale: 4, cfgGrowth: 'linear' });
      expect(await bytesOf(growing.files)).not.toEqual(guided);
      const unguided = async (o: object) =>
        Promise.all((await drawClassed({ ...o, cfgScale: 0 })).files.map(pixelsOf));
      expect(await unguided({ classes: ['house'] })).toEqual(await unguided({}));
      await writeRunConfig(classed, { ...config, sample: { ...config.sample, cfg_scale: 4, top_p: 1 } });
      expect(await bytesOf((await drawClassed()).files)).toEqual(guided);
      await writeRunConfig(classed, { ...config, prior: { ...config.prior, class_dropout: 0 } });
      await expect(drawClassed({ cfgScale: 4 })).rejects.toThrow(
        /Expected 1 for --cfg-scale but received 4, where prior\.class_dropout was 0/,
      );
      await writeRunConfig(classed, config);
    });

    test('8-bit weights: guided too, and their cost is measured with the classes', async () => {
      const notes: string[] = [];
      const reporter = { ...silent, note: (line: string) => notes.push(line) };
      // The images' subfolders must be classes of the prior for these to matter.
      const tokenizer = await loadModel(classed, 'stage1');
      const { tensors, metadata } = await readChecked(tokenFile(classed, 'val'));
      const named = { ...metadata, classes: JSON.stringify(['car', 'house']) };
      await writeSafetensors(tokenFile(classed, 'val'), tensors, named);
      const val = await tokensFor(classed, 'val', gridsOf(config), tokenizer);
      await fs.rm(path.join(classed, '.cache'), { recursive: true });
      await fs.writeFile(path.join(classed, '.cache'), 'keeps no loss, and that is no failure');
      const { int8, classes: drawn } = await drawClassed({ precision: 'int8', cfgScale: 2, reporter });
      expect(drawn).toEqual(classes);

      const model = priorFor(config, classes);
      const { tensors: weights } = await loadModel(classed, 'prior');
      const graph = await cpu.prepare(frozenEvaluation(model, weights, { batch: 16, precision: 'int8' }));
      const rows = validationRows(val.count, val.count);
      const loss = async (known: readonly string[]) =>
        (await meanLosses(graph, model, labelled(val, known), rows, { batch: 16 })).loss;
      expect(int8!.loss_int8).toBeCloseTo(await loss(classes), 6);
      expect(Math.abs(int8!.loss_int8 - (await loss([])))).toBeGreaterThan(1e-2);
    });

    test('an unknown class is refused with the known ones', async () => {
      await expect(drawClassed({ classes: ['cat', 'horse'] })).rejects.toThrow(
        'Expected one of car, cat, house for --class but received horse. Did you mean house?',
      );
    });

    test('the best by validation is drawn from, and it is said', async () => {
      const state = { step: 3, seconds: 0, validated: 3, best: { step: 2, value: 1 }, metrics: null };
      const before = await bytesOf((await drawClassed()).files);
      await saveCheckpoint(runPaths(classed).prior, priorStart(priorFor(config, classes), 9), state, 1);
      const notes: string[] = [];
      const reporter = { ...silent, note: (line: string) => notes.push(line) };
      expect(await bytesOf((await drawClassed({ reporter })).files)).toEqual(before);
      expect(notes.slice(0, 1)).toEqual([
        'The prior is that of step 2, the best by validation; the newest is of step 3.',
      ]);
    });
  });

  test('refuses a tokenizer that was trained on after the prior', async () => {
    await recordTokenizer(run, 'another');
    await expect(draw()).rejects.toThrow(/Expected a prior for the present tokenizer/);
  });
});

describe('reconstruct', () => {
  test('files and folders; the mean does not depend on what else is in the batch', async () => {
    const folder = path.join(root, 'pictures');
    await writePictures(folder, 19);
    await fs.writeFile(path.join(folder, 'torn.png'), 'x');
    const warnings: string[] = [];
    const reporter = { ...silent, warn: (line: string) => warnings.push(line) };
    const all = await reconstruct({ run, images: [folder], device, reporter });
    expect(all.images).toBe(19);
    expect(warnings.join()).toMatch(/1 of 20 images was skipped: torn\.png/);
    expect(all.out).toBe(path.join(run, 'samples', 'reconstruction.png'));
    const { width, height } = await sharp(all.out).metadata();
    expect(width).toBe(height! * 2 + 2 * 12); // 8 columns, 4 rows of 8 pixels with 2 between, enlarged 12 times

    const out = path.join(root, 'one.png');
    const files = Array.from({ length: 19 }, (_, i) => path.join(folder, i % 2 ? 'b' : 'a', `${i}.png`));
    let sum = 0;
    for (const file of files) sum += (await reconstruct({ run, images: [file], out, device, reporter })).psnr;
    expect(all.psnr).toBeCloseTo(sum / 19, 9);
    const mixed = await reconstruct({
      run,
      images: [files[0]!, path.join(folder, 'b')],
      out,
      device,
      reporter,
    });
    expect(mixed).toMatchObject({ images: 10, out });
  });

  test('mistakes', async () => {
    const given = { run, device, reporter: silent };
    const missing = path.join(root, 'none.png');
    await expect(reconstruct({ ...given, images: [missing] })).rejects.toThrow(
      /Expected an image or a folder for IMAGE but received .*none\.png, which does not exist/,
    );
    const torn = path.join(root, 'torn.png');
    await fs.writeFile(torn, 'x');
    await expect(reconstruct({ ...given, images: [torn] })).rejects.toThrow(
      /Expected a picture for .*torn\.png/,
    );
  });
});
