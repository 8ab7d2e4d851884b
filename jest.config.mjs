// A test's own process.env is a copy that ONNX Runtime does not see (src/engine/telemetry.ts).
process.env.ORT_DISABLE_TELEMETRY ??= '1';

export default {
  testEnvironment: '<rootDir>/tests/support/environment.mjs',
  testMatch: ['<rootDir>/tests/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1', '^vqgen$': '<rootDir>/src/library/index.ts' },
  transform: {
    '^.+\\.ts$': [
      '<rootDir>/tests/support/transform.mjs',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  sandboxInjectedGlobals: ['Math'], // as tests/support/transform.mjs: a fifth of TF.js's time
  maxWorkers: 2,
  testTimeout: 300_000, // a busy machine is no failure
};
