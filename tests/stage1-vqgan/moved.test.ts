/** Runs whose pictures or perceptual network lie elsewhere than when they began. */
import fs from 'node:fs';
import path from 'node:path';
import type { Reporter } from '../../src/base/progress.js';
import { silent } from '../../src/base/progress.js';
import { findRunConfig, readRunConfig, runPaths, writeRunConfig } from '../../src/checkpoint/run.js';
import { main } from '../../src/cli/main.js';
import { parseConfig } from '../../src/config/layers.js';
import type { Config } from '../../src/config/schema.js';
import { imageSplits } from '../../src/data/dataset.js';
import { movedKeys } from '../../src/stage1-vqgan/moved.js';
import { namesIn, recordPictures } from '../../src/stage1-vqgan/same-pictures.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer, tinyConfig, writePictures } from '../support/run.js';
import { call } from '../support/streams.js';

afterAll(removeFolders);

const withNetwork = (weights: string | null, data: Partial<Config['data']> = {}): Config => {
  const config = tinyConfig();
  const perceptual = { kind: 'vqgen' as const, weight: 1, weights };
  return { ...config, data: { ...config.data, ...data }, stage1: { ...config.stage1, perceptual } };
};

describe('paths in config.json', () => {
  const textIn = (run: string): string => fs.readFileSync(runPaths(run).config, 'utf8');

  test('into the run lead on from it, wherever it is moved; others stay', async () => {
    const parent = await freshFolder();
    const [run, moved] = [path.join(parent, 'run'), path.join(parent, 'moved')];
    const at = (run: string) =>
      withNetwork(path.join(run, 'own', 'w.safetensors'), {
        dir: path.join(run, 'pictures'),
        val_dir: path.join(parent, 'runs'),
      });
    await writeRunConfig(run, at(run));
    fs.renameSync(run, moved);
    expect(readRunConfig(moved)).toEqual(parseConfig(at(moved), 'test'));
    expect(textIn(moved)).not.toContain(run + path.sep);
    const elsewhere = path.join(parent, 'elsewhere');
    await writeRunConfig(elsewhere, at(run), run);
    expect(textIn(elsewhere)).toBe(textIn(moved));
    await writeRunConfig(moved, readRunConfig(moved));
    expect(textIn(moved)).toBe(textIn(elsewhere));
  });

  test('absolute ones of older runs hold, and those of imports where the run was moved', async () => {
    const parent = await freshFolder();
    const [run, moved] = [path.join(parent, 'run'), path.join(parent, 'moved')];
    const saved = withNetwork(path.join(run, 'lpips-vgg16.safetensors'));
    fs.mkdirSync(run);
    fs.writeFileSync(runPaths(run).config, JSON.stringify(saved));
    fs.writeFileSync(path.join(run, 'lpips-vgg16.safetensors'), '');
    expect(readRunConfig(run)).toEqual(saved);
    fs.renameSync(run, moved);
    const { weights } = readRunConfig(moved).stage1.perceptual;
    expect(weights).toBe(path.join(moved, 'lpips-vgg16.safetensors'));
    fs.rmSync(weights!);
    expect(readRunConfig(moved)).toEqual(saved);
  });
});

