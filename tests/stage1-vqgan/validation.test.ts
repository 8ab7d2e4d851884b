import { float32 } from '../../src/base/tensor.js';
import { parseConfig } from '../../src/config/load.js';
import { psnr, validationPlan } from '../../src/stage1-vqgan/validation.js';

test('PSNR of each image on 8-bit pixels: clamped, rounded, 100 dB at most', () => {
  const originals = float32([3, 1, 1, 3], [0, 0, 0, 1, 1, 1, -1, -1, -1]);
  // 127.5 and 147.9 are rounded to 128 and 148; 5 is clamped to 255; −1 + 2·51/255 is 51
  const other = float32([3, 1, 1, 3], [0.16, 0.16, 0.16, 5, 5, 5, -0.6, -1, -1]);
  const [first, second, third] = psnr(originals, other) as [number, number, number];
  expect(first).toBeCloseTo(-20 * Math.log10(20 / 255), 4);
  expect(second).toBe(100);
  expect(third).toBeCloseTo(-10 * Math.log10((0.2 * 0.2) / 3), 4);
});

test.each([
  [1, 32, { batch: 1, images: 1 }],
  [20, 32, { batch: 20, images: 20 }],
  [100, 32, { batch: 32, images: 96 }],
  [5000, 32, { batch: 32, images: 256 }],
  [5000, 256, { batch: 2, images: 256 }],
])('%i images of %i pixels are validated in whole batches', (count, size, plan) => {
  expect(validationPlan(count, parseConfig({ data: { size }, stage1: { batch_size: 32 } }, 'test'))).toEqual(
    plan,
  );
});

test.each([
  [20, 4, { batch: 4, images: 20 }],
  [100, 2, { batch: 8, images: 96 }],
  [100, 1, { batch: 16, images: 96 }],
  [31, 4, { batch: 1, images: 31 }],
])(
  '%i images with 16 in %i micro-batches: the same images, no batch larger than these',
  (count, accumulate, plan) => {
    const config = parseConfig({ stage1: { batch_size: 16, accumulate } }, 'test');
    expect(validationPlan(count, config)).toEqual(plan);
  },
);
