import config from './jest.config.mjs';

/** One worker: a GPU's memory is one, and a software device takes all cores by itself. */
export default {
  ...config,
  testMatch: ['<rootDir>/tests/gpu/**/*.gpu.ts'],
  maxWorkers: 1,
  testTimeout: 300_000,
};
