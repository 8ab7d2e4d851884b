import fs from 'node:fs/promises';
import path from 'node:path';
import { atStart, type Place, readLines } from '../../src/report/lines.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

async function reader() {
  const file = path.join(await freshFolder(), 'metrics.jsonl');
  let place: Place = atStart;
  return {
    file,
    /** What a look finds: lines, and ↺ where it begins anew. */
    async next(): Promise<string[]> {
      const found: string[] = [];
      place = await readLines(file, place, {
        line: (text) => found.push(text),
        anew: () => found.push('↺'),
      });
      return found;
    },
  };
}

test('lines that are added are read once, each when it is whole', async () => {
  const { file, next } = await reader();
  expect(await next()).toEqual([]); // no file yet
  await fs.writeFile(file, 'one\ntwo\nth');
  expect(await next()).toEqual(['one', 'two']);
  expect(await next()).toEqual([]);
  await fs.appendFile(file, 'ree\nfour\n');
  expect(await next()).toEqual(['three', 'four']);
  expect(await next()).toEqual([]);
});

test.each([
  ['shorter', 'one\n', ['one']],
  ['as long', 'one\n2wo\n', ['one', '2wo']],
  ['longer', 'one\n2wo\nthree\n', ['one', '2wo', 'three']],
])('a file that was replaced by one that is %s is read anew', async (_, text, lines) => {
  const { file, next } = await reader();
  await fs.writeFile(file, 'one\ntwo\n');
  await next();
  await fs.writeFile(`${file}.new`, text);
  await fs.rename(`${file}.new`, file);
  expect(await next()).toEqual(['↺', ...lines]);
});

test('a file that is gone leaves nothing', async () => {
  const { file, next } = await reader();
  await fs.writeFile(file, 'one\n');
  await next();
  await fs.rm(file);
  expect(await next()).toEqual(['↺']);
  expect(await next()).toEqual([]);
});

test('lines lie across the pieces that are read, with letters of several bytes', async () => {
  const { file, next } = await reader();
  const lines = Array.from({ length: 3000 }, (_, i) => `${i} ${'ü'.repeat(200)}`);
  await fs.writeFile(file, `${lines.join('\n')}\n`);
  expect((await next()).filter((line) => line !== '↺')).toEqual(lines);
});
