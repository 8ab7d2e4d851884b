/** A very small prior whose weights are written as sines, so that PyTorch can be given the same ones. */
import * as tf from '@tensorflow/tfjs-core';
import { specsOf } from '../../src/nn/params.js';
import { type GptSizes, gptSpecs } from '../../src/stage2-transformer/gpt/gpt.js';
import { wave } from './wave.js';

export const small: GptSizes = { layers: 2, heads: 2, width: 8, codes: 5, tokens: 4 };

/** Parameter number i, in the order of the specs, is 0.5·sin((0.37 + 0.011·i)·j), plus 1 for a layer norm's γ. */
export function waveParams(sizes: GptSizes): Record<string, tf.Tensor> {
  return Object.fromEntries(
    Object.entries(specsOf(gptSpecs(sizes))).map(([name, { shape }], i) => {
      const values = wave(shape, 0.37 + 0.011 * i, 0.5);
      return [name, name.endsWith('gamma') ? tf.add(values, 1) : values];
    }),
  );
}
