import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { silent } from '../../src/base/progress.js';
import { runPaths } from '../../src/checkpoint/run.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { complete } from '../../src/sample/complete.js';
import { like, readGiven } from '../../src/sample/like.js';
import { sample } from '../../src/sample/sample.js';
import { inFolder, saveRun, writeWaves } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer, tinyConfig } from '../support/run.js';

let device: Device;
let at: (name: string) => string;
let run: string;
const config = tinyConfig({ class_dropout: 0.1 });
beforeAll(async () => {
  at = inFolder(await freshFolder());
  run = at('mine');
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  await saveRun(run, config, ['car', 'cat', 'house']);
});
afterAll(removeFolders);

const o = () => ({ run, device, reporter: silent });
const again = async (file: string, more: object = {}) =>
  like({ ...o(), given: await readGiven(file), ...more });

test('one of many, and the grid of all: the same bytes, though the run moved', async () => {
  const { files, grid } = await sample({
    ...o(),
    n: 17,
    seed: 5,
    classes: ['cat', 'car'],
    cfgScale: 2,
    topP: 0.9,
  });
  const one = await again(files[16]!);
  expect(one).toMatchObject({ same: true, differs: [], seed: 5, run });
  expect(path.relative(run, one.file)).toMatch(/^samples\/like-0016-[0-9a-f]{8}\.png$/);
  expect(await fs.readFile(one.file)).toEqual(await fs.readFile(files[16]!));
  expect(await fs.readFile(one.file)).not.toEqual(await fs.readFile(files[0]!)); // the same class

  const { recipe } = await readGiven(files[16]!);
  expect(recipe).toMatchObject({
    run: 'mine',
    index: 16,
    class: 'cat',
    settings: { cfg_scale: 2, top_p: 0.9 },
  });
  expect(JSON.stringify(recipe)).not.toContain(path.dirname(run));
  await fs.cp(run, at('moved'), { recursive: true });
  const before = await fs.readdir(path.join(at('moved'), 'samples'));
  expect(await again(grid, { run: at('moved'), out: at('grid.png') })).toMatchObject({ same: true });
  expect(await fs.readdir(path.join(at('moved'), 'samples'))).toEqual(before);
});

test('a larger picture', async () => {
  const { files } = await sample({ ...o(), n: 1, extent: { width: 16, height: 8 }, temperature: 0.7 });
  expect(await again(files[0]!)).toMatchObject({ same: true });
});

test('other weights, another version, other pixels are told', async () => {
  const { files } = await sample({ ...o(), n: 2, seed: 1 });
  await fs.cp(run, at('other'), { recursive: true });
  await saveTokenizer(at('other'), config, { seed: 9, step: 2 });
  const { same, differs, file } = await again(files[1]!, { run: at('other') });
  expect(same).toBe(false);
  expect(differs).toEqual([
    expect.stringMatching(/^Other weights of the tokenizer: [0-9a-f]{8} here, [0-9a-f]{8} in the picture\.$/),
    expect.stringMatching(/^\d+ of 64 pixels differ, by \d+ of 255 at most\.$/),
  ]);
  expect((await readGiven(file)).recipe.run).toBe('other');

  const given = await readGiven(files[1]!);
  const older = { ...given, bytes: Buffer.alloc(0), recipe: { ...given.recipe, vqgen: '0.0.1' } };
  expect((await again(files[1]!, { given: older })).differs).toEqual([
    expect.stringMatching(/^Another version of vqgen: .* here, 0\.0\.1 in the picture\.$/),
    'The pixels are the same, all of them.',
  ]);
  const changed = {
    ...given,
    bytes: Buffer.alloc(0),
    picture: { ...given.picture, data: new Uint8Array(192) },
  };
  expect((await again(files[1]!, { given: changed })).differs).toEqual([
    expect.stringMatching(/^64 of 64 pixels differ, .*: another processor, .* or the file was changed\.$/),
  ]);
});

describe('refused in one sentence:', () => {
  test('a picture without recipe, and none', async () => {
    await writeWaves(at('plain.png'), 16);
    await expect(readGiven(at('plain.png'))).rejects.toThrow(
      /for --like but received .*plain\.png, which has none\. /,
    );
    await sharp(at('plain.png')).jpeg().toFile(at('plain.jpg'));
    await expect(readGiven(at('plain.jpg'))).rejects.toThrow(/plain\.jpg, which is no PNG\. /);
    await expect(readGiven(at('nowhere.png'))).rejects.toThrow(
      /^Expected a picture that vqgen sample drew for --like but received .*nowhere\.png, which does not exist\. Name a PNG/,
    );
    await expect(readGiven(at('.'))).rejects.toThrow(/, which cannot be read \(a folder\)\. Name a PNG/);
  });

  test('what was made of another picture, though it says how', async () => {
    const { files } = await complete({ ...o(), image: at('plain.png'), n: 2, classes: ['car', 'cat'] });
    const { recipe } = await readGiven(files[1]!);
    expect(recipe).toMatchObject({ command: 'complete', index: 1, class: 'cat', size: '8x8' });
    expect(recipe.plan).toMatch(/^[0-9a-f]{64}$/);
    await expect(again(files[1]!)).rejects.toThrow(
      /^Expected a picture that vqgen sample drew for --like but received .*, of vqgen complete\. /,
    );
  });

  test('places and files that it cannot have', async () => {
    const { files } = await sample({ ...o(), n: 1 });
    const [file] = files as [string];
    await expect(again(file, { out: file })).rejects.toThrow(/which the command reads/);
    await expect(again(file, { out: at('a.webp') })).rejects.toThrow(
      /^Expected a file that ends in \.png for --out/,
    );
    await expect(again(file, { condition: file })).rejects.toThrow(/^Expected nothing for --condition but/);
    await saveRun(at('boats'), config, ['boat', 'barge']);
    await expect(again(file, { run: at('boats') })).rejects.toThrow(
      /^Expected the run that drew .*0000\.png, mine, for --run but received .*boats\. Expected one of boat, barge for --class but received car\./,
    );
    expect(await fs.readdir(at('boats'))).not.toContain(path.basename(runPaths(at('boats')).samples));
  });
});
