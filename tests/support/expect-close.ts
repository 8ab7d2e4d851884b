import type { HostTensor } from '../../src/base/tensor.js';

export interface Tolerance {
  readonly atol?: number;
  readonly rtol?: number;
}

/** Same shape, all finite, |a − b| ≤ atol + rtol·|b|; a failure tells the largest difference and its index. */
export function expectClose(
  actual: HostTensor,
  wanted: HostTensor,
  { atol = 1e-5, rtol = 1e-4 }: Tolerance = {},
  what = 'tensor',
): void {
  if (actual.shape.join() !== wanted.shape.join())
    throw new Error(`${what}: shape [${actual.shape}], expected [${wanted.shape}]`);
  if (actual.data.length !== wanted.data.length)
    throw new Error(`${what}: ${actual.data.length} numbers, expected ${wanted.data.length}`);
  let worst = { excess: 0, index: -1 };
  for (let i = 0; i < actual.data.length; i++) {
    const [a, b] = [actual.data[i]!, wanted.data[i]!];
    if (!Number.isFinite(a) || !Number.isFinite(b))
      throw new Error(`${what}: not finite at ${i}: ${a}, expected ${b}`);
    const excess = Math.abs(a - b) - (atol + rtol * Math.abs(b));
    if (excess > worst.excess) worst = { excess, index: i };
  }
  if (worst.index >= 0) {
    const [a, b] = [actual.data[worst.index]!, wanted.data[worst.index]!];
    throw new Error(`${what}: largest difference ${Math.abs(a - b)} at ${worst.index}: ${a}, expected ${b}`);
  }
}
