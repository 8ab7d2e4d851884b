import path from 'node:path';
import { parseConfig } from '../../src/config/layers.js';
import type { Config } from '../../src/config/schema.js';
import { saveTokenizer, tinyConfig } from '../support/run.js';

const latent_dim = 5;
const around = { class_means: true, classes: ['cat', 'dog', 'eel'] };

/** Sections of `stage1` whose latents are numbers, and the shape of these. */
export const numbers: Record<string, { stage1: object; shape: number[] }> = {
  ae: { stage1: { bottleneck: { kind: 'none' } }, shape: [2, 2, 4] },
  'ae vector': { stage1: { bottleneck: { kind: 'none', shape: 'vector', latent_dim } }, shape: [5] },
  dae: {
    stage1: { bottleneck: { kind: 'none' }, corrupt: { kind: 'noise', amount: 0.3 } },
    shape: [2, 2, 4],
  },
  mae: { stage1: { bottleneck: { kind: 'none' }, corrupt: { kind: 'mask', amount: 0.6 } }, shape: [2, 2, 4] },
  'mae strided': {
    stage1: { bottleneck: { kind: 'none' }, corrupt: { kind: 'mask', amount: 0.6 }, network: 'strided' },
    shape: [2, 2, 4],
  },
  vae: { stage1: { bottleneck: { kind: 'gaussian' } }, shape: [2, 2, 4] },
  'vae vector': { stage1: { bottleneck: { kind: 'gaussian', shape: 'vector', latent_dim } }, shape: [5] },
  cvae: { stage1: { bottleneck: { kind: 'gaussian', ...around } }, shape: [2, 2, 4] },
  'cvae vector': {
    stage1: { bottleneck: { kind: 'gaussian', shape: 'vector', latent_dim, ...around } },
    shape: [5],
  },
};

/** A run of that name with random weights: pictures of 8 × 8 pixels. */
export async function numbersRun(
  root: string,
  name: string,
  o: { sample?: object; data?: object } = {},
): Promise<{ run: string; config: Config }> {
  const base = tinyConfig({}, o.data);
  const stage1 = { ...base.stage1, ...numbers[name]!.stage1 };
  const config = parseConfig({ ...base, stage1, sample: { ...base.sample, ...o.sample } }, name);
  const run = path.join(root, name.replace(' ', '-'));
  await saveTokenizer(run, config);
  return { run, config };
}
