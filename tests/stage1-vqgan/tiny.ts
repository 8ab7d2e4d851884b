/** Small configurations and eager steps for the tests of stage 1. */
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../src/base/tensor.js';
import { type Config, configSchema } from '../../src/config/schema.js';
import type { StepProgram, Tensors } from '../../src/engine/device.js';

const architecture = {
  ch: 8,
  ch_mult: [1, 2],
  num_res_blocks: 1,
  attn_resolutions: [4],
  z_channels: 6,
  embed_dim: 5,
  codes: 7,
};

/** 8×8 images, two levels, 7 codes of 5 values; everything but the pixel loss and the codebook switched off. */
export function tinyConfig(stage1: Record<string, unknown> = {}): Config {
  return configSchema.parse({
    data: { size: 8 },
    stage1: {
      ...architecture,
      disc: { weight: 0 },
      perceptual: { kind: 'none' },
      codebook: { init: 'uniform', restart_after: 0 },
      batch_size: 2,
      clip: 0,
      ema: 0,
      ...stage1,
    },
  });
}

export function tensorsOf(host: HostTensors): Tensors {
  return Object.fromEntries(
    Object.entries(host).map(([name, t]) => [name, tf.tensor(t.data, [...t.shape], t.dtype)]),
  );
}

/** One step on the current backend. */
export function runStep(program: StepProgram, state: Tensors, inputs: Tensors) {
  return program.step(state, inputs, tensorsOf(program.constants));
}
