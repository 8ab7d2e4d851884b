import { silent } from '../../src/base/progress.js';
import { loadConfig } from '../../src/config/load.js';
import { openDataset } from '../../src/data/dataset.js';
import { openDevice } from '../../src/engine/index.js';
import { loadPerceptual } from '../../src/perceptual/load.js';
import { stage1InTime } from '../../src/stage1-vqgan/in-time.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

test('a config whose steps fit; the share of the run that has a discriminator stays a share', async () => {
  const reporter = silent;
  const device = await openDevice({ device: 'cpu', threads: 1, reporter });
  const config = loadConfig({ config: 'tiny' });
  const perceptual = await loadPerceptual(config);
  const dataset = await openDataset(config.data, { cacheDir: await freshFolder(), reporter });
  const o = { dataset, perceptual, device, reporter };
  const { stage1 } = await stage1InTime(config, { seconds: 60, spent: () => 0 }, o);
  expect(stage1.steps).toBeGreaterThanOrEqual(20);
  const tenth = Math.ceil(stage1.steps / 10);
  expect([stage1.eval_every, stage1.checkpoint_every]).toEqual([tenth, tenth]);
  expect(stage1.disc.start).toBe(config.stage1.disc.start);
});
