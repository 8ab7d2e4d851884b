import fs from 'node:fs/promises';
import sharp from 'sharp';
import { silent } from '../../src/base/progress.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { complete } from '../../src/sample/complete.js';
import { editConfig, inFolder, pixelsOf, readAll, saveRun, writeWaves } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';

let device: Device;
let at: (name: string) => string;
let image: string;
beforeAll(async () => {
  at = inFolder(await freshFolder());
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  image = await writeWaves(at('waves.png'), 16);
  await saveRun(at('gpt'), editConfig(16));
  await saveRun(at('pixelcnn'), editConfig(16, { kind: 'pixelcnn', layers: 2, dropout: 0 }));
  await saveRun(at('classed'), editConfig(16), ['car', 'cat']);
});
afterAll(removeFolders);

const completed = (o: object = {}) =>
  complete({ run: at('gpt'), image, n: 2, topP: 1, topK: 0, device, reporter: silent, ...o });

/** How many bytes of the kept pixels are others than the original's, and how many of the others. */
async function changes(file: string, isKept: (x: number, y: number) => boolean): Promise<[number, number]> {
  const [before, after] = [await pixelsOf(image), await pixelsOf(file)];
  const counts: [number, number] = [0, 0];
  for (const [i, byte] of before.entries()) {
    const [x, y] = [Math.floor(i / 3) % 16, Math.floor(i / 48)];
    if (byte !== after[i]) counts[isKept(x, y) ? 0 : 1]++;
  }
  return counts;
}

describe.each(['gpt', 'pixelcnn'])('%s', (kind) => {
  test.each([
    ['top', 0.5, (_: number, y: number) => y < 4],
    ['left', 0.5, (x: number) => x < 4],
    [0.75, 0.75, (_: number, y: number) => y < 8],
  ] as const)('keeps %s, to the pixel but for a rim of one cell', async (keep, kept, isKept) => {
    const summary = await completed({ run: at(kind), keep });
    expect(summary).toMatchObject({ images: 2, kept, seed: 0 });
    expect(summary).not.toHaveProperty('classes');
    const [first, second] = await Promise.all(summary.files.map((file) => changes(file, isKept)));
    expect([first![0], second![0]]).toEqual([0, 0]);
    expect(first![1]).toBeGreaterThan(50);
    const [a, b] = await readAll(summary.files);
    expect(a).not.toEqual(b);
  });
});

test('a proposal depends on seed and number, not on how many were asked for', async () => {
  const many = await completed({ n: 6 });
  const all = await readAll(many.files);
  expect(many.files.map((file) => file.replace(/-[0-9a-f]{8}_/, '-DIGEST_'))).toEqual(
    [0, 1, 2, 3, 4, 5].map((i) => at(`gpt/samples/complete-waves-DIGEST_seed-0_top-p-1/000${i}.png`)),
  );
  expect(await readAll((await completed({ n: 1 })).files)).toEqual(all.slice(0, 1));
  expect(new Set(all.map((bytes) => bytes.toString('hex'))).size).toBe(6);
  const other = await completed({ seed: 1, n: 1 });
  expect((await readAll(other.files))[0]).not.toEqual(all[0]);
});

test('the picture of all: original, what is kept, proposals', async () => {
  const out = at('all.png');
  const { grid, files } = await completed({ out });
  expect([grid, files.length]).toEqual([out, 2]);
  const { width, height } = await sharp(out).metadata();
  expect([width, height]).toEqual([(4 * 18 - 2) * 6, 16 * 6 + 24]); // enlarged 6 times, captions above
});

test('a run that takes no pictures: the picture of all alone, with --out', async () => {
  await fs.cp(at('gpt'), at('closed'), { recursive: true });
  await fs.rm(at('closed/samples'), { recursive: true, force: true });
  await fs.writeFile(at('closed/samples'), 'in the way');
  const warnings: string[] = [];
  const reporter = { ...silent, warn: (line: string) => warnings.push(line) };
  const { files } = await completed({ run: at('closed'), out: at('only.png'), reporter });
  expect(files).toEqual([]);
  expect(warnings.join()).toMatch(/^Only one picture of all is written, no single ones: /);
  await expect(completed({ run: at('closed') })).rejects.toThrow(/Expected a run that takes pictures/);
});

test('classes: told in turn, or not at all; guidance only with one', async () => {
  const classed = (o: object) => completed({ run: at('classed'), ...o });
  const told = await classed({ classes: ['cat', 'car'], cfgScale: 2, n: 3 });
  expect(told.classes).toEqual(['cat', 'car', 'cat']);
  expect(told.files[0]).toMatch(/_seed-0_class-cat\+car_cfg-scale-2_top-p-1\/0000\.png$/);
  const untold = await classed({ n: 3 });
  const [a, b, c] = [await readAll(told.files), await readAll(untold.files), [] as Buffer[]];
  expect(a[0]).not.toEqual(b[0]);
  c.push(...(await readAll((await classed({ classes: ['cat'], cfgScale: 2, n: 3 })).files)));
  expect([c[0], c[2]]).toEqual([a[0], a[2]]);
  expect(c[1]).not.toEqual(a[1]);
});

test('Ctrl-C ends it', async () => {
  await expect(completed({ signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
});

describe('refused in one sentence:', () => {
  const cases: [string, object, string | RegExp][] = [
    [
      'what is not seen',
      { keep: 'bottom' },
      'Expected top, left or a fraction for --keep but received bottom, which a prior of prior.kind gpt does not see while it draws what comes before. A prior of prior.kind maskgit draws anywhere.',
    ],
    ['what is not seen by rows', { keep: 'right' }, /but received right, which a prior of prior\.kind gpt/],
    [
      'nothing to draw',
      { keep: 0.9 },
      'Expected a fraction that leaves rows of codes to keep and to draw for --keep but received 0.9, of 4 rows 4.',
    ],
    ['nothing to keep', { keep: 0.1 }, /received 0\.1, of 4 rows 0\./],
    ['no picture', { image: 'none.png' }, /^Expected a picture for none\.png but received no such file\./],
    ['no proposals', { n: 0 }, /Expected a positive whole number for --n but received 0/],
    ['temperature', { temperature: 0 }, /Expected a number above 0 for --temperature/],
    ['a class', { classes: ['cat'] }, /Expected no class for --class but received cat\./],
    [
      'guidance without class',
      { cfgScale: 2 },
      'Expected 1 for --cfg-scale but received 2, without a class. Name one: --class NAME.',
    ],
    ['a folder for --out', { out: '.' }, /Expected a file in a folder for --out/],
  ];
  test.each(cases)('%s', async (_, o, message) => {
    await expect(completed(o)).rejects.toThrow(message);
  });

  test('no class, where the prior never learned to do without', async () => {
    await saveRun(at('always'), editConfig(16, { class_dropout: 0 }), ['car', 'cat']);
    await expect(completed({ run: at('always') })).rejects.toThrow(
      'Expected a class for --class but received none, where prior.class_dropout was 0. The prior never learned to draw without one; it knows car, cat.',
    );
    expect((await completed({ run: at('always'), classes: ['car'], n: 1 })).classes).toEqual(['car']);
  });
});
