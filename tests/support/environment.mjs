import os from 'node:os';
import { TestEnvironment } from 'jest-environment-node';

// As many test files run at once as there are cores: a session's further threads would only wait, and spin meanwhile.
// Tests that start the program as a process of its own see all cores.
os.availableParallelism = () => 1;

/**
 * Jest runs tests in a realm of their own, whose typed arrays native add-ons do not recognise as theirs:
 * hand the outer realm's in.
 */
export default class SharedTypedArrays extends TestEnvironment {
  async setup() {
    await super.setup();
    for (const type of [
      Float32Array,
      Float64Array,
      Int8Array,
      Int16Array,
      Int32Array,
      Uint8Array,
      Uint8ClampedArray,
      Uint16Array,
      Uint32Array,
      BigInt64Array,
      BigUint64Array,
      ArrayBuffer,
      SharedArrayBuffer,
    ]) {
      this.global[type.name] = type;
    }
  }
}
