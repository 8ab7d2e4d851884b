/** Small trained runs and pictures for tests of `complete` and `edit`. */
import fs from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { float32 } from '../../src/base/tensor.js';
import { runPaths } from '../../src/checkpoint/run.js';
import { saveCheckpoint } from '../../src/checkpoint/store.js';
import { type Config, configSchema } from '../../src/config/schema.js';
import { writePng } from '../../src/data/pictures.js';
import { priorFor, recordClasses } from '../../src/stage2-transformer/model.js';
import { priorStart } from '../../src/stage2-transformer/step.js';
import { saveTokenizer, tinyConfig } from './run.js';

/** Pictures of this side become grids of a quarter of it, of 16 codes. */
export const editConfig = (size: number, prior: object = {}): Config => tinyConfig(prior, { size });

/** The same in two grids, of a quarter and of half of the side. */
export function hierarchyConfig(size: number): Config {
  const { stage1, ...config } = editConfig(size);
  const level = { kind: 'nearest', codes: 8 };
  return configSchema.parse({
    ...config,
    stage1: {
      ...{ ...stage1, network: 'strided', ch_mult: [1, 2], codes: undefined },
      bottleneck: { kind: 'hierarchy', levels: [level, level] },
    },
  });
}

/** A run with a tokenizer and a prior that begin with random weights, those of the prior large enough to matter. */
export async function saveRun(run: string, config: Config, classes: readonly string[] = []): Promise<void> {
  await saveTokenizer(run, config);
  const start = priorStart(priorFor(config, classes), 0);
  for (const t of Object.values(start)) for (const i of t.data.keys()) t.data[i] = 3 * t.data[i]!;
  const state = { step: 1, seconds: 0, validated: 1, best: null, metrics: null };
  await saveCheckpoint(runPaths(run).prior, start, state, 1);
  await recordClasses(run, classes);
}

/** A PNG with waves of colour. */
export async function writeWaves(file: string, width: number, height = width): Promise<string> {
  const pixels = Array.from({ length: width * height * 3 }, (_, i) => Math.sin(0.7 * i + Math.floor(i / 50)));
  await writePng(file, float32([height, width, 3], pixels));
  return file;
}

/** Pixels of a PNG, 8 bits each: [H, W, 3]. */
export const pixelsOf = async (file: string): Promise<Buffer> => await sharp(file).raw().toBuffer();

export async function readAll(files: readonly string[]): Promise<Buffer[]> {
  return Promise.all(files.map((file) => fs.readFile(file)));
}

export const inFolder = (folder: string) => (name: string) => path.join(folder, name);
