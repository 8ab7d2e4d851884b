import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { holding } from '../../src/base/lock.js';
import { silent } from '../../src/base/progress.js';
import { gridFile } from '../../src/checkpoint/run.js';
import { serve } from '../../src/report/server.js';
import { watchRun } from '../../src/report/watch.js';
import { describeInBrowser, until } from '../support/browser.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const line = (step: number): string =>
  `${JSON.stringify({ step, split: 'train', time_s: step, images_per_second: 32, loss: 1 / step })}\n`;

async function begun(lines: readonly number[] = [1, 10]) {
  const run = path.join(await freshFolder(), 'mine');
  await fs.mkdir(path.join(run, 'stage1', 'grids'), { recursive: true });
  await fs.writeFile(path.join(run, 'config.json'), '{"stage1": {"steps": 100}, "prior": {"steps": 5}}');
  const file = path.join(run, 'stage1', 'metrics.jsonl');
  await fs.writeFile(file, lines.map(line).join(''));
  return { run, file };
}

const training = <T>(run: string, stage: string, work: () => Promise<T>): Promise<T> =>
  holding(
    {
      ...{ place: path.join(run, stage), option: '--run', named: run, command: 'vqgen train' },
      reporter: silent,
    },
    work,
  );

const png = (colour: string): Promise<Buffer> =>
  sharp({ create: { width: 8, height: 4, channels: 3, background: colour } })
    .png()
    .toBuffer();

const at = (place: string): URL => new URL(place, 'http://127.0.0.1');

test('the state follows from locks, lines and checkpoints', async () => {
  const { run, file } = await begun();
  const watched = watchRun(run);
  const stopped = await watched.look();
  expect(stopped).toMatchObject({ title: 'mine', busy: false, grids: [], samples: '' });
  expect(stopped.state).toContain('Tokenizer <small>stopped</small>');
  expect(stopped.state).toContain('Prior <small>not begun</small>');
  await training(run, 'stage1', async () => {
    await fs.appendFile(file, line(50));
    const look = await watched.look();
    expect(look).toMatchObject({ title: '50 % · mine', busy: true });
    expect(look.state).toContain('Tokenizer <small>training</small>');
    expect(look.state).toContain('<p>Step 50 of 100 · 50 s · about 50 s left</p>');
    expect(look.versions).toEqual({ ...stopped.versions, stage1: stopped.versions.stage1 + 1 });
  });
  for (const name of ['model.safetensors', 'optimizer.safetensors', 'state.json']) {
    await fs.mkdir(path.join(run, 'stage1', 'step-00000100'), { recursive: true });
    await fs.writeFile(path.join(run, 'stage1', 'step-00000100', name), '');
  }
  await fs.writeFile(path.join(run, '.prior.lock'), JSON.stringify(elsewhere));
  const look = await watched.look();
  expect(look.state).toContain('Tokenizer <small>finished</small>');
  expect([look.busy, look.state.includes('on another computer')]).toEqual([true, true]);
  await fs.rm(path.join(run, '.prior.lock'));
  await training(run, 'tokens', async () => {
    expect((await watched.look()).state).toContain('Images are being turned into tokens.');
  });
});

/** A lock of another machine. */
const elsewhere = {
  ...{ host: 'far', machine: '00000000', boot: '00000000', space: '1', pid: 1, started: '1' },
  ...{ command: 'vqgen train-prior', since: '' },
};

test('a run that only begins can be watched, one that does not exist cannot', async () => {
  const run = path.join(await freshFolder(), 'new');
  expect(() => watchRun(run)).toThrow(`Expected a run folder for --run but received ${run}, which does not`);
  await training(run, 'stage1', async () => {
    const look = await watchRun(run).look();
    expect([look.busy, look.state.includes('It begins.')]).toEqual([true, true]);
  });
});

test('pictures of the run are given, and nothing else', async () => {
  const { run } = await begun();
  const { answer, look } = watchRun(run);
  await fs.writeFile(gridFile(path.join(run, 'stage1'), 10), await png('red'));
  await fs.writeFile(path.join(run, 'stage1', 'grids', 'step-00000011.png'), 'no picture');
  await fs.writeFile(path.join(run, '..', 'secret.png'), await png('blue'));
  await fs.symlink(path.join(run, '..', 'secret.png'), gridFile(path.join(run, 'stage1'), 12));
  expect((await look()).grids).toEqual([10, 11, 12]);
  expect((await answer(at('/grid?step=10')))?.body).toEqual(await png('red'));
  const refused = [
    ...[
      '/grid?step=11',
      '/grid?step=12',
      '/grid?step=13',
      '/grid',
      '/grid?step=../../config.json',
      '/samples',
    ],
    ...[
      '/config.json',
      '/stage1/metrics.jsonl',
      '/../config.json',
      '/%2e%2e/config.json',
      '/stage?name=tokens',
    ],
    ...['/stage?name=__proto__', '/grids/step-00000010.png'],
  ];
  for (const place of refused) expect([place, await answer(at(place))]).toEqual([place, undefined]);

  await fs.mkdir(path.join(run, 'samples', 'seed-0'), { recursive: true });
  await fs.writeFile(path.join(run, 'samples', 'seed-0', 'grid.png'), await png('green'));
  expect((await look()).samples).not.toBe('');
  expect((await answer(at('/samples')))?.body).toEqual(await png('green'));
});

test('what has not changed has the same tag', async () => {
  const { run, file } = await begun();
  const { answer } = watchRun(run);
  const tag = async () => (await answer(at('/state')))?.tag;
  const before = await tag();
  expect(await tag()).toBe(before);
  await fs.appendFile(file, line(11));
  expect(await tag()).not.toBe(before);
});

describeInBrowser('the page of a run in training', (open) => {
  test('shows what is there and what is added, and asks nobody else', async () => {
    const { run, file } = await begun();
    await fs.writeFile(gridFile(path.join(run, 'stage1'), 10), await png('red'));
    const server = await serve({ port: 0, answer: watchRun(run).answer });
    try {
      await training(run, 'stage1', async () => {
        const { page, complaints, requests } = await open(server.address, { dark: true });
        await page.waitForSelector('text=Step 10 of 100');
        expect(await page.title()).toBe('10 % · mine');
        expect(await page.textContent('.chart[data-key=loss] output')).toBe('training 0.1');
        const shown = () =>
          page.evaluate(`[...document.querySelectorAll('main img')].map((image) => image.naturalWidth)`);
        await until(page, `document.querySelector('.grid img').complete`);
        expect(await shown()).toEqual([8, 0]);
        expect(await page.isHidden('#reconstructions input')).toBe(true);

        const drawing = () => page.evaluate(`document.querySelector('[data-key=loss] canvas').toDataURL()`);
        const before = await drawing();
        await fs.appendFile(file, line(50));
        await fs.writeFile(gridFile(path.join(run, 'stage1'), 50), await png('blue'));
        await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`); // asks at once
        await page.waitForSelector('text=Step 50 of 100');
        await until(page, `document.querySelector('.grid img').src.endsWith('step=50')`);
        expect(await page.textContent('.chart[data-key=loss] output')).toBe('training 0.02');
        expect((await drawing()) === before).toBe(false);
        await page.getByRole('slider').fill('0');
        expect(await page.getAttribute('.grid img', 'src')).toBe('grid?step=10');
        await until(page, `document.querySelector('.grid img').complete`);

        expect(complaints).toEqual([]);
        expect(requests.length).toBeGreaterThan(3);
        expect(requests.filter((url) => !url.startsWith(server.address))).toEqual([]);
      });
    } finally {
      await server.close();
    }
  });
});
