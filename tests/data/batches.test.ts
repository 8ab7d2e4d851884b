import fs from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { type Batch, evalImages, streamEvalImages, trainBatch, viewsOf } from '../../src/data/batches.js';
import { everyImage, type ImageSet } from '../../src/data/dataset.js';
import { toBytes } from '../../src/data/pictures.js';
import { listImages, type Skipped } from '../../src/data/source.js';
import { temporaryFolder, writePicture } from './pictures-folder.js';

const size = 4;

/** Pictures 4 × 9 and 9 × 4 by turns, whose red is the column, green the row and blue the index. */
function imageSet(count: number): ImageSet {
  return {
    count,
    names: Array.from({ length: count }, (_, i) => `${i}`),
    labels: Int32Array.from({ length: count }, (_, i) => i % 3),
    read: (index) => {
      const width = index % 2 ? 9 : size;
      const height = index % 2 ? size : 9;
      const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
        const at = Math.floor(i / 3);
        return [at % width, Math.floor(at / width), index][i % 3]!;
      });
      return { width, height, data };
    },
  };
}

const options = { size, flip: true, batchSize: 4, seed: 7 };
const bytes = (batch: Batch): number[] => [...toBytes(batch.images)];

async function indicesUpTo(set: ImageSet, steps: number, batchSize: number, seed = 7): Promise<number[]> {
  const all: number[] = [];
  for (let step = 0; step < steps; step++) {
    all.push(...(await trainBatch(set, { ...options, batchSize, seed, step })).indices);
  }
  return all;
}

