import fs from 'node:fs';
import path from 'node:path';
import { main } from '../../src/cli/main.js';
import { inFolder, saveRun } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { tinyConfig } from '../support/run.js';
import { call } from '../support/streams.js';

const home = process.cwd();
let at: (name: string) => string;
let picture: string;
const vqgen = (line: string) => call(main, [...line.split(' '), '--threads', '1', '--quiet']);

beforeAll(async () => {
  at = inFolder(await freshFolder());
  process.chdir(at(''));
  await saveRun('checkpoints/mine', tinyConfig(), ['car', 'cat']);
  const drawn = await vqgen('sample --n 2 --run checkpoints/mine --device cpu --class cat --json');
  [, picture] = JSON.parse(drawn.stdout).files;
});
afterAll(() => {
  process.chdir(home);
  return removeFolders();
});

test('the run is found by its name, the device of before is taken, the outcome says whether it is the same', async () => {
  const { code, stdout } = await vqgen(`sample --like ${picture}`);
  const [said, file] = stdout.split('\n');
  expect([code, said]).toEqual([0, `The same as ${picture}, byte for byte`]);
  expect(fs.readFileSync(file!)).toEqual(fs.readFileSync(picture));
  const { stdout: json } = await vqgen(`sample --like ${picture} --out again.png --json`);
  expect(JSON.parse(json)).toMatchObject({
    ...{ like: picture, run: 'checkpoints/mine', file: 'again.png', same: true, differs: [], seed: 0 },
  });
});

test.each([
  ['--seed 3', '--seed beside --like but received 3'],
  ['--size 8x16', '--size beside --like but received 8x16'],
  ['--class cat --class car', '--class beside --like but received cat,car'],
])('%s is refused', async (more, message) => {
  const { code, stderr } = await vqgen(`sample --like ${picture} ${more}`);
  expect([code, stderr]).toEqual([
    2,
    `Expected nothing for ${message}. The picture says it: leave out one of the two.\n`,
  ]);
});

test('where no run of its name is, it is asked for', async () => {
  const copy = at('copy.png');
  fs.copyFileSync(picture, copy);
  fs.renameSync('checkpoints', 'elsewhere');
  const { code, stderr } = await vqgen(`sample --like ${copy}`);
  expect([code, stderr]).toEqual([
    2,
    `Expected the run that drew ${copy} for --run but received nothing. It was called mine, and no run of this name is here or in checkpoints: --run DIR\n`,
  ]);
  const { stdout } = await vqgen(`sample --like ${copy} --run ${path.join('elsewhere', 'mine')}`);
  expect(stdout).toContain('byte for byte');
});
