/** Families of kernels, each case a test. */
import { device, expectParity, type ParityCase } from './parity.js';

type Cases = Record<string, ParityCase>;

/** What the WebGPU provider gets wrong (two operands of Pow that both repeat), and no program uses. */
const notOnGpu = new Set(['pow [3,1] [4]']);

export function check(family: string, cases: Cases): void {
  describe(family, () => {
    for (const [name, parity] of Object.entries(cases)) {
      if (device.name === 'webgpu' && notOnGpu.has(name)) continue;
      test(name, () => expectParity(name, parity));
    }
  });
}
