import { createRequire } from 'node:module';
import os from 'node:os';
import { types } from 'node:util';
import { TestEnvironment } from 'jest-environment-node';
import { shareSessions } from './sessions.mjs';
import { sharedTfjs } from './tfjs.mjs';

// As many test files run at once as there are cores: a session's further threads would only wait, and spin meanwhile.
// Tests that start the program as a process of its own see all cores.
os.availableParallelism = () => 1;

const require = createRequire(import.meta.url);

/**
 * Jest runs tests in a realm of their own, and in a new one for every file. Native add-ons do not recognise its typed
 * arrays as theirs: the outer realm's are handed in. And what is read again for every file is slow for as long as it is
 * new: TF.js, ONNX Runtime and the larger packages stay outside, whose errors are errors to the tests, too.
 */
export default class SharedOutside extends TestEnvironment {
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
    const { Error: inner } = this.global;
    const isInstance = Function.prototype[Symbol.hasInstance];
    Object.defineProperty(inner, Symbol.hasInstance, {
      value(thrown) {
        return isInstance.call(this, thrown) || (this === inner && types.isNativeError(thrown));
      },
    });
    const ort = require('onnxruntime-node');
    this.endSessions = shareSessions(ort);
    /** What tests/support/outside hands to the imports of tests. */
    this.global.outside = { ort, tfjs: sharedTfjs, package: require };
  }

  async teardown() {
    await this.endSessions?.();
    sharedTfjs.reset();
    await super.teardown();
  }
}
