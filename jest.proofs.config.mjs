import config from './jest.config.mjs';

/** Long trainings that show what a model learns, beside the tests. */
export default { ...config, testMatch: ['<rootDir>/tests/**/*.proof.ts'], testTimeout: 600_000 };
