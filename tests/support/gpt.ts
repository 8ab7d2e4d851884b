/** A very small prior whose weights are written as sines, so that PyTorch can be given the same ones. */
import * as tf from '@tensorflow/tfjs-core';
import { configSchema, type PriorConfig } from '../../src/config/schema.js';
import { specsOf } from '../../src/nn/params.js';
import { type GptSizes, gptSpecs } from '../../src/stage2-transformer/gpt/gpt.js';
import { gptPrior } from '../../src/stage2-transformer/gpt/index.js';
import type { Prior } from '../../src/stage2-transformer/prior.js';
import { wave } from './wave.js';

export const small: GptSizes = { layers: 2, heads: 2, width: 8, codes: 5, tokens: 4 };

/** The prior of these sizes, its codes in one row, its blocks as published; without dropout or corruption unless given. */
export function priorOfSizes(
  sizes: GptSizes,
  o: Partial<Pick<PriorConfig, 'dropout' | 'pkeep' | 'accumulate' | 'precision'>> & { seed?: number } = {},
): Prior {
  const { layers, heads, width, codes, classes = 0, tokens } = sizes;
  const { prior } = configSchema.parse({});
  const settings = { ...prior, mlp: 'gelu' as const, dropout: 0, ...o, seed: o.seed ?? 0 };
  return gptPrior(
    { ...settings, layers, heads, width },
    [{ name: 'codes', height: 1, width: tokens, vocab: codes }],
    {
      classes: Array.from({ length: classes }, (_, label) => `${label}`),
      grids: [],
    },
  );
}

/** What of a GPT is not as in taming-transformers, each by itself and all at once. */
export const options: [string, Partial<PriorConfig>][] = [
  ['RMSNorm', { norm: 'rms' }],
  ['norms of queries and keys', { qk_norm: true }],
  ['SwiGLU', { mlp: 'swiglu' }],
  ['ReLU²', { mlp: 'relu2' }],
  ['rotary positions', { positions: 'rope' }],
  ['annealed orders', { order: 'annealed' }],
  ['all at once', { norm: 'rms', qk_norm: true, mlp: 'swiglu', positions: 'rope', order: 'annealed' }],
];

/** Parameter number i, in the order of the specs, is 0.5·sin((0.37 + 0.011·i)·j), plus 1 for a layer norm's γ. */
export function waveParams(sizes: GptSizes): Record<string, tf.Tensor> {
  return Object.fromEntries(
    Object.entries(specsOf(gptSpecs(sizes))).map(([name, { shape }], i) => {
      const values = wave(shape, 0.37 + 0.011 * i, 0.5);
      return [name, name.endsWith('gamma') ? tf.add(values, 1) : values];
    }),
  );
}
