import { float32 } from '../../src/base/tensor.js';
import { psnr, psnrOfEach } from '../../src/data/psnr.js';

test('PSNR on 8-bit pixels', () => {
  // One grey level off everywhere: 20·log10(255) = 48.1308 dB.
  const a = Float32Array.from([0, 10, 200, 255], (byte) => byte / 127.5 - 1);
  const b = Float32Array.from([1, 11, 199, 254], (byte) => byte / 127.5 - 1);
  expect(psnr(a, b)).toBeCloseTo(48.1308, 3);
  expect(
    psnr(
      a,
      Float32Array.from(a, (v) => v + 1e-4),
    ),
  ).toBe(100);
  expect(psnr(Float32Array.of(1), Float32Array.of(3))).toBe(100); // clamped
});

test('PSNR of each image on 8-bit pixels: clamped, rounded, 100 dB at most', () => {
  const originals = float32([3, 1, 1, 3], [0, 0, 0, 1, 1, 1, -1, -1, -1]);
  // 127.5 and 147.9 are rounded to 128 and 148; 5 is clamped to 255; −1 + 2·51/255 is 51
  const other = float32([3, 1, 1, 3], [0.16, 0.16, 0.16, 5, 5, 5, -0.6, -1, -1]);
  const [first, second, third] = psnrOfEach(originals, other) as [number, number, number];
  expect(first).toBeCloseTo(-20 * Math.log10(20 / 255), 4);
  expect(second).toBe(100);
  expect(third).toBeCloseTo(-10 * Math.log10((0.2 * 0.2) / 3), 4);
});
