import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { silent } from '../../src/base/progress.js';
import { loadConfig } from '../../src/config/load.js';
import { openDevice } from '../../src/engine/index.js';
import { startsOf, withStarts } from '../../src/stage1-vqgan/starts.js';
import { trainStage1 } from '../../src/stage1-vqgan/train.js';
import { readMetrics } from '../../src/train/metrics.js';

const ofLength = (steps: number) =>
  loadConfig({
    config: 'tiny',
    set: ['data.drawn=40', `stage1.steps=${steps}`, 'stage1.codebook.warmup=100'],
  });

test('shares of a run are of the length that it began with', () => {
  const starts = startsOf(ofLength(500));
  expect(starts).toEqual({ quantised: 51, adversarial: 351 });
  expect(startsOf(ofLength(2000))).toEqual({ quantised: 101, adversarial: 1401 });
  expect(startsOf(withStarts(ofLength(2000), starts))).toEqual(starts);
});

test('a run is not made so short that its codes would have started earlier', () => {
  const starts = startsOf(ofLength(2000));
  expect(() => withStarts(ofLength(600), starts)).toThrow(
    'Expected at least 1000 for stage1.steps but received 600. The codes of this run start at step 101,',
  );
});

test('a discriminator that acts goes on acting when a finished run is resumed for longer', async () => {
  const run = await mkdtemp(path.join(os.tmpdir(), 'vqgen-starts-'));
  const device = await openDevice({ reporter: silent });
  const train = (steps: number, resume: boolean) =>
    trainStage1({ config: ofLength(steps), run, resume, device, reporter: silent });
  await train(8, false);
  await train(24, true);
  const lines = await readMetrics(path.join(run, 'stage1/metrics.jsonl'));
  const acting = lines.filter(({ split, step }) => split === 'train' && (step as number) > 6);
  expect(acting.map(({ step }) => step)).toEqual([8, 10, 12, 14, 16, 18, 20, 22, 24]);
  for (const line of acting) expect(line.adaptive_weight).toBeGreaterThan(0);
  await rm(run, { recursive: true });
});
