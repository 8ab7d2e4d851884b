import fs from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { silent } from '../../src/base/progress.js';
import { metricsFile, runPaths, writeRunConfig } from '../../src/checkpoint/run.js';
import { inferenceBatch } from '../../src/data/inference-batch.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { codedOf } from '../../src/report/coded.js';
import { openRun } from '../../src/report/opened.js';
import { isMissing, type Part } from '../../src/report/part.js';
import { pageOf, type RunReport, report, runReport } from '../../src/report/report.js';
import { labelled, validationRows } from '../../src/stage2-transformer/sequences.js';
import { frozenEvaluation, meanLosses } from '../../src/stage2-transformer/step.js';
import { describeInBrowser } from '../support/browser.js';
import { saveRun } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer, tinyConfig, writePictures } from '../support/run.js';

const size = 16;
let root: string;
let full: string;
let bare: string;
let empty: string;
let device: Device;
let out: string;
let reports: RunReport[];

const options = () => ({ n: 3, seed: 5, device, reporter: silent });

beforeAll(async () => {
  root = await freshFolder();
  [full, bare, empty] = ['full', 'bare', 'empty'].map((name) => path.join(root, name)) as [
    string,
    string,
    string,
  ];
  out = path.join(root, 'page.html');
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  const dir = path.join(root, 'data <b>');
  await writePictures(dir, 21, size);
  const passes = { kind: 'maskgit', substitute: 0.2 };
  const config = tinyConfig(passes, { dir, size, flip: true });
  await saveRun(full, { ...config, sample: { ...config.sample, decode_steps: 4, revise: 0.9 } }, ['a', 'b']);
  const line = { step: 1, split: 'train', time_s: 1, loss: 0.5 };
  for (const step of [1, 2])
    await fs.appendFile(metricsFile(runPaths(full).stage1), `${JSON.stringify({ ...line, step })}\n`);
  await saveTokenizer(bare, tinyConfig({}, { dir: path.join(root, 'gone'), size }));
  await writeRunConfig(empty, tinyConfig({}, { size }));
  reports = [];
  for (const run of [full, bare, empty])
    reports.push(await runReport(await openRun(run, { ...options(), runs: [run] }), path.basename(run)));
});
afterAll(removeFolders);

const there = <T extends object>(part: Part<T> | undefined): T => {
  if (!part || isMissing(part)) throw new Error(part?.missing ?? 'nothing');
  return part;
};

/** As a training of the prior measures it. */
async function bitsOfValidation({ unseen }: RunReport): Promise<number> {
  const opened = await openRun(full, { ...options(), runs: [full] });
  const [prior, { tokens }] = [there(opened.prior), there(await codedOf(opened, unseen))];
  const batch = inferenceBatch(size);
  const graph = await device.prepare(
    frozenEvaluation(prior.model, prior.tensors, { batch, precision: 'f32' }),
  );
  const rows = validationRows(tokens.count, tokens.count);
  const { loss } = await meanLosses(graph, prior.model, labelled(tokens, prior.classes), rows, { batch });
  await graph.dispose();
  return loss / Math.LN2;
}

describe('of a whole run', () => {
  let found: RunReport;
  beforeAll(() => {
    found = reports[0]!;
  });

  test('unseen pictures, their codes and the codebook fit together', () => {
    const unseen = there(found.unseen);
    const [book] = there(found.books);
    expect(unseen.images).toBe(unseen.of);
    expect(unseen.codes.length).toBe(unseen.images * 16);
    const uses = new Map(book!.codes.map(({ code, uses }) => [code, uses]));
    expect([...uses.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i));
    for (const [code, n] of uses) expect(n).toBe(unseen.codes.filter((other) => other === code).length);
    expect(book!.used).toBe(new Set(unseen.codes).size);
    const order = book!.codes.map(({ uses }) => uses);
    expect(order).toEqual([...order].sort((a, b) => b - a));
  });

  test('bits of each position have the mean that validation gives, and samples are shown by class in turn', async () => {
    const { bits, mean, pictures } = there(found.heat);
    expect(bits.length).toBe(16);
    expect(bits.reduce((sum, v) => sum + v, 0) / 16).toBeCloseTo(mean, 10);
    expect(pictures).toBe(there(found.unseen).images);
    expect(mean).toBeCloseTo(await bitsOfValidation(found), 4);
    const { shown, seed } = there(found.samples);
    expect([seed, shown.length]).toEqual([5, 40]);
    expect(shown.slice(0, 3).map(({ className }) => className)).toEqual(['a', 'b', 'a']);
    expect(shown.every(({ nearest }) => nearest)).toBe(true);
  });

  test('the film ends in the first samples, and tells what was taken back', () => {
    const { passes, pictures } = there(found.film);
    expect(passes.map(({ drawn }) => drawn)[0]).toBe(0);
    expect(passes.at(-1)).toMatchObject({ drawn: 3 * 16, revised: 0, entropy: undefined });
    expect(passes.some(({ revised }) => revised > 0)).toBe(true);
    for (const [i, frame] of passes.at(-1)!.frames.entries())
      expect(Buffer.compare(frame, there(found.samples).shown[i]!.picture)).toBe(0);
    for (const { final } of pictures) for (const pass of final) expect([1, 2, 3, 4]).toContain(pass);
  });

  test('distances are of as many pictures each, to the same others', () => {
    const unseen = there(found.unseen);
    const { n, reference, ...distances } = there(found.shares);
    expect([n, reference]).toEqual([3, unseen.images - 3]);
    expect(distances.samples).toBeGreaterThan(0);
  });
});

