import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
Error.stackTraceLimit = Number.POSITIVE_INFINITY; // the tracer tells who called, many frames up

const tf = require('@tensorflow/tfjs-core');
const { get } = tf.TensorBuffer.prototype;
const registries = ['kernelRegistry', 'gradRegistry'].map((name) => globalThis._tfGlobals.get(name));
const contents = () => registries.map((registry) => [...registry]);
const ofCore = contents();
require('@tensorflow/tfjs-backend-cpu');
const withCpu = contents();
const engine = tf.engine();
const { cpu } = engine.registryFactory;
restore(ofCore);

function restore(entries, backends = {}) {
  for (const [i, registry] of registries.entries()) {
    registry.clear();
    for (const [key, value] of entries[i]) registry.set(key, value);
  }
  engine.registryFactory = backends;
}

/**
 * One TensorFlow.js for all test files of a process, outside of Jest's realms: there it is read and optimised once, and
 * sees its globals directly.
 */
export const sharedTfjs = {
  core: tf,
  addCpuBackend() {
    for (const [i, registry] of registries.entries())
      for (const [key, value] of withCpu[i]) registry.set(key, value);
    engine.registryFactory.cpu = cpu;
  },
  /** As it was before anything was registered, made or set. */
  reset() {
    engine.registry = {}; // the tracer's backend cannot be disposed of
    engine.reset();
    restore(ofCore);
    tf.TensorBuffer.prototype.get = get;
  },
};
