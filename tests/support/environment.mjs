import { TestEnvironment } from 'jest-environment-node';

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