describe('the page', () => {
  let text: string;
  beforeAll(async () => {
    text = pageOf(reports);
    await fs.writeFile(out, text);
  });

  test('says in a sentence what is missing of a run, and why', () => {
    expect(text).toContain(`Its own pictures are not here: ${path.join(root, 'gone')} does not exist.`);
    expect(text).toContain('There are no samples. The run has no prior yet.');
    expect(text).toContain('The run has no tokenizer yet.');
    expect(text).toContain('Of the 16 codes nothing tells how often they are used.');
    expect(text).not.toContain('data <b>');
  });

  test('of one run goes into its folder, and is the same again', async () => {
    const place = path.join(bare, 'report.html');
    const summary = await report({ ...options(), runs: [bare] });
    const page = await fs.readFile(place, 'utf8');
    expect(summary).toMatchObject({ runs: [bare], out: place, bytes: Buffer.byteLength(page) });
    expect(page).toBe(pageOf([reports[1]!]));
  });

  test('is not written over what is read, and shows no run twice', async () => {
    const place = path.join(full, 'config.json');
    await expect(report({ ...options(), runs: [full], out: place })).rejects.toThrow(
      /which the command reads/,
    );
    await expect(report({ ...options(), runs: [bare, `${bare}/`] })).rejects.toThrow(/each run once/);
    await expect(report({ ...options(), runs: [bare], n: 1 })).rejects.toThrow(/at least 2 for --n/);
  });

  describeInBrowser('in a browser', (open) => {
    test('asks for nothing, shows every figure, and its slider and film act', async () => {
      const { page, complaints, requests } = await open(pathToFileURL(out).href, { width: 380, height: 700 });
      expect(complaints).toEqual([]);
      expect(requests.filter((url) => !url.startsWith('file:'))).toEqual([]);
      expect(
        await page.evaluate(`({
          loaded: [...document.images].every((image) => image.complete && image.naturalWidth > 0),
          nameless: [...document.images].filter((image) => !image.alt).length,
          captions: [...document.querySelectorAll('figure')].every((f) => f.querySelector('figcaption, table caption')),
          headings: [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1])),
          wider: document.documentElement.scrollWidth > innerWidth,
        })`),
      ).toMatchObject({ loaded: true, nameless: 0, captions: true, wider: false });
      const levels = (await page.evaluate(
        `[...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))`,
      )) as number[];
      expect(levels[0]).toBe(1);
      for (const [i, level] of levels.entries())
        if (i > 0) expect(level - levels[i - 1]!).toBeLessThanOrEqual(1);

      const slider = page.getByRole('slider', { name: /show the reconstruction/ }).first();
      await slider.focus();
      await page.keyboard.press('Home');
      const share = `document.querySelector('.compare').style.getPropertyValue('--share')`;
      expect(await page.evaluate(share)).toBe('0%');
      await page.keyboard.press('ArrowRight');
      expect(await page.evaluate(share)).toBe('1%');

      const film = page.getByRole('slider', { name: 'Pass' });
      await film.focus();
      await page.keyboard.press('Home');
      expect(await film.getAttribute('aria-valuetext')).toBe('Before pass 1 of 4');
      expect(await page.evaluate(`document.querySelectorAll('.frame:not([hidden])').length`)).toBe(1);
      // A clock of the test's own, as pages go on while it waits.
      await page.evaluate(
        '{ setInterval = (next) => { tick = next; return 1; }; clearInterval = () => { tick = () => {}; }; }',
      );
      await page.getByRole('button', { name: 'Play' }).click();
      expect(await film.inputValue()).toBe('1');
      await page.evaluate('tick()');
      expect(await film.inputValue()).toBe('2');
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.evaluate('tick()');
      expect(await film.inputValue()).toBe('2');
      await page.emulateMedia({ reducedMotion: 'reduce' });
      await page.getByRole('button', { name: 'Next pass' }).click();
      expect(await film.inputValue()).toBe('3');
      expect(await page.getByRole('img', { name: /^Code \d+, decoded/ }).count()).toBe(32);
      expect(await page.getByRole('navigation', { name: 'Sections' }).getByRole('link').count()).toBe(9);
    });
  });
});
