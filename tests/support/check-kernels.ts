/** Families of kernels, each case a test. */
import { device, expectParity, type ParityCase } from './parity.js';

type Cases = Record<string, ParityCase>;

/** What the WebGPU provider lacks or gets wrong (two operands of Pow that both repeat), and no program uses. */
const notOnGpu = new Set(['round', 'isNaN', 'pow [3,1] [4]']);
/** WGSL promises no more of a sine. */
export const tolerance = device.name === 'webgpu' ? { atol: 2 ** -11 } : {};

export function check(family: string, cases: Cases): void {
  describe(family, () => {
    for (const [name, parity] of Object.entries(cases)) {
      if (device.name === 'webgpu' && notOnGpu.has(name)) continue;
      test(name, () => expectParity(name, parity));
    }
  });
}
