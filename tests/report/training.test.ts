import fs from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { documentOf } from '../../src/report/document.js';
import {
  followStage,
  stageCharts,
  stageFacts,
  trainingAssets,
  trainingOf,
  trainingSection,
} from '../../src/report/training.js';
import { describeInBrowser } from '../support/browser.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

type Line = Record<string, number | string | number[]>;

const train = (step: number, more: Line = {}): Line => ({
  ...{ step, split: 'train', time_s: step / 10, loss: 1 / step, generator: 0 },
  ...more,
});

/** A run that has nothing but lines. */
async function runOf(stage1: readonly Line[], prior?: readonly Line[]): Promise<string> {
  const run = path.join(await freshFolder(), 'my <run>');
  for (const [stage, lines] of Object.entries({ stage1, prior })) {
    if (!lines) continue;
    await fs.mkdir(path.join(run, stage), { recursive: true });
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await fs.writeFile(path.join(run, stage, 'metrics.jsonl'), text);
  }
  return run;
}

test('curves are by key and split, without lists and what is no number', async () => {
  const run = await runOf([
    train(1, { codebook_usage: 0.5 }),
    train(10),
    { step: 10, split: 'val', time_s: 1.5, loss: 0.2, psnr: 20, kl_by_unit: [1, 2] },
    { step: 11, split: 'other', time_s: 2, loss: 3 },
  ]);
  await fs.writeFile(path.join(run, 'config.json'), '{"stage1": {"steps": 40}}');
  const { name, stages } = await trainingOf(run);
  expect(name).toBe('my <run>');
  expect(stages).toEqual([
    {
      ...{ stage: 'stage1', step: 10, steps: 40, seconds: 1.5, restarts: [], rollbacks: 0, factor: 1 },
      curves: [
        { key: 'loss', split: 'train', x: [1, 10], y: [1, 0.1] },
        { key: 'generator', split: 'train', x: [1, 10], y: [0, 0] },
        { key: 'codebook_usage', split: 'train', x: [1], y: [0.5] },
        { key: 'loss', split: 'val', x: [10], y: [0.2] },
        { key: 'psnr', split: 'val', x: [10], y: [20] },
      ],
    },
  ]);
  // Terms that never act have no chart; shares are in percent.
  const { groups } = stageCharts('stage1', [{ name, stages }]);
  expect(
    groups.map(({ title, charts }) => [title, ...charts.map(({ key, lines }) => [key, lines[0]!.y])]),
  ).toEqual([
    ['Reconstruction', ['loss', [1, 0.1]], ['psnr', [20]]],
    ['Codebook', ['codebook_usage', [50]]],
  ]);
  const facts = stageFacts('stage1', [{ name, stages }]).html;
  expect(facts).toContain('10 of 40 steps in 2 s.');
  expect(facts).toContain('Always 0, and not drawn: generator.');
  expect(facts).toContain(
    '<th scope="row">PSNR <small>dB</small></th><td class="number"></td><td class="number">20</td>',
  );
  expect(stageFacts('prior', [{ name, stages }]).html).toContain('no metrics of a prior');
});

test('a run without metrics has no stages', async () => {
  expect((await trainingOf(path.join(await freshFolder(), 'none'))).stages).toEqual([]);
});

test('where steps go back, what was trained anew replaces what was before', async () => {
  const run = await runOf(
    [1, 10, 20, 30].map((step) => train(step)).concat(train(20, { loss: 7 }), train(25)),
  );
  const [stage] = (await trainingOf(run)).stages;
  expect(stage?.restarts).toEqual([20]);
  expect(stage?.curves[0]).toMatchObject({ x: [1, 10, 20, 25], y: [1, 0.1, 7, 0.04] });
  expect(stageFacts('stage1', [{ name: '', stages: [stage!] }]).html).toContain('Trained anew from step 20.');
});

