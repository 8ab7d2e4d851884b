/** A run whose pictures have changed says so, and goes on only when told to. */
import fs from 'node:fs';
import path from 'node:path';
import { silent } from '../../src/base/progress.js';
import { runPaths } from '../../src/checkpoint/run.js';
import { main } from '../../src/cli/main.js';
import { openDataset } from '../../src/data/dataset.js';
import { changesSince, readPictures } from '../../src/stage1-vqgan/same-pictures.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { tinyConfig, writePictures } from '../support/run.js';
import { call } from '../support/streams.js';

afterAll(removeFolders);

const config = [
  ...['stage1.ch=4', 'stage1.ch_mult=[1,1,1]', 'stage1.codes=16', 'stage1.disc.weight=0', 'data.size=8'],
  ...['stage1.embed_dim=4', 'stage1.z_channels=4', 'stage1.batch_size=4', 'stage1.perceptual.kind=none'],
].flatMap((item) => ['--set', item]);

test('added, gone and changed pictures are counted and named; copies are the same pictures', async () => {
  const root = await freshFolder();
  const [run, dir] = [path.join(root, 'run'), path.join(root, 'data')];
  await writePictures(dir, 12);
  const train = (...argv: string[]) =>
    call(main, ['train-stage1', '--run', run, '--device', 'cpu', '--threads', '1', ...argv]);
  expect((await train('--config', 'tiny', '--data', dir, '--steps', '1', ...config)).code).toBe(0);

  // The same bytes with other times, as after a copy.
  const other = path.join(dir, 'a', '2.png');
  fs.utimesSync(other, 1, 1);
  fs.writeFileSync(path.join(dir, 'b', '3.png.copy'), fs.readFileSync(path.join(dir, 'b', '3.png')));
  fs.renameSync(path.join(dir, 'b', '3.png.copy'), path.join(dir, 'b', '3.png'));
  const cacheDir = path.join(root, 'cache');
  const { contents } = await openDataset({ ...tinyConfig().data, dir }, { cacheDir, reporter: silent });
  expect(changesSince(run, contents)).toEqual([]);

  fs.copyFileSync(path.join(dir, 'a', '4.png'), other);
  const changed = await train('--resume', '--steps', '2');
  expect(changed).toMatchObject({ code: 2 });
  expect(changed.stderr).toContain(
    `Expected the pictures that ${run} was trained on for data.dir but received ${dir}, of which ` +
      '1 holds something else (a/2.png). Put them back as they were, or go on with what is there now: ' +
      '--resume --changed-pictures',
  );
  fs.rmSync(path.join(dir, 'a', '0.png'));
  for (const name of ['x', 'y', 'z', 'zz']) fs.copyFileSync(other, path.join(dir, 'b', `${name}.png`));
  fs.writeFileSync(path.join(dir, 'b', '5.png'), 'no picture');
  const { code, stderr } = await train('--resume', '--steps', '2');
  expect(code).toBe(2);
  expect(stderr).toContain(
    'of which 4 were added (b/x.png, b/y.png, b/z.png and 1 more), 1 is gone (a/0.png).',
  );
  const before = fs.readFileSync(runPaths(run).pictures, 'utf8');
  expect(readPictures(run).contents?.dir).toHaveLength(12);

  const told = await train('--resume', '--steps', '2', '--changed-pictures');
  expect(told.code).toBe(0);
  expect(told.stderr).toContain(
    `Of the pictures in ${dir} 4 were added (b/x.png, b/y.png, b/z.png and 1 more), 1 is gone (a/0.png), ` +
      '1 holds something else (a/2.png), 1 can no longer be read (b/5.png): the training goes on with them as they are.',
  );
  expect(fs.readFileSync(runPaths(run).pictures, 'utf8')).not.toBe(before);
  fs.rmSync(path.join(dir, 'b', 'zz.png'));
  const tokens = await call(main, ['tokenize', '--run', run, '--device', 'cpu', '--threads', '1']);
  expect(tokens.code).toBe(0);
  expect(tokens.stderr).toContain('Of the images that the tokenizer was trained on 1 is gone (b/zz.png)');
});

test('a note of names alone compares names; one of something else is refused', async () => {
  const run = await freshFolder();
  const now = [
    new Map([
      ['a', '1-1'],
      ['b', '1-2'],
    ]),
  ];
  fs.writeFileSync(runPaths(run).pictures, '{"dir":["a","c"]}');
  expect(changesSince(run, now)).toEqual([{ key: 'dir', changes: '1 was added (b), 1 is gone (c)' }]);
  fs.writeFileSync(runPaths(run).pictures, '{"dir":["a","b"]}');
  expect(changesSince(run, now)).toEqual([]);
  for (const text of ['{', '[]', '{"dir":3}', '{"dir":["a"],"contents":{"dir":[]}}', 'null']) {
    fs.writeFileSync(runPaths(run).pictures, text);
    expect(() => readPictures(run)).toThrow('Expected the JSON that vqgen saved');
  }
  fs.rmSync(runPaths(run).pictures);
  expect(changesSince(run, now)).toEqual([]);
});
