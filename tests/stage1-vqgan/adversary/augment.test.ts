import * as tf from '@tensorflow/tfjs-core';
import { float32, type HostTensors } from '../../../src/base/tensor.js';
import { augmentationOf } from '../../../src/stage1-vqgan/adversary/augment.js';
import { eager, expectParity, noise } from '../../support/parity.js';

const size = 16;
const of = { size, seed: 3 };
const all = ['translation', 'cutout', 'colour'] as const;

async function applied(kinds: readonly (typeof all)[number][], x: HostTensors[string], fed: HostTensors) {
  const augmentation = augmentationOf([...kinds], of);
  const { y } = await eager({ x, ...fed }, ({ x, ...fed }) => ({ y: augmentation.apply(x!, fed) }));
  return y!.data;
}

/** Red is the row's number, green the column's, blue 1. */
const places = float32(
  [1, size, size, 3],
  Float32Array.from(
    Array.from({ length: size * size }, (_, i) => [Math.floor(i / size), i % size, 1]).flat(),
  ),
);

test('moved: each pixel comes from where it was, and nothing comes from outside', async () => {
  const augmentation = augmentationOf(['translation'], of);
  const seen = new Set<string>();
  for (let step = 1; step <= 40; step++) {
    const y = await applied(['translation'], places, augmentation.feed(step, 1));
    const middle = 3 * (8 * size + 8);
    const [down, across] = [8 - y[middle]!, 8 - y[middle + 1]!];
    seen.add(`${down} ${across}`);
    expect(Math.max(Math.abs(down), Math.abs(across))).toBeLessThanOrEqual(2); // an eighth of 16
    for (let i = 0; i < size * size; i++) {
      const [row, column] = [Math.floor(i / size) - down, (i % size) - across];
      const inside = Math.min(row, column) >= 0 && Math.max(row, column) < size;
      expect(Array.from(y.subarray(3 * i, 3 * i + 3))).toEqual(inside ? [row, column, 1] : [0, 0, 0]);
    }
  }
  expect(seen.size).toBeGreaterThan(12); // of 25
});

test('covered: at most a square of half the side, anywhere', async () => {
  const augmentation = augmentationOf(['cutout'], of);
  const counts = [];
  for (let step = 1; step <= 40; step++) {
    const y = await applied(
      ['cutout'],
      float32([1, size, size, 3], new Float32Array(size * size * 3).fill(1)),
      {
        ...augmentation.feed(step, 1),
      },
    );
    counts.push(Array.from(y).reduce((sum, v) => sum + 1 - v, 0) / 3);
  }
  expect(Math.max(...counts)).toBe((size / 2) ** 2);
  expect(Math.min(...counts)).toBeGreaterThan(0);
});

test('other colours: brightness, then saturation about each pixel’s mean, then contrast about the picture’s', async () => {
  const x = float32([1, 1, 2, 3], Float32Array.of(0.1, 0.2, 0.6, -0.3, -0.3, -0.3));
  const fed = { 'augment.colour': float32([1, 3], Float32Array.of(0.5, 2, 0.5)) };
  // Brighter: 0.6 0.7 1.1 (mean 0.8) and 0.2; twice as colourful: 0.4 0.6 1.4; half the contrast about 0.5.
  const y = await applied(['colour'], x, fed);
  [0.45, 0.55, 0.95, 0.35, 0.35, 0.35].forEach((v, i) => {
    expect(y[i]).toBeCloseTo(v, 6);
  });
});

test('what is drawn hangs on seed, step and place in the batch; without it pictures stay', async () => {
  const augmentation = augmentationOf([...all], of);
  const fed = augmentation.feed(5, 2);
  expect(Object.keys(fed).sort()).toEqual(Object.keys(augmentation.inputs(2)).sort());
  for (const [name, { shape, dtype }] of Object.entries(augmentation.inputs(2)))
    expect(fed[name]).toMatchObject({ shape, dtype });
  expect(augmentation.feed(5, 2)).toEqual(fed);
  expect(augmentation.feed(6, 2)).not.toEqual(fed);
  const colours = fed['augment.colour']!.data;
  expect(colours.slice(0, 3)).not.toEqual(colours.slice(3));
  const x = noise([2, size, size, 3], 'x');
  expect(await applied(all, x, {})).toEqual(x.data);
  expect(augmentationOf([], of).inputs(2)).toEqual({});
});

test.each([[['translation']], [['cutout']], [['colour']], [[...all]]])(
  '%j: values and gradients of the engine',
  async (kinds) => {
    const augmentation = augmentationOf(kinds as never, of);
    const fed = augmentation.feed(1, 3);
    await expectParity(`augment ${kinds}`, {
      inputs: { x: noise([3, size, size, 3], 'x') },
      fn: ({ x }) =>
        augmentation.apply(
          x!,
          Object.fromEntries(
            Object.entries(fed).map(([name, t]) => [name, tf.tensor(t.data, [...t.shape], t.dtype)]),
          ),
        ),
    });
  },
);
