/** A run folder with a very small tokenizer of random weights, and folders of plain pictures. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { float32 } from '../../src/base/tensor.js';
import { runPaths, writeRunConfig } from '../../src/checkpoint/run.js';
import { saveCheckpoint } from '../../src/checkpoint/store.js';
import { type Config, configSchema } from '../../src/config/schema.js';
import { writePng } from '../../src/data/pictures.js';
import { startOf } from './networks.js';

export const temporaryFolder = (): Promise<string> => fs.mkdtemp(path.join(os.tmpdir(), 'vqgen-test-'));

/** 8×8 pictures, 2×2 codes of 16; a prior of width 8. */
export function tinyConfig(prior: object = {}, data: object = {}): Config {
  return configSchema.parse({
    data: { size: 8, drawn: 24, val_fraction: 0.3, ...data },
    stage1: { ch: 4, ch_mult: [1, 1, 1], z_channels: 4, embed_dim: 4, codes: 16, disc: { weight: 0 } },
    prior: { layers: 1, heads: 2, width: 8, batch_size: 4, steps: 4, warmup: 0, lr: 0.01, ...prior },
  });
}

/**
 * The weights vary with `seed`; the codebook is spread widely, so that several codes are used, and so are means of
 * classes.
 */
export async function saveTokenizer(run: string, config: Config, { seed = 0, step = 1 } = {}): Promise<void> {
  const state = startOf({ ...config, seed });
  const codebook = Object.keys(state).filter((name) => /^(model|ema)\.bottleneck\./.test(name));
  for (const name of codebook) for (const [i, v] of state[name]!.data.entries()) state[name]!.data[i] = 8 * v;
  const means = Object.keys(state).filter((name) => /^(model|ema)\.bottleneck\.class_means$/.test(name));
  for (const name of means)
    for (const i of state[name]!.data.keys()) state[name]!.data[i] = 3 * Math.sin(i + 1);
  await writeRunConfig(run, config);
  const saved = { step, seconds: 0, validated: step, best: null, metrics: null };
  await saveCheckpoint(runPaths(run).stage1, state, saved, 2);
}

/** `n` pictures of one colour each, half of them in the subfolder `a`, half in `b`. */
export async function writePictures(folder: string, n: number, size = 8): Promise<void> {
  for (let i = 0; i < n; i++) {
    const colour = [Math.sin(i), Math.sin(2 * i), Math.sin(3 * i)];
    const pixels = Array.from({ length: size * size * 3 }, (_, j) => colour[j % 3]!);
    await writePng(path.join(folder, i % 2 ? 'b' : 'a', `${i}.png`), float32([size, size, 3], pixels));
  }
}
