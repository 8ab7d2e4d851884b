/** What `vqgen export --to web` writes, and what it refuses. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { silent as reporter } from '../../../src/base/progress.js';
import { main } from '../../../src/cli/main.js';
import { runModels } from '../../../src/exchange/onnx/models.js';
import { describe } from '../../../src/exchange/web/describe.js';
import { exportWeb } from '../../../src/exchange/web/export.js';
import { indexPage } from '../../../src/exchange/web/index-page.js';
import { runtimeFiles } from '../../../src/exchange/web/runtime.js';
import { temporaryFolder } from '../../support/run.js';
import { call } from '../../support/streams.js';
import { numbersRun } from '../numbers-run.js';
import { trainedRun } from '../trained-run.js';

let root: string;
beforeAll(async () => {
  root = await temporaryFolder();
});
afterAll(() => fs.rm(root, { recursive: true }));

test('a folder with all that the page asks for, and nothing else; another export takes its place', async () => {
  const { run } = await trainedRun(root, 'a <b>', { classes: ['cat', 'dog'], prior: { class_dropout: 0.1 } });
  const { out, files, bytes, runtimeBytes } = await exportWeb({ run, reporter });
  expect(out).toBe(path.join(run, 'web'));
  const there = (await fs.readdir(out, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => path.relative(out, path.join(parentPath, name)).replaceAll(path.sep, '/'));
  expect(there.sort()).toEqual([...files].sort());
  expect(files.filter((name) => !name.startsWith('scripts/'))).toEqual([
    ...['encoder.onnx', 'decoder.onnx', 'prior.onnx'],
    ...['ort.webgpu.min', 'ort-wasm-simd-threaded.asyncify'].map((name) => `runtime/${name}.js`),
    'runtime/ort-wasm-simd-threaded.asyncify.wasm',
    ...['page.json', 'style.css', 'index.html'],
  ]);
  expect(bytes - runtimeBytes).toBeLessThan(1e6);
  for (const name of files.filter((name) => /^scripts\/|page.json|index.html|style.css/.test(name))) {
    const text = await fs.readFile(path.join(out, name), 'utf8');
    expect([name, text.includes(root)]).toEqual([name, false]); // nobody else's business
    expect([name, /from 'node:|\brequire\(/.test(text)]).toEqual([name, false]);
  }
  const page = await fs.readFile(path.join(out, 'index.html'), 'utf8');
  expect(page).toContain('<h1>a &#60;b&#62;</h1>');
  expect(page).toContain('python3 -m http.server');
  expect(page.match(/(?:src|href)="([^"]*)"/g)).toEqual([
    ...['href="data:,"', 'href="style.css"', 'src="scripts/exchange/web/page/main.js"'],
  ]);
  const described = JSON.parse(await fs.readFile(path.join(out, 'page.json'), 'utf8'));
  expect(described).toMatchObject({
    ...{ name: 'a <b>', size: 8, latentSays: '2×2 codes of 16', precision: 'f32' },
    prior: { kind: 'gpt', classes: ['cat', 'dog'], guidance: { scale: 1 }, asked: { by: 'steps' } },
  });

  await exportWeb({ run, reporter, precision: 'f16' });
  expect(await fs.readFile(path.join(out, 'index.html'), 'utf8')).toContain('half precision');
});

test.each([
  ['cvae', ['Draw', 'Walk through the latent space', 'Reconstruct a picture']],
  ['ae', ['Walk through the latent space', 'Reconstruct a picture']],
])('a page has the parts that its run can do: %s', async (name, parts) => {
  const { run } = await numbersRun(root, name);
  const models = await runModels(run, { to: 'web', precision: 'f32', reporter });
  const page = indexPage(describe(run, models, 'f32'), 'main.js');
  expect([...page.matchAll(/<h2[^>]*>([^<]*)/g)].map(([, title]) => title)).toEqual(parts);
});

test('without onnxruntime-web it says what to install, before any work', async () => {
  const nowhere = [path.join(root, 'package.json')];
  expect(() => runtimeFiles(nowhere)).toThrow(
    /^Expected the package onnxruntime-web for --to web but received none\. .*npm install onnxruntime-web$/,
  );
  expect(runtimeFiles([...nowhere, path.resolve('package.json')])).toHaveLength(3);
});

test('a folder of something else is refused', async () => {
  const { run } = await numbersRun(root, 'vae');
  const out = path.join(root, 'mine');
  await fs.mkdir(out);
  await fs.writeFile(path.join(out, 'index.html'), 'mine');
  const { code, stderr } = await call(main, ['export', '--to', 'web', '--run', run, '--out', out]);
  expect(code).toBe(2);
  expect(stderr).toContain(`received ${out}, whose files vqgen did not write`);
  expect(await fs.readdir(out)).toEqual(['index.html']);
});
