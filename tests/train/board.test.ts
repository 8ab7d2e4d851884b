import fs from 'node:fs/promises';
import path from 'node:path';
import { jest } from '@jest/globals';
import protobuf from 'protobufjs';
import { type Reporter, silent } from '../../src/base/progress.js';
import { latestCheckpoint } from '../../src/checkpoint/store.js';
import { openRecords } from '../../src/train/board.js';
import { runLoop, type Stage } from '../../src/train/loop.js';
import { numbersOf, readMetrics } from '../../src/train/metrics.js';
import { fakeStage, outcome } from '../support/fake-stage.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

interface Seen {
  readonly step: number;
  readonly scalars: Record<string, number>;
  readonly pictures: Record<string, Buffer>;
}

/** What a file's records say, each of them whole. */
function* recordsIn(bytes: Buffer): Generator<Seen> {
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    expect(bytes.length - at).toBeGreaterThanOrEqual(16 + length);
    yield seenIn(bytes.subarray(at + 12, at + 12 + length));
    at += 16 + length;
  }
}

/** The message's fields by their numbers: bytes, or what its type of wire holds. */
function fieldsOf(message: Uint8Array): [id: number, value: Buffer | number][] {
  const reader = protobuf.Reader.create(message);
  const found: [number, Buffer | number][] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const read = [() => Number(reader.int64()), () => reader.double(), () => Buffer.from(reader.bytes())];
    found.push([tag >>> 3, (tag & 7) === 5 ? reader.float() : read[tag & 7]!()]);
  }
  return found;
}

function seenIn(event: Uint8Array): Seen {
  const all = fieldsOf(event);
  const seen: Seen = { step: Number(all.find(([id]) => id === 2)?.[1] ?? 0), scalars: {}, pictures: {} };
  const summary = all.find(([id]) => id === 5)?.[1] as Buffer | undefined;
  for (const [, value] of summary ? fieldsOf(summary) : []) {
    const { 1: tag, 2: scalar, 4: image } = Object.fromEntries(fieldsOf(value as Buffer));
    if (scalar !== undefined) seen.scalars[`${tag}`] = scalar as number;
    if (image) seen.pictures[`${tag}`] = Object.fromEntries(fieldsOf(image as Buffer))[4] as Buffer;
  }
  return seen;
}

/** What a reader of all files knows of a split. */
async function shown(stageFolder: string, split: string): Promise<Seen[]> {
  const folder = path.join(stageFolder, 'tensorboard', split);
  const files = await Promise.all(
    (await fs.readdir(folder)).sort().map((name) => fs.readFile(path.join(folder, name))),
  );
  const all = files.flatMap((bytes) => [...recordsIn(bytes)]);
  expect(all.slice(0, 2).every(({ scalars }) => Object.keys(scalars).length === 0)).toBe(true);
  return all.slice(2);
}

/** All scalars of `metrics.jsonl`, as float32 holds them; `pictures` by their steps. */
async function expectAllShown(folder: string, pictures: Record<number, Buffer> = {}): Promise<void> {
  for (const split of ['train', 'val']) {
    const lines = (await readMetrics(path.join(folder, 'metrics.jsonl'))).filter((l) => l.split === split);
    const seen = await shown(folder, split);
    expect(lines.length).toBeGreaterThan(0);
    expect(seen.map(({ step }) => step)).toEqual(lines.map(({ step }) => step));
    for (const [i, { step, split: _, ...values }] of lines.entries()) {
      const { scalars, pictures: drawn } = seen[i]!;
      const numbers = Object.entries(numbersOf(values as never));
      expect(Object.keys(scalars)).toEqual(numbers.map(([key]) => key));
      for (const [key, value] of numbers)
        expect(Math.abs(scalars[key]! - value)).toBeLessThanOrEqual(6e-6 * Math.abs(value));
      const picture = split === 'val' ? pictures[step] : undefined;
      expect(drawn).toEqual(picture ? { grid: picture } : {});
    }
  }
}

const png = (size: number): Buffer => {
  const bytes = Buffer.alloc(40, size);
  bytes.writeUInt32BE(size, 16);
  bytes.writeUInt32BE(size, 20);
  return bytes;
};

/** A stage that draws where it validates. */
function drawing(folder: string, faults: { dieAt?: number } = {}): Stage {
  const stage = fakeStage(folder, faults);
  return {
    ...stage,
    evaluate: async (step, ...others) => {
      const file = path.join(folder, 'grids', `step-${`${step}`.padStart(8, '0')}.png`);
      await fs.mkdir(path.dirname(file), { recursive: true });
      await fs.writeFile(file, png(step));
      return stage.evaluate(step, ...others);
    },
  };
}

const train = (stage: Stage, o: { reporter?: Reporter; tensorboard?: boolean } = {}) =>
  runLoop(stage, { reporter: silent, tensorboard: true, from: latestCheckpoint(stage.folder), ...o });

test('all numbers and grids of a run that was killed, went on without, and with it again, each once', async () => {
  const folder = await freshFolder();
  await expect(train(drawing(folder, { dieAt: 14 }))).rejects.toThrow('killed');
  const pictures = Object.fromEntries([4, 8, 12, 16, 20, 22].map((step) => [step, png(step)]));
  await expectAllShown(folder, pictures);
  const first = (await shown(folder, 'train')).at(-1)!;
  expect(first.step).toBeGreaterThan(latestCheckpoint(folder)!.step); // which is not to stay

  await expect(train(drawing(folder, { dieAt: 19 }), { tensorboard: false })).rejects.toThrow('killed');
  await train(drawing(folder));
  await expectAllShown(folder, pictures);
  expect(await fs.readdir(path.join(folder, 'tensorboard', 'train'))).toHaveLength(2); // one of them empty
});

test('nothing is written that was not asked for', async () => {
  const folder = await freshFolder();
  await train(drawing(folder), { tensorboard: false });
  expect(await fs.readdir(folder)).not.toContain('tensorboard');
});

test('where it cannot be written, the training says so once and goes on', async () => {
  const [whole, folder] = [await freshFolder(), await freshFolder()];
  await train(fakeStage(whole), { tensorboard: false });
  await fs.writeFile(path.join(folder, 'tensorboard'), 'mine');
  const warn = jest.fn<Reporter['warn']>();
  await train(fakeStage(folder), { reporter: { ...silent, warn } });
  expect(warn.mock.calls).toEqual([
    [expect.stringMatching(/^TensorBoard's files are not written from here on, all else is\. E\w+: /)],
  ]);
  expect(await outcome(folder)).toEqual(await outcome(whole));
});

test('what fails amid it is said once and takes nothing else', async () => {
  const folder = await freshFolder();
  const warn = jest.fn<Reporter['warn']>();
  const records = await openRecords(folder, {
    ...{ step: 0, validated: 0, tensorboard: true },
    reporter: { ...silent, warn },
  });
  const grid = path.join(folder, 'grids', 'step-00000001.png');
  await fs.mkdir(path.dirname(grid));
  await fs.writeFile(grid, 'no picture');
  for (const split of ['train', 'val', 'val'] as const)
    await records.append({ step: 1, split, time_s: 1, loss: 2 });
  await records.close();
  expect(warn).toHaveBeenCalledTimes(1);
  expect(await readMetrics(path.join(folder, 'metrics.jsonl'))).toHaveLength(3);
});
