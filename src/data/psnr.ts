/** Peak signal-to-noise ratio of 8-bit pictures. */
import { firstAxis, float32, type HostTensor } from '../base/tensor.js';
import { imageAt } from './grid.js';
import { toBytes } from './pictures.js';

/** A difference below a hundredth of one grey level counts as none. */
const leastError = 1e-10;

/** 10·log₁₀(1/MSE) on 8-bit pixels scaled to [0, 1], dB; at most 100. Both in [−1, 1]. */
export function psnr(a: Float32Array, b: Float32Array): number {
  const [x, y] = [toBytes(float32([a.length], a)), toBytes(float32([b.length], b))];
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i]! - y[i]!) ** 2;
  return -10 * Math.log10(Math.max(sum / x.length / 255 ** 2, leastError));
}

/** Of each image, both [n, S, S, 3]. */
export const psnrOfEach = (originals: HostTensor, others: HostTensor): number[] =>
  Array.from({ length: firstAxis(originals) }, (_, i) => psnr(imageAt(originals, i), imageAt(others, i)));
