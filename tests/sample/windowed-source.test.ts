import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { silent } from '../../src/base/progress.js';
import { runPaths } from '../../src/checkpoint/run.js';
import { saveCheckpoint } from '../../src/checkpoint/store.js';
import { type Config, configSchema } from '../../src/config/schema.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { priorSource } from '../../src/sample/prior-source.js';
import { sample } from '../../src/sample/sample.js';
import { windowedSource } from '../../src/sample/windowed-source.js';
import { editConfig, hierarchyConfig, inFolder, pixelsOf, readAll, saveRun } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer } from '../support/run.js';

let device: Device;
let at: (name: string) => string;

/** 8 × 8 codes whose decoder sees four cells far. */
const strided = (prior: object = {}): Config => {
  const { stage1, ...config } = editConfig(32, prior);
  return configSchema.parse({ ...config, stage1: { ...stage1, network: 'strided' } });
};

beforeAll(async () => {
  at = inFolder(await freshFolder());
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  await saveRun(at('gpt'), strided());
  await saveRun(at('classed'), strided(), ['car', 'cat']);
  await saveRun(at('pixelcnn'), strided({ kind: 'pixelcnn', layers: 2, dropout: 0 }));
  await saveRun(at('maskgit'), strided({ kind: 'maskgit' }));
  await saveRun(at('grids'), hierarchyConfig(32));
});
afterAll(removeFolders);

const drawn = (run: string, size: string, o: object = {}) => {
  const [width, height] = size.split('x').map(Number) as [number, number];
  const extent = { width, height };
  return sample({ run: at(run), n: 1, extent, topP: 1, topK: 0, device, reporter: silent, ...o });
};

test.each(['gpt', 'pixelcnn', 'maskgit', 'grids'])(
  '%s: a grid that is one window is drawn and decoded as a picture of the trained size',
  async (run) => {
    const o = { run: at(run), topP: 1, topK: 0, seed: 3, device, reporter: silent };
    const plain = await priorSource(o);
    const windowed = await windowedSource(o, { width: 32, height: 32 });
    const [wanted] = (await plain.draw(0, () => {})).images;
    const [found] = (await windowed.draw(0, () => {})).images;
    const worst = wanted!.reduce(
      (most, value, i) => Math.max(most, Math.abs(Math.min(1, Math.max(-1, value)) - found![i]!)),
      0,
    );
    expect(worst).toBeLessThanOrEqual(0.51 / 127.5);
    expect(new Set(found).size).toBeGreaterThan(10);
    await Promise.all([plain.dispose(), windowed.dispose()]);
  },
);

test.each(['gpt', 'pixelcnn', 'maskgit', 'grids'])(
  '%s: what is drawn stays as it is when the window moves on',
  async (run) => {
    const plain = await pixelsOf((await drawn(run, '32x32')).files[0]!);
    const { files } = await drawn(run, '88x56');
    const { width, height } = await sharp(files[0]!).metadata();
    expect([width, height]).toEqual([88, 56]);
    const wide = await pixelsOf(files[0]!);
    // What the decoder sees of the first window alone: a cell beyond it acts on two cells of it.
    const seen = 16; // What the decoder sees of the first window alone, at least.
    for (let y = 0; y < seen; y++) {
      const [here, there] = [3 * 88 * y, 3 * 32 * y];
      expect(wide.subarray(here, here + 3 * seen)).toEqual(plain.subarray(there, there + 3 * seen));
    }
    const right = wide.subarray(3 * (88 * 40 + 60), 3 * (88 * 40 + 88));
    expect(new Set(right).size).toBeGreaterThan(5);
  },
);

test('a picture depends on seed and number; classes in turn; the grid shows all', async () => {
  const many = await drawn('classed', '48x32', { n: 3, cfgScale: 2 });
  expect(many).toMatchObject({ images: 3, classes: ['car', 'cat', 'car'] });
  expect(many.files.map((file) => path.relative(at('classed'), file))).toEqual(
    [0, 1, 2].map((i) => `samples/seed-0_cfg-scale-2_top-p-1_48x32/000${i}.png`),
  );
  const all = await readAll(many.files);
  expect(new Set(all.map((bytes) => bytes.toString('hex'))).size).toBe(3);
  const { width, height } = await sharp(many.grid).metadata();
  expect([width, height]).toEqual([(2 * 50 - 2) * 2, (2 * 34 - 2) * 2 + 24]); // enlarged twice, captions above
  expect(await readAll((await drawn('classed', '48x32', { cfgScale: 2 })).files)).toEqual(all.slice(0, 1));
  const cats = await drawn('classed', '48x32', { classes: ['cat'], cfgScale: 2 });
  expect((await readAll(cats.files))[0]).not.toEqual(all[0]);
});

test('smaller than a window: its upper left', async () => {
  const { files } = await drawn('gpt', '16x64');
  const { width, height } = await sharp(files[0]!).metadata();
  expect([width, height]).toEqual([16, 64]);
});

test('progress counts the places of all rounds', async () => {
  const source = await windowedSource(
    { run: at('gpt'), device, reporter: silent },
    { width: 80, height: 48 },
  );
  const places: number[] = [];
  await source.draw(0, (place) => places.push(place));
  expect(places).toEqual(Array.from({ length: source.places }, (_, i) => i));
  expect(source.tokens).toBe(240);
  await source.dispose();
});

test('Ctrl-C leaves what is drawn', async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const notes: string[] = [];
  const reporter = {
    ...silent,
    note: (line: string) => notes.push(line),
    progress: () => ({ update: (place: number) => place === 100 && controller.abort(), stop() {} }),
  };
  await expect(drawn('gpt', '64x32', { signal, reporter, seed: 9 })).rejects.toThrow(/abort/);
  const folder = at('gpt/samples/seed-9_top-p-1_64x32');
  expect(await fs.readdir(folder)).toEqual(['0000-unfinished.png']);
  expect(notes).toContain(`What is drawn of it so far: ${path.join(folder, '0000-unfinished.png')}`);
  const pixels = await pixelsOf(path.join(folder, '0000-unfinished.png'));
  expect([...pixels.subarray(-3)]).toEqual([255, 255, 255]);
  expect([...pixels.subarray(0, 3)]).not.toEqual([255, 255, 255]);
});

test('one sentence for what cannot be drawn', async () => {
  await expect(drawn('gpt', '30x18')).rejects.toThrow(
    'Expected multiples of 4, the pixels of a code, for --size but received 30x18. Try --size 32x20.',
  );
  await expect(drawn('gpt', '80000x80000')).rejects.toThrow(/Expected at most 33554432 pixels for --size /);
  const vae = configSchema.parse({
    ...editConfig(32),
    stage1: { ...editConfig(32).stage1, bottleneck: { kind: 'gaussian' } },
  });
  await saveTokenizer(at('vae'), vae);
  const state = { step: 1, seconds: 0, validated: 1, best: null, metrics: null };
  await saveCheckpoint(runPaths(at('vae')).prior, {}, state, 1);
  await expect(drawn('vae', '64x32')).rejects.toThrow(
    'Expected nothing for --size but received 64x32 for a run without codes.',
  );
});
