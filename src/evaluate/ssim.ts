/**
 * Structural similarity of two images: Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing
 * 13(4), 2004, on luma (0.299 R + 0.587 G + 0.114 B of 8-bit values, not rounded), with the published constants: a
 * Gaussian window of 11 × 11 pixels, σ 1.5, C₁ = (0.01 · 255)², C₂ = (0.03 · 255)².
 */

/** Side of the window; smaller images have no such measure. */
export const SSIM_WINDOW = 11;

const sigma = 1.5;
const c1 = (0.01 * 255) ** 2;
const c2 = (0.03 * 255) ** 2;

const kernel = (() => {
  const centre = (SSIM_WINDOW - 1) / 2;
  const bell = Float64Array.from({ length: SSIM_WINDOW }, (_, i) =>
    Math.exp(-((i - centre) ** 2) / (2 * sigma ** 2)),
  );
  const sum = bell.reduce((total, v) => total + v, 0);
  return bell.map((v) => v / sum);
})();

/**
 * Mean over all places where the window lies within the images: 1 for equal images, at least −1.
 *
 * @param a, b 8-bit RGB, [side, side, 3]
 */
export function ssim(a: Uint8Array, b: Uint8Array, side: number): number {
  const [x, y] = [luma(a), luma(b)];
  const product = (p: Float64Array, q: Float64Array) =>
    blur(
      p.map((v, i) => v * q[i]!),
      side,
    );
  const [meanX, meanY] = [blur(x, side), blur(y, side)];
  const [xx, yy, xy] = [product(x, x), product(y, y), product(x, y)];
  let sum = 0;
  for (let i = 0; i < meanX.length; i++) {
    const [mx, my] = [meanX[i]!, meanY[i]!];
    const variances = xx[i]! - mx * mx + yy[i]! - my * my;
    const covariance = xy[i]! - mx * my;
    sum += ((2 * mx * my + c1) * (2 * covariance + c2)) / ((mx * mx + my * my + c1) * (variances + c2));
  }
  return sum / meanX.length;
}

function luma(rgb: Uint8Array): Float64Array {
  return Float64Array.from(
    { length: rgb.length / 3 },
    (_, i) => 0.299 * rgb[3 * i]! + 0.587 * rgb[3 * i + 1]! + 0.114 * rgb[3 * i + 2]!,
  );
}

/** [side, side] → [side − 10, side − 10]: rows, then columns. */
function blur(plane: Float64Array, side: number): Float64Array {
  const inner = side - SSIM_WINDOW + 1;
  const rows = new Float64Array(side * inner);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < inner; x++) {
      let sum = 0;
      for (let k = 0; k < SSIM_WINDOW; k++) sum += kernel[k]! * plane[y * side + x + k]!;
      rows[y * inner + x] = sum;
    }
  const result = new Float64Array(inner * inner);
  for (let y = 0; y < inner; y++)
    for (let x = 0; x < inner; x++) {
      let sum = 0;
      for (let k = 0; k < SSIM_WINDOW; k++) sum += kernel[k]! * rows[(y + k) * inner + x]!;
      result[y * inner + x] = sum;
    }
  return result;
}