describe('what may lie elsewhere', () => {
  /** A run on four pictures, and the same pictures in another place. */
  async function start(): Promise<{ run: string; saved: Config; dir: string; copy: string }> {
    const parent = await freshFolder();
    const [run, dir, copy] = ['run', 'data', 'copy'].map((name) => path.join(parent, name)) as [
      string,
      string,
      string,
    ];
    await writePictures(dir, 4);
    const saved = withNetwork(null, { dir });
    await writeRunConfig(run, saved);
    await recordPictures(run, saved.data, namesIn(await imageSplits(saved.data)));
    fs.cpSync(dir, copy, { recursive: true });
    return { run, saved, dir, copy };
  }

  const listener = () => {
    const said: string[] = [];
    const reporter: Reporter = {
      ...silent,
      note: (line) => void said.push(`note: ${line}`),
      warn: (line) => void said.push(`warn: ${line}`),
    };
    return { said, reporter };
  };
  const to = (saved: Config, data: Partial<Config['data']>): Config => ({
    ...saved,
    data: { ...saved.data, ...data },
  });

  test('the same names: taken, and said what was compared', async () => {
    const { run, saved, dir, copy } = await start();
    fs.rmSync(dir, { recursive: true });
    const { said, reporter } = listener();
    expect(await movedKeys({ run, saved, config: to(saved, { dir: copy }) }, reporter)).toEqual(['data.dir']);
    expect(said).toEqual([
      `note: The pictures are now those of ${copy}: 4, with the names of those in ${dir}. What they show is not compared.`,
    ]);
    expect(await movedKeys({ run, saved, config: saved }, reporter)).toEqual([]);
  });

  test.each([
    ['the note in the run', true],
    ['the old folder', false],
  ])('other names are refused by %s', async (_, noted) => {
    const { run, saved, copy } = await start();
    if (!noted) fs.rmSync(runPaths(run).pictures);
    fs.renameSync(path.join(copy, 'a', '2.png'), path.join(copy, 'a', 'two.png'));
    fs.cpSync(path.join(copy, 'b'), path.join(copy, 'c'), { recursive: true });
    await expect(movedKeys({ run, saved, config: to(saved, { dir: copy }) }, silent)).rejects.toThrow(
      `Expected the 4 pictures that ${run} was trained on, by their names, for data.dir but received ${copy}, ` +
        'which holds 6: without a/2.png, with a/two.png and 2 more besides. ' +
        'A run goes on with the same pictures: train on others with another --run, or go on with these by --changed-pictures.',
    );
  });

  test('nothing to compare with: a warning', async () => {
    const { run, saved, dir, copy } = await start();
    fs.rmSync(dir, { recursive: true });
    fs.rmSync(runPaths(run).pictures);
    const { said, reporter } = listener();
    expect(await movedKeys({ run, saved, config: to(saved, { dir: copy }) }, reporter)).toEqual(['data.dir']);
    expect(said).toEqual([
      `warn: ${run} does not note its pictures and ${dir} is gone: the 4 of ${copy} are taken without a comparison.`,
    ]);
  });

  test('a folder in place of the built-in drawings, or the reverse, is no move', async () => {
    const { run, saved, dir } = await start();
    expect(await movedKeys({ run, saved, config: to(saved, { dir: null }) }, silent)).toEqual([]);
    expect(await movedKeys({ run, saved: to(saved, { dir: null }), config: saved }, silent)).toEqual([]);
    expect(await movedKeys({ run, saved, config: to(saved, { val_dir: dir }) }, silent)).toEqual([]);
  });

  test('a perceptual network: of the same bytes', async () => {
    const { run, dir } = await start();
    const [one, two] = [path.join(dir, 'one'), path.join(dir, 'two')];
    for (const folder of [one, two]) fs.mkdirSync(folder);
    const [first, second] = [one, two].map((folder) => path.join(folder, 'perceptual.safetensors')) as [
      string,
      string,
    ];
    fs.writeFileSync(first, 'same');
    fs.writeFileSync(second, 'same');
    const { said, reporter } = listener();
    const compare = () => movedKeys({ run, saved: withNetwork(one), config: withNetwork(second) }, reporter);
    expect(await compare()).toEqual(['stage1.perceptual.weights']);
    fs.writeFileSync(second, 'another');
    await expect(compare()).rejects.toThrow(
      `Expected the perceptual network of ${one} for stage1.perceptual.weights`,
    );
    fs.rmSync(first);
    fs.rmSync(one, { recursive: true });
    expect(said).toEqual([]);
    expect(await compare()).toEqual(['stage1.perceptual.weights']);
    expect(said).toEqual([
      `warn: ${one} is gone: the perceptual network in ${second} is taken without a comparison.`,
    ]);
    fs.rmSync(second);
    await expect(compare()).rejects.toThrow(`received ${second}, which does not exist.`);
  });
});

test('a finished run is told where its pictures are now, and goes on', async () => {
  const parent = await freshFolder();
  const [run, dir, moved] = ['run', 'data', 'moved'].map((name) => path.join(parent, name)) as [
    string,
    string,
    string,
  ];
  await writePictures(dir, 12);
  const config = tinyConfig({}, { dir });
  await saveTokenizer(run, { ...config, stage1: { ...config.stage1, steps: 1 } });
  await recordPictures(run, config.data, namesIn(await imageSplits(config.data)));
  fs.renameSync(dir, moved);
  const vqgen = (...argv: string[]) =>
    call(main, [...argv, '--run', run, '--device', 'cpu', '--threads', '1']);

  const sentence =
    `Expected the pictures that ${run} was trained on for data.dir but received ${dir}, which does not exist. ` +
    `Where they are now is told by vqgen train-stage1 --resume --data FOLDER --run ${run}\n`;
  const withoutHeading = (text: string) => text.slice(text.indexOf('Expected'));
  for (const command of [['tokenize'], ['evaluate'], ['train-stage1', '--resume', '--steps', '2']]) {
    const { code, stderr } = await vqgen(...command);
    expect({ code, stderr: withoutHeading(stderr) }).toEqual({ code: 2, stderr: sentence });
  }
  const before = findRunConfig(run)!;
  const told = await vqgen('train-stage1', '--resume', '--data', moved);
  expect(told.stderr).toContain(
    `The pictures are now those of ${moved}: 12, with the names of those in ${dir}.`,
  );
  expect(told.code).toBe(0);
  expect(readRunConfig(run)).toEqual({ ...before, data: { ...before.data, dir: moved } });
  expect(await vqgen('tokenize')).toMatchObject({ code: 0 });
});
