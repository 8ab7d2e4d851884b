/** What `import … from 'vqgen'` gives: what `api.ts` declares, no more and no less (tests/library/index.test.ts). */
export { UserError } from '../base/errors.js';
export { version } from '../base/root.js';
export { readImage, writeImage } from './images.js';
export { loadRun } from './run.js';
