import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { silent } from '../../src/base/progress.js';
import { loadConfig } from '../../src/config/load.js';
import { openDevice } from '../../src/engine/index.js';
import {
  afresh,
  followReconstruction,
  type Starts,
  startsOf,
  withStarts,
} from '../../src/stage1-vqgan/starts.js';
import { trainStage1 } from '../../src/stage1-vqgan/train.js';
import type { Kept } from '../../src/train/loop.js';
import { readMetrics } from '../../src/train/metrics.js';
import { preparingOnce } from '../support/prepared.js';

const ofLength = (steps: number) =>
  loadConfig({
    config: 'tiny',
    set: [
      ...['data.drawn=40', 'data.size=8', 'stage1.ch_mult=[1]', 'stage1.attn_resolutions=[]'],
      ...[`stage1.steps=${steps}`, 'stage1.codebook.warmup=100'],
    ],
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

describe('disc.start: flat', () => {
  // Windows of 20 steps from step 41 on, when the codes have started: to 60, 80, …; the latest start is step 321.
  const config = loadConfig({
    config: 'tiny',
    set: [
      'stage1.steps=400',
      'stage1.codebook.warmup=100',
      'stage1.disc.start=flat',
      'stage1.perceptual.weight=2',
    ],
  });
  const begun = startsOf(config);
  const { see, next } = followReconstruction(config.stage1);

  /** What is kept after the steps whose error is given, and what was said at which step. */
  function followed(error: (step: number) => number, steps = 400) {
    let kept: Kept = begun;
    const said: [number, string][] = [];
    for (let step = 1; step <= steps; step++) {
      const l1 = error(step) / 2;
      const seen = see(kept, step, { l1, perceptual: l1 / 2 });
      kept = seen.kept;
      if (seen.said) said.push([step, seen.said]);
    }
    return { kept, said };
  }

  test('begins with the latest start', () => {
    expect(begun).toEqual({
      ...{ quantised: 41, adversarial: 321 },
      ...{ flat_latest: 321, flat_window: 20, flat_sum: 0, flat_before: 0 },
    });
    expect(startsOf(withStarts(config, begun))).toEqual({ quantised: 41, adversarial: 321 });
    const none = loadConfig({ config: 'tiny', set: ['stage1.disc={start: flat, weight: 0}'] });
    expect(startsOf(none)).toEqual({ quantised: 1, adversarial: 0 });
  });

  test('starts after the first window over which the mean fell by less than a twentieth', () => {
    const { kept, said } = followed((step) => (step <= 60 ? 1 : step <= 80 ? 0.94 : step <= 100 ? 0.9 : 0.5));
    expect(said).toEqual([
      [
        100,
        'The reconstruction error fell by only 4.3 % over the last 20 steps: the discriminator starts at step 101.',
      ],
    ]);
    expect(kept).toMatchObject({ adversarial: 101, flat_latest: 321 });
    expect(afresh(kept as Starts)).toEqual(begun);
  });

  test('what the error was before the codes is nothing to it; that it rises counts', () => {
    const { said } = followed((step) => (step <= 40 ? 0.1 : step <= 60 ? 1 : 1.5));
    expect(said).toEqual([[80, expect.stringContaining('error rose by 50.0 % over')]]);
  });

  test('an error that goes on falling leaves it at the latest start', () => {
    const { kept, said } = followed((step) => 0.99 ** step);
    expect(said).toEqual([]);
    expect(kept).toMatchObject({ adversarial: 321 });
  });

  test('calls of the engine end where a window does, as long as it is open', () => {
    expect([0, 40, 59, 60, 300, 319, 320].map((step) => next(begun, step))).toEqual([
      60,
      60,
      60,
      80,
      320,
      320,
      Infinity,
    ]);
    expect(next({ ...begun, adversarial: 101 } as Kept, 100)).toBe(Infinity);
    expect(next(startsOf(ofLength(400)), 3)).toBe(Infinity);
  });
});

test('a discriminator that acts goes on acting when a finished run is resumed for longer', async () => {
  const run = await mkdtemp(path.join(os.tmpdir(), 'vqgen-starts-'));
  const device = preparingOnce(await openDevice({ device: 'cpu', threads: 1, reporter: silent }));
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
