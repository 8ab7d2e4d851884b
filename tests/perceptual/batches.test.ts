import type { ImageSet } from '../../src/data/dataset.js';
import { classifierBatch } from '../../src/perceptual/batches.js';

const size = 8;

/** Two pictures of rising brightness from left to right and from top to bottom. */
const set: ImageSet = {
  count: 2,
  names: ['a/0.png', 'b/1.png'],
  labels: Int32Array.of(0, 2),
  read: (i) => ({
    width: size,
    height: size,
    data: Uint8Array.from({ length: size * size * 3 }, (_, k) => {
      const place = Math.floor(k / 3);
      return 20 * (i === 0 ? place % size : Math.floor(place / size)) + 10;
    }),
  }),
};

const options = { size, flip: false, batchSize: 6, seed: 4, step: 7 };

test('targets: all classes have a little, the right one the most', async () => {
  const { targets } = await classifierBatch(set, 3, options);
  expect(targets!.shape).toEqual([6, 3]);
  for (let i = 0; i < 6; i++) {
    const row = [...targets!.data.slice(3 * i, 3 * i + 3)].sort();
    [0.1 / 3, 0.1 / 3, 0.9 + 0.1 / 3].forEach((v, k) => {
      expect(row[k]).toBeCloseTo(v);
    });
  }
});

test('images are moved by at most an eighth of their side, mirrored at the border', async () => {
  const { images, targets } = await classifierBatch(set, 3, options);
  const shifts = new Set<number>();
  for (let i = 0; i < 6; i++) {
    const across = targets!.data[3 * i]! > 0.5; // the class of the first picture
    const line = Array.from({ length: size }, (_, k) => {
      const value = images!.data[(i * size * size + (across ? k : k * size)) * 3]!;
      return Math.round(((value + 1) * 127.5 - 10) / 20);
    });
    const shift = line[1]! - 1;
    shifts.add(shift);
    expect(Math.abs(shift)).toBeLessThanOrEqual(1);
    const wanted = { 0: '01234567', 1: '12345677', [-1]: '00123456' }[shift];
    expect(line.join('')).toBe(wanted);
  }
  expect(shifts.size).toBeGreaterThan(1);
});

test('a batch depends on seed and step alone', async () => {
  const batch = await classifierBatch(set, 3, options);
  expect(await classifierBatch(set, 3, options)).toEqual(batch);
  expect(await classifierBatch(set, 3, { ...options, step: 8 })).not.toEqual(batch);
  expect(await classifierBatch(set, 3, { ...options, seed: 5 })).not.toEqual(batch);
});
