/** The page of `vqgen export --to web` in a browser: it draws what `vqgen sample` does. */
import { createReadStream, existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { silent as reporter } from '../../../src/base/progress.js';
import { stream } from '../../../src/base/rng.js';
import { onnxDevice } from '../../../src/engine/onnx-device.js';
import { exportWeb } from '../../../src/exchange/web/export.js';
import { drawingOf } from '../../../src/sample/prior-source.js';
import { sample } from '../../../src/sample/sample.js';
import { cellsIn } from '../../../src/stage1-vqgan/grids.js';
import { blankCanvas } from '../../../src/stage2-transformer/canvas.js';
import { loadModels } from '../../../src/stage2-transformer/model.js';
import { describeInBrowser, type Seen } from '../../support/browser.js';
import { temporaryFolder } from '../../support/run.js';
import { numbersRun } from '../numbers-run.js';
import { trainedRun } from '../trained-run.js';

const device = onnxDevice({ threads: 1 });
const classes = ['cat', 'dog', 'eel'];
const guided = { classes, prior: { class_dropout: 0.1 }, sample: { cfg_scale: 2, top_p: 0.95 } };
const [seed, n] = [7, 4];

let root: string;
let server: http.Server;
let origin: string;
beforeAll(async () => {
  root = await temporaryFolder();
  const types: Record<string, string> = {
    ...{ '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.wasm': 'application/wasm' },
  };
  server = http.createServer(({ url = '' }, response) => {
    const file = path.join(root, url.endsWith('/') ? `${url}index.html` : url);
    response.writeHead(existsSync(file) ? 200 : 404, { 'content-type': types[path.extname(file)] ?? '' });
    if (existsSync(file)) createReadStream(file).pipe(response);
    else response.end();
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await fs.rm(root, { recursive: true });
});

/** The codes of each picture as the run's own models draw them. */
async function drawnCodes(run: string): Promise<string[]> {
  const { prior } = await loadModels(run, reporter);
  const { model } = prior;
  const config = JSON.parse(await fs.readFile(path.join(run, 'config.json'), 'utf8'));
  const { classOf, cfgScale, ...how } = drawingOf({ run, seed, device, reporter }, config, model);
  const cells = cellsIn(model.grids);
  const labels = Int32Array.from({ length: n }, (_, i) => classOf(i));
  const random = Array.from({ length: n }, (_, i) => stream(seed, 'sample', i));
  const drawer = await model.open(device, prior.tensors, { batch: n, cfgScale });
  const codes = await drawer.draw(blankCanvas(cells, labels), { ...how, random });
  await drawer.dispose();
  return Array.from({ length: n }, (_, i) => codes.slice(i * cells, (i + 1) * cells).join(' '));
}

/** Bytes of RGB of the pictures that `vqgen sample` writes. */
async function sampled(run: string): Promise<number[][]> {
  const { files } = await sample({ run, n, seed, device, reporter });
  return Promise.all(files.map(async (file) => [...(await sharp(file).removeAlpha().raw().toBuffer())]));
}

/** Once no job runs. */
const idle = (page: Page): Promise<void> => page.locator('body:not(.busy)').waitFor();

const codesIn = (page: Page, place: string): Promise<string[]> =>
  page.evaluate(`[...document.querySelectorAll('${place} figure')].map((figure) => figure.dataset.codes)`);

/** Bytes of RGB of canvases. */
const pixelsIn = (page: Page, canvases: string): Promise<number[][]> =>
  page.evaluate(
    `[...document.querySelectorAll('${canvases}')].map((canvas) => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].filter((_, i) => i % 4 < 3))`,
  );

function expectAlike(pictures: readonly number[][], wanted: readonly number[][]): void {
  expect(pictures.length).toBe(wanted.length);
  for (const [i, picture] of pictures.entries()) {
    expect(picture.length).toBe(wanted[i]!.length);
    const most = picture.reduce((most, byte, k) => Math.max(most, Math.abs(byte - wanted[i]![k]!)), 0);
    expect(most).toBeLessThanOrEqual(1);
  }
}

async function draw(page: Page): Promise<void> {
  await page.getByLabel('Seed').first().fill(`${seed}`);
  await page.getByLabel('Pictures').fill(`${n}`);
  await page.getByRole('button', { name: 'Draw', exact: true }).click();
  await idle(page);
  expect(await page.getByRole('status').textContent()).toMatch(/^4 pictures drawn \(/);
}

/** What no page may do; everything on it has a name for those who do not see it. */
async function expectQuiet({ page, complaints, requests }: Seen): Promise<void> {
  expect(complaints.filter((text) => text !== 'No available adapters.')).toEqual([]); // Chromium's, of WebGPU
  expect(requests.filter((address) => !address.startsWith(origin))).toEqual([]);
  const nameless = `[...document.querySelectorAll('input, select, button, canvas[role], progress')]
    .filter((e) => !(e.ariaLabel || e.labels?.[0]?.textContent.trim() || e.textContent.trim())).map((e) => e.outerHTML)`;
  expect(await page.evaluate(nameless)).toEqual([]);
}

describeInBrowser('the page that samples', (open) => {
  const opened = async (run: string, view?: Parameters<typeof open>[1]): Promise<Seen> => {
    await exportWeb({ run, reporter });
    const seen = await open(`${origin}${path.basename(run)}/web/`, view);
    await seen.page.locator('#run').waitFor();
    expect(await seen.page.locator('#served').isVisible()).toBe(false);
    return seen;
  };

  test('a GPT: the codes and pictures of vqgen sample; half a picture completed; on a phone', async () => {
    const { run } = await trainedRun(root, 'gpt', guided);
    const seen = await opened(run, { width: 380, dark: true });
    const { page } = seen;
    await draw(page);
    const drawn = await codesIn(page, '#drawn');
    expect(drawn).toEqual(await drawnCodes(run));
    expectAlike(await pixelsIn(page, '#drawn canvas'), await sampled(run));
    expect(await page.evaluate('document.scrollingElement.scrollWidth')).toBe(380);

    await page.getByRole('button', { name: 'Change Picture 1, dog' }).click();
    expect(await page.getByLabel('Class').last().inputValue()).toBe('1');
    expect(await page.getByRole('button', { name: 'Re-roll' }).count()).toBe(0);
    expect(await page.locator('#keep option:disabled').allTextContents()).toEqual([
      ...['right (not by this prior)', 'bottom (not by this prior)'],
    ]);
    await page.getByRole('button', { name: 'Draw the rest' }).click();
    await page.locator('#changed figure').first().waitFor();
    const top = drawn[1]!.split(' ').slice(0, 2);
    const completed = (await codesIn(page, '#changed')).map((codes) => codes.split(' '));
    expect(completed.map((codes) => codes.slice(0, 2))).toEqual(new Array(4).fill(top));
    expect(new Set(completed.map((codes) => codes.join())).size).toBeGreaterThan(1);

    const saving = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save Picture 0, cat as PNG' }).click();
    expect((await saving).suggestedFilename()).toBe('gpt-7-0.png');
    await expectQuiet(seen);
  });

  test('MaskGIT: likewise; the painted cells alone are drawn anew', async () => {
    const prior = { kind: 'maskgit', ...guided.prior };
    const { run } = await trainedRun(root, 'maskgit', { ...guided, prior });
    const seen = await opened(run);
    const { page } = seen;
    await draw(page);
    const drawn = await codesIn(page, '#drawn');
    expect(drawn).toEqual(await drawnCodes(run));
    await page.getByRole('button', { name: 'Change Picture 2, eel' }).click();
    const bench = page.getByRole('application', { name: 'The picture that is changed' });
    await page.getByRole('button', { name: 'Re-roll the painted part' }).click();
    expect(await page.getByRole('status').textContent()).toMatch(/^Nothing is painted over yet/);
    await bench.click({ position: { x: 5, y: 5 } }); // the first of 2 × 2 cells
    await bench.press('ArrowDown');
    await bench.press('Space');
    expect(await page.getByRole('status').textContent()).toBe('Row 2, column 1: painted');
    await page.getByRole('button', { name: 'Re-roll the painted part' }).click();
    await page.locator('#changed figure').first().waitFor();
    const [, second, , last] = drawn[2]!.split(' ');
    const changed = (await codesIn(page, '#changed')).map((codes) => codes.split(' '));
    expect(changed.map((codes) => [codes[1], codes[3]])).toEqual(new Array(4).fill([second, last]));
    for (const cell of [0, 2]) expect(new Set(changed.map((codes) => codes[cell])).size).toBeGreaterThan(1);
    await expectQuiet(seen);
  });

  test('a PixelCNN: likewise', async () => {
    const { run } = await trainedRun(root, 'pixelcnn', { prior: { kind: 'pixelcnn' } });
    const seen = await opened(run);
    await draw(seen.page);
    expect(await codesIn(seen.page, '#drawn')).toEqual(await drawnCodes(run));
    await expectQuiet(seen);
  });

  test('a CVAE: the pictures of vqgen sample, a walk between two of them, and a picture of the user’s', async () => {
    const { run } = await numbersRun(root, 'cvae');
    const seen = await opened(run);
    const { page } = seen;
    await draw(page);
    const pictures = await sampled(run);
    expectAlike(await pixelsIn(page, '#drawn canvas'), pictures);
    await page.getByLabel('Seed').nth(1).fill(`${seed}`);
    const way = page.getByRole('slider', { name: 'On the way' });
    await way.fill('0');
    await page.locator('#walked').waitFor();
    await idle(page);
    expectAlike(await pixelsIn(page, '#walked'), pictures.slice(0, 1));
    const shown = () => page.evaluate(`document.querySelector('#walked').toDataURL()`);
    const first = await shown();
    await way.press('End');
    await idle(page);
    expect(await shown()).not.toBe(first);

    const buffer = await sharp({ create: { width: 20, height: 12, channels: 3, background: '#a04020' } })
      .png()
      .toBuffer();
    await page
      .locator('#reconstructed-picture')
      .setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer });
    await page.locator('#reconstructed figure').nth(1).waitFor();
    const [own] = await pixelsIn(page, '#reconstructed canvas');
    expect(own!.slice(0, 3)).toEqual([160, 64, 32]);
    await expectQuiet(seen);
  });
});
