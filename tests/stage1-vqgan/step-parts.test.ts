import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensors } from '../../src/engine/device.js';
import { expectClose } from '../support/close.js';
import { startOf, stepOf } from '../support/networks.js';
import { preferring } from '../support/parts.js';
import { wave } from '../support/wave.js';
import { runStep, tensorsOf, tinyConfig } from './tiny.js';

test('a step whose large images run one by one is the step of the whole batch', () => {
  const config = tinyConfig({
    ch: 4,
    z_channels: 3,
    attn_resolutions: [],
    disc: { weight: 0.5, ch: 4, layers: 1 },
  });
  const program = stepOf(config, undefined, { adversarial: true });
  const state = tensorsOf(startOf(config));
  const inputs: Tensors = {
    images: wave([2, 8, 8, 3], 0.7),
    lr: tf.scalar(2e-3),
    step: tf.scalar(1),
    updates: tf.scalar(1),
    disc_step: tf.scalar(1),
  };
  const whole = runStep(program, state, inputs);
  const parts = preferring(1, () => runStep(program, state, inputs));
  for (const name of ['loss', 'l1', 'adaptive_weight'])
    expectClose(parts.outputs[name]!, whole.outputs[name]!, { rtol: 1e-4 });
  const moments = Object.keys(whole.state).filter((name) => /adam\.m\./.test(name));
  expect(moments.length).toBeGreaterThan(50);
  for (const name of moments) expectClose(parts.state[name]!, whole.state[name]!, { atol: 2e-6, rtol: 1e-3 });
});
