/** What V8 compiled lies beside the file, serves the next process, and is never taken for another file's. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const load = pathToFileURL(path.resolve('bin/compiled.js')).href;

/** In a process of its own: what the file exports, while the code that is kept is kept. */
function run(file: string): string {
  const program = `import { loadCompiled } from '${load}';
    const { exports, keep } = loadCompiled(${JSON.stringify(file)}, 'sample');
    console.log(exports.said(), exports.place, exports.joined);
    keep();`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  return stdout + stderr;
}

const source = (word: string): string =>
  `exports.said = () => '${word}'; exports.place = __dirname; exports.joined = require('node:path').join('a', 'b');`;

test('code is kept at the first call and used from then on', async () => {
  const folder = await freshFolder();
  const file = path.join(folder, 'main.cjs');
  const cache = `${file}.sample.${process.versions.v8}.cache`;
  fs.writeFileSync(file, source('first'));
  expect(run(file)).toBe(`first ${folder} a/b\n`);
  const kept = fs.readFileSync(cache);
  const [{ mtimeMs }] = [fs.statSync(cache)];
  expect(run(file)).toBe(`first ${folder} a/b\n`);
  expect(fs.statSync(cache).mtimeMs).toBe(mtimeMs);
  expect(fs.readdirSync(folder).sort()).toEqual(['main.cjs', path.basename(cache)]);

  const damaged = Buffer.from(kept);
  damaged[kept.length >> 1]! ^= 1;
  for (const wrong of [damaged, kept.subarray(0, 40), Buffer.alloc(0)]) {
    fs.writeFileSync(cache, wrong);
    expect(run(file)).toBe(`first ${folder} a/b\n`);
    expect(fs.readFileSync(cache).length).toBeGreaterThan(wrong === damaged ? 40 : wrong.length);
    expect(fs.readFileSync(cache).equals(wrong)).toBe(false);
  }
});

test('what can be neither read nor written is passed over', async () => {
  const folder = await freshFolder();
  const file = path.join(folder, 'main.cjs');
  fs.writeFileSync(file, source('first'));
  const cache = `${file}.sample.${process.versions.v8}.cache`;
  fs.mkdirSync(cache);
  expect(run(file)).toBe(`first ${folder} a/b\n`);
  expect(fs.readdirSync(folder).sort()).toEqual(['main.cjs', path.basename(cache)]);
});

test('a file of the same length that was written later is another', async () => {
  const folder = await freshFolder();
  const file = path.join(folder, 'main.cjs');
  fs.writeFileSync(file, source('first'));
  run(file);
  fs.writeFileSync(file, source('other'));
  const later = new Date(Date.now() + 60_000);
  fs.utimesSync(file, later, later);
  expect(run(file)).toBe(`other ${folder} a/b\n`);
});

test('vqgen’s own is in ASCII, as it is read', () => {
  expect(/[^\0-\x7f]/.exec(fs.readFileSync('dist/bundle/main.cjs', 'utf8'))).toBeNull();
});
