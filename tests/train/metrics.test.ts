import fs from 'node:fs/promises';
import path from 'node:path';
import {
  addStep,
  lastValues,
  means,
  openMetrics,
  readMetrics,
  savedRunning,
  startRunning,
  takeLine,
} from '../../src/train/metrics.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const codes = [{ name: 'codes', vocab: 4 }];

test('means are over the steps that have the value, since the line before', () => {
  const running = startRunning([]);
  addStep(running, { values: { loss: 1 } }, 0.1);
  addStep(running, { values: { loss: 2, adaptive_weight: 5 } }, 0.1);
  expect(means(running)).toEqual({ loss: 1.5, adaptive_weight: 5 });
  expect(takeLine(running)).toEqual({ loss: 1.5, adaptive_weight: 5 });
  addStep(running, { values: { loss: 7 } }, 0.1);
  expect(takeLine(running)).toEqual({ loss: 7 });
});

test('usage waits for 16 codes per code of the book, across lines, then starts anew', () => {
  const running = startRunning(codes);
  const step = (code: number, n: number) =>
    addStep(running, { values: { loss: 1 }, codes: [new Int32Array(n).fill(code)] }, 0.1);
  step(0, 32);
  step(1, 31);
  expect(takeLine(running)).toEqual({ loss: 1 });
  step(1, 1);
  // Two of four codes, evenly: perplexity 2.
  const line = takeLine(running);
  expect(line.codebook_usage).toBe(0.5);
  expect(line.perplexity).toBeCloseTo(2, 12);
  step(3, 64);
  expect(takeLine(running)).toMatchObject({ codebook_usage: 0.25, perplexity: 1 });
});

test('what runs survives JSON to the last bit', () => {
  const running = startRunning(codes);
  for (const loss of [0.1, 0.2, 1 / 3]) addStep(running, { values: { loss }, codes: [[0, 1, 1]] }, 0.1);
  const restored = savedRunning(JSON.parse(JSON.stringify(running)), codes, 'state');
  expect(restored).toEqual(running);
});

test('what vqgen 0.1.0 saved of one book, or of none, goes on', () => {
  const saved = { sums: {}, steps: 2, seconds: 0.2 };
  const usage = { counts: [32, 31, 0, 0], total: 63 };
  const running = savedRunning({ ...saved, usage }, codes, 'state');
  expect(running).toEqual({ ...saved, usage: [{ name: 'codes', counts: [32, 31, 0, 0] }] });
  addStep(running, { values: {}, codes: [[1]] }, 0.1);
  expect(takeLine(running)).toMatchObject({ codebook_usage: 0.5 });
  expect(savedRunning({ ...saved, usage: null }, [], 'state')).toEqual({ ...saved, usage: [] });
});

describe('the file', () => {
  const line = (step: number, split: 'train' | 'val', loss = step) => ({ step, split, time_s: 0, loss });

  test('is cut back to the checkpoint, a half-written line included', async () => {
    const file = path.join(await freshFolder(), 'run', 'metrics.jsonl');
    const first = await openMetrics(file, { step: 0, validated: 0 });
    for (const l of [line(1, 'train'), line(4, 'train'), line(4, 'val'), line(5, 'train')]) {
      await first.append(l);
    }
    await first.sync();
    await first.close();
    await fs.appendFile(file, '{"step":6,"split":"tr');

    const second = await openMetrics(file, { step: 4, validated: 4 });
    await second.append(line(5, 'train', 0.123456789));
    await second.close();
    expect(await fs.readFile(file, 'utf8')).toBe(
      '{"step":1,"split":"train","time_s":0,"loss":1}\n' +
        '{"step":4,"split":"train","time_s":0,"loss":4}\n' +
        '{"step":4,"split":"val","time_s":0,"loss":4}\n' +
        '{"step":5,"split":"train","time_s":0,"loss":0.123457}\n',
    );
  });

  test('is a file of its own, also where it was one with another by a hard link', async () => {
    const folder = await freshFolder();
    const [file, other] = ['metrics.jsonl', 'other'].map((name) => path.join(folder, name)) as [
      string,
      string,
    ];
    const before = `${JSON.stringify(line(1, 'train'))}\n`;
    await fs.writeFile(other, before);
    await fs.link(other, file);
    const opened = await openMetrics(file, { step: 1, validated: 0 });
    await opened.append(line(2, 'train'));
    await opened.close();
    expect((await readMetrics(file)).map(({ step }) => step)).toEqual([1, 2]);
    expect(await fs.readFile(other, 'utf8')).toBe(before);
  });

  test('loses a validation line that the checkpoint does not know of', async () => {
    const file = path.join(await freshFolder(), 'metrics.jsonl');
    const first = await openMetrics(file, { step: 0, validated: 0 });
    for (const l of [line(2, 'val'), line(4, 'train'), line(4, 'val')]) await first.append(l);
    await first.close();
    await (await openMetrics(file, { step: 4, validated: 2 })).close();
    expect((await readMetrics(file)).map(({ step, split }) => `${step} ${split}`)).toEqual([
      '2 val',
      '4 train',
    ]);
  });

  test('last values: validation over training, without step and time', async () => {
    const folder = await freshFolder();
    const file = await openMetrics(path.join(folder, 'metrics.jsonl'), { step: 0, validated: 0 });
    await file.append({ ...line(4, 'train', 3), l1: 0.5 });
    await file.append({ ...line(4, 'val', 2), psnr: 20 });
    await file.close();
    expect(await lastValues(folder)).toEqual({ loss: 3, metrics: { loss: 2, l1: 0.5, psnr: 20 } });
  });
});