test('a follower reads on, tells the pace, and begins anew where a resume cut the file', async () => {
  const run = await runOf([train(1), train(11)]);
  const file = path.join(run, 'stage1', 'metrics.jsonl');
  const follower = followStage(run, 'stage1');
  expect(await follower.update()).toBe(true);
  expect(follower.pace()).toBeCloseTo(0.1);
  expect(await follower.update()).toBe(false);
  await fs.appendFile(file, `${JSON.stringify(train(21, { time_s: 4.1 }))}\n`);
  expect(await follower.update()).toBe(true);
  expect(follower.training()?.step).toBe(21);
  expect(follower.pace()).toBeCloseTo(0.2);
  await fs.writeFile(file, `${JSON.stringify(train(1))}\n`);
  expect(await follower.update()).toBe(true);
  expect(follower.training()).toMatchObject({ step: 1, restarts: [] });
  expect(follower.pace()).toBeUndefined();
});

test('a long file becomes curves of a thousand points', async () => {
  const run = await runOf(Array.from({ length: 5_000 }, (_, i) => train(i + 1, { generator: i % 3 })));
  const file = path.join(run, 'stage1', 'metrics.jsonl');
  const [stage] = (await trainingOf(run)).stages;
  expect(stage?.step).toBe(5_000);
  expect(stage?.curves.map(({ x }) => x.length <= 1002)).toEqual([true, true]);
  expect((await fs.stat(file)).size).toBeGreaterThan(3e5);
});

describeInBrowser('curves on a page', (open) => {
  const steps = Array.from({ length: 30 }, (_, i) => 1 + 10 * i);
  const val = (step: number): Line => ({ step, split: 'val', time_s: step, loss: 2 / step, psnr: step });

  test('are drawn for two runs, walked through by keys, logarithmic on request', async () => {
    const lines = steps.flatMap((step) => [train(step), val(step)]);
    const runs = await Promise.all(
      [await runOf(lines, [train(1)]), await runOf(lines.slice(9))].map(trainingOf),
    );
    const file = path.join(await freshFolder(), 'page.html');
    await fs.writeFile(
      file,
      documentOf({ title: 'Curves', body: trainingSection(runs), ...trainingAssets(runs) }),
    );
    const { page, complaints, requests } = await open(pathToFileURL(file).href, { width: 380 });
    expect(await page.$$eval('.chart', (charts) => charts.map((chart) => chart.dataset.key))).toEqual([
      'loss',
      'psnr',
      'loss',
    ]);
    /** Runs on a copy of each chart's picture, as browsers warn of reading a canvas again and again. */
    const ofPixels = <T>(measure: string): Promise<T[]> =>
      page.evaluate(`[...document.querySelectorAll('.chart canvas')].map((drawn) => {
        const copy = new OffscreenCanvas(drawn.width, drawn.height).getContext('2d', { willReadFrequently: true });
        copy.drawImage(drawn, 0, 0);
        const { data } = copy.getImageData(0, 0, drawn.width, drawn.height);
        return (${measure})(data, drawn.width);
      })`);
    const ink = () =>
      ofPixels<number>('(data) => data.filter((value, i) => i % 4 === 3 && value > 0).length');
    expect((await ink()).every((pixels) => pixels > 300)).toBe(true);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(380);

    const readout = page.locator('.chart[data-key=psnr] output');
    expect(await readout.textContent()).toBe('291291');
    await page.locator('.chart[data-key=psnr] .plot').focus();
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowLeft');
    expect(await readout.textContent()).toBe('step 281: 281281');
    const named = page.getByRole('group', { name: 'PSNR: my <run> 291, my <run> 291.' });
    expect(await named.count()).toBe(1);

    /** How far down the curve of the first chart lies in the mean, in pixels: where the canvas is blue. */
    const depth = async () => {
      const [first] = await ofPixels<number>(`(data, width) => {
        const blue = [...Array(data.length / 4).keys()].filter((i) => data[4 * i + 3] > 0 && data[4 * i + 2] > data[4 * i] + 40);
        return blue.reduce((sum, i) => sum + Math.floor(i / width), 0) / blue.length;
      }`);
      return first!;
    };
    const linear = await depth();
    await page.getByLabel('Losses on a logarithmic axis').check();
    expect(await depth()).toBeLessThan(linear - 10);
    expect(await page.textContent('.training')).toContain('my <run>: 291 steps in 4 min 51 s.');
    expect([complaints, requests.filter((url) => !url.startsWith('file:'))]).toEqual([[], []]);
  });
});
