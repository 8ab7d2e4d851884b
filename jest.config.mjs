// A test's own process.env is a copy that ONNX Runtime does not see (src/engine/telemetry.ts).
process.env.ORT_DISABLE_TELEMETRY ??= '1';

export default {
  testEnvironment: '<rootDir>/tests/support/environment.mjs',
  testMatch: ['<rootDir>/tests/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^(\\.{1,2}/.*)\\.js$': '$1',
    '^@tensorflow/tfjs-core$': '<rootDir>/tests/support/outside/tfjs-core.cjs',
    '^@tensorflow/tfjs-backend-cpu$': '<rootDir>/tests/support/outside/tfjs-backend-cpu.cjs',
    '^onnxruntime-node$': '<rootDir>/tests/support/outside/onnxruntime.cjs',
    '^(zod|yaml|sharp|protobufjs)$': '<rootDir>/tests/support/outside/$1.cjs',
    '^vqgen$': '<rootDir>/src/library/index.ts',
  },
  transform: {
    '^.+\\.ts$': [
      '<rootDir>/tests/support/transform.mjs',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  // As tests/support/transform.mjs: almost half of the time of TF.js's kernels.
  sandboxInjectedGlobals: [
    ...['Math', 'Number', 'Array', 'Object', 'Symbol', 'Map', 'Set', 'WeakMap', 'Promise', 'Error'],
    ...['Float32Array', 'Int32Array', 'Uint8Array'],
  ],
  maxWorkers: 2,
  testTimeout: 300_000, // a busy machine is no failure
};