describe('trainBatch', () => {
  test('depends on the seed and the step alone', async () => {
    const set = imageSet(10);
    const inOrder: Batch[] = [];
    for (let step = 0; step < 9; step++) inOrder.push(await trainBatch(set, { ...options, step }));
    for (const step of [8, 2, 5]) {
      expect(await trainBatch(imageSet(10), { ...options, step })).toEqual(inOrder[step]);
    }
    const others = await Promise.all(
      inOrder.map((_, step) => trainBatch(set, { ...options, seed: 8, step })),
    );
    expect(others.map((batch) => [...batch.indices])).not.toEqual(inOrder.map((batch) => [...batch.indices]));
  });

  test('every epoch has every picture once, across the borders of batches', async () => {
    const indices = await indicesUpTo(imageSet(10), 15, 4);
    const epochs = Array.from({ length: 6 }, (_, e) => indices.slice(e * 10, e * 10 + 10));
    for (const epoch of epochs) {
      expect([...epoch].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    expect(new Set(epochs.map(String)).size).toBe(6);
  });

  test('a set smaller than the batch repeats', async () => {
    const indices = await indicesUpTo(imageSet(3), 2, 8);
    for (let e = 0; e < 5; e++) expect(indices.slice(e * 3, e * 3 + 3).sort()).toEqual([0, 1, 2]);
    expect(await indicesUpTo(imageSet(1), 2, 3)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('crops and mirrors whole squares of the right picture', async () => {
    const set = imageSet(10);
    const offsets = new Set<number>();
    const mirrored = new Set<boolean>();
    for (let step = 0; step < 30; step++) {
      const batch = await trainBatch(set, { ...options, step });
      expect([...batch.labels]).toEqual([...batch.indices].map((i) => i % 3));
      expect(batch.images.shape).toEqual([4, size, size, 3]);
      const values = bytes(batch);
      for (const [i, index] of batch.indices.entries()) {
        const at = (x: number, y: number) => values.slice(((i * size + y) * size + x) * 3).slice(0, 3);
        const flipped = at(0, 0)[0]! > at(size - 1, 0)[0]!;
        const [left, top] = at(flipped ? size - 1 : 0, 0) as [number, number];
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            expect(at(flipped ? size - 1 - x : x, y)).toEqual([left + x, top + y, index]);
          }
        }
        offsets.add(left + top);
        mirrored.add(flipped);
      }
    }
    expect([...offsets].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...mirrored].sort()).toEqual([false, true]);
  });

  test('mirrors nothing without flip', async () => {
    for (let step = 0; step < 10; step++) {
      const values = bytes(await trainBatch(imageSet(10), { ...options, flip: false, step }));
      for (let i = 0; i < 4; i++) expect(values[i * 48]).toBeLessThan(values[i * 48 + 9]!);
    }
  });
});

test('evalImages takes the centre of each picture asked for', async () => {
  const images = await evalImages(imageSet(10), [3, 8], size);
  expect(images.shape).toEqual([2, size, size, 3]);
  const values = toBytes(images);
  expect([...values.slice(0, 3)]).toEqual([2, 0, 3]);
  expect([...values.slice(48, 51)]).toEqual([0, 2, 8]);
});

describe('viewsOf', () => {
  const wide = { width: 9, height: 4, data: new Uint8Array(108) };

  test('the evaluation view, its mirror image with flip, then random crops', () => {
    const views = viewsOf(6, { size, flip: true, seed: 1 })(wide, 'a.png');
    expect(views.slice(0, 2)).toEqual([false, true].map((mirrored) => ({ size, top: 0, left: 2, mirrored })));
    expect(views.map(({ mirrored }) => mirrored)).toEqual([false, true, false, true, false, true]);
    expect(views[3]).toEqual({ ...views[2], mirrored: true });
    for (const { top, left } of views) {
      expect(top).toBe(0);
      expect(left).toBeGreaterThanOrEqual(0);
      expect(left).toBeLessThanOrEqual(5);
    }
    expect(viewsOf(3, { size, flip: true, seed: 1 })(wide, 'a.png')).toEqual(views.slice(0, 3));
    const still = viewsOf(40, { size, flip: false, seed: 1 })(wide, 'a.png');
    expect(still.every(({ mirrored }) => !mirrored)).toBe(true);
    expect(new Set(still.map(({ left }) => left)).size).toBe(6);
  });

  test('depend on the seed and the name', () => {
    const of = (seed: number, name: string) => viewsOf(9, { size, flip: false, seed })(wide, name);
    expect(of(1, 'a.png')).toEqual(of(1, 'a.png'));
    expect(of(2, 'a.png')).not.toEqual(of(1, 'a.png'));
    expect(of(1, 'b.png')).not.toEqual(of(1, 'a.png'));
  });
});

describe('streamEvalImages', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await temporaryFolder();
  });
  afterEach(() => fs.rm(dir, { recursive: true, force: true }));

  test('gives every readable picture in order and in batches by its place, whatever cannot be read', async () => {
    for (let i = 0; i < 23; i++) {
      const side = i % 5 === 0 ? 200 : 8;
      await writePicture(dir, `${i % 2}/${String(i).padStart(2, '0')}.png`, {
        level: 10 * i,
        width: side,
        height: side,
      });
    }
    await fs.writeFile(path.join(dir, '0', '05.jpg'), 'no picture');
    const source = await listImages(dir);
    const skipped: Skipped[] = [];
    const batches = [];
    for await (const batch of streamEvalImages(everyImage(source), { size: 8, batchSize: 5, skipped })) {
      batches.push(batch);
    }
    expect(batches.map(({ images }) => images.shape[0])).toEqual([4, 5, 5, 5, 4]);
    expect(batches.flatMap(({ places }) => places)).toEqual([
      0,
      1,
      2,
      ...Array.from({ length: 20 }, (_, i) => 4 + i),
    ]);
    const names = batches.flatMap((batch) => batch.names);
    expect(names).toEqual(source.names.filter((name) => name.endsWith('.png')));
    expect(batches.flatMap((batch) => [...batch.labels])).toEqual(names.map((name) => Number(name[0])));
    const levels = batches.flatMap(({ images }) => [...toBytes(images)].filter((_, i) => i % 192 === 191));
    expect(levels).toEqual(names.map((name) => 10 * Number(name.slice(2, 4))));
    expect(skipped).toEqual([{ name: '0/05.jpg', reason: 'no picture that can be read' }]);
  });

  test('gives as many views of a picture as asked for, one after another, across batches', async () => {
    for (let i = 0; i < 3; i++) await writePicture(dir, `${i}.png`, { level: 10 * i, width: 8 });
    const views = { each: 2, of: viewsOf(2, { size: 8, flip: true, seed: 0 }) };
    const all = { source: await listImages(dir), indices: [0, 1, 2] };
    const batches = [];
    for await (const batch of streamEvalImages(all, { size: 8, batchSize: 4, skipped: [], views }))
      batches.push(batch);
    expect(batches.map(({ names }) => names)).toEqual([
      ['0.png', '0.png', '1.png', '1.png'],
      ['2.png', '2.png'],
    ]);
    expect(batches.map(({ images }) => images.shape[0])).toEqual([4, 2]);
    // The left column is white, or the right one.
    const corners = batches.flatMap(({ images }) =>
      [...toBytes(images)].filter((_, i) => i % 192 === 0 || i % 192 === 21),
    );
    expect(corners).toEqual([0, 10, 20].flatMap((level) => [255, level, level, 255]));
  });

  test('a disk that goes away in the midst is no result; a few that are away are named', async () => {
    for (let i = 0; i < 20; i++) await writePicture(dir, `${10 + i}.png`, { level: i });
    const all = async () => {
      const skipped: Skipped[] = [];
      const source = await listImages(dir);
      const o = { size: 8, batchSize: 4, skipped };
      for await (const _ of streamEvalImages(everyImage(source), o)) {
        for (const name of away.splice(0)) await fs.rm(path.join(dir, name));
      }
      return skipped;
    };
    const away = ['28.png', '29.png'];
    expect((await all()).map(({ name, reason }) => `${name} ${reason}`)).toEqual([
      '28.png no such file',
      '29.png no such file',
    ]);
    away.push(...Array.from({ length: 9 }, (_, i) => `${19 + i}.png`));
    await expect(all()).rejects.toThrow(
      /where it cannot read \d of 18 \(\d\d\.png: no such file\)\. Nothing is made/,
    );
  }, 30_000);

  test('takes the part asked for', async () => {
    for (let i = 0; i < 6; i++) await writePicture(dir, `${i}.png`, { level: i });
    const subset = { source: await listImages(dir), indices: [1, 4] };
    const names: string[] = [];
    for await (const batch of streamEvalImages(subset, { size: 8, batchSize: 8, skipped: [] })) {
      names.push(...batch.names);
    }
    expect(names).toEqual(['1.png', '4.png']);
    const all = everyImage(subset.source);
    const parts = [];
    for await (const { names, places } of streamEvalImages(all, {
      ...{ size: 8, batchSize: 2, skipped: [], part: { from: 2, to: 6 } },
    }))
      parts.push([names, places]);
    expect(parts).toEqual([
      [
        ['2.png', '3.png'],
        [2, 3],
      ],
      [
        ['4.png', '5.png'],
        [4, 5],
      ],
    ]);
  });

  test('fails when nothing can be read', async () => {
    await fs.writeFile(path.join(dir, 'a.png'), 'no picture');
    const all = everyImage(await listImages(dir, 'DATASET'));
    const drain = async () => {
      for await (const _ of streamEvalImages(all, { size: 8, batchSize: 8, skipped: [] }));
    };
    await expect(drain()).rejects.toThrow(UserError);
    await expect(drain()).rejects.toThrow('Expected a folder with readable images for DATASET but received');
  });
});
