/**
 * The map that makes a vector's codes N(0, I): its KL against numpy's, its inverse, and what hangs on it and what does
 * not.
 */
import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { parseConfig } from '../../../src/config/layers.js';
import type { Tensors } from '../../../src/engine/device.js';
import { valueAndGradsOf } from '../../../src/nn/gradients.js';
import { initialise } from '../../../src/nn/params.js';
import { gaussian, klByUnit } from '../../../src/stage1-vqgan/bottlenecks/gaussian.js';
import { whiteningOf } from '../../../src/stage1-vqgan/bottlenecks/whitening.js';
import { expectClose } from '../../support/close.js';
import { noise } from '../../support/parity.js';
import { tensorsOf } from '../tiny.js';

const tensor = (shape: number[], key: string, scale = 1) =>
  tf.tensor(noise(shape, key, scale).data as Float32Array, shape);
const random = (dims: number, scale: number): Tensors => ({
  'whitening.above': tensor([dims, dims], 'above', scale),
  'whitening.log_scale': tensor([dims], 'scale', scale),
  'whitening.shift': tensor([dims], 'shift'),
});

test('begins as the identity', () => {
  const white = whiteningOf(3);
  const p = tensorsOf(initialise(white.learned, 1));
  const h = tensor([2, 3], 'h');
  expectClose(white.whiten(p, h), h);
  const { variance, logvar } = white.spread(p, h);
  expectClose(variance, tf.exp(h));
  expectClose(logvar, h);
});

test.each([
  [1, 0.5],
  [5, 1],
  [64, 0.2],
])('%d numbers, there and back', (dims, scale) => {
  const white = whiteningOf(dims);
  const p = random(dims, scale);
  const h = tensor([4, dims], 'h');
  const z = white.whiten(p, h);
  expectClose(white.undo(p, z), h, { atol: 1e-3, rtol: 1e-3 });
  expect(tf.max(tf.abs(tf.sub(z, h))).dataSync()[0]).toBeGreaterThan(0.1);
});

// numpy, float64: C = inv(W @ W.T), m = -b @ inv(W);
// kl = .5 * (trace(inv(C) @ diag(s2)) + (h - m) @ inv(C) @ (h - m) - 2 + log(det(C) / det(diag(s2))))
test('the KL is that of N(h, σ²) from the Gaussian that the map makes N(0, I)', () => {
  const white = whiteningOf(2);
  const p: Tensors = {
    'whitening.above': tf.tensor2d([
      [7, 0.5],
      [7, 7],
    ]),
    'whitening.log_scale': tf.log(tf.tensor1d([2, 3])),
    'whitening.shift': tf.tensor1d([0.1, -0.2]),
  };
  const away = white.whiten(p, tf.tensor2d([[1, 2]]));
  const kl = klByUnit({ away, ...white.spread(p, tf.log(tf.tensor2d([[0.5, 2]]))) });
  expectClose(tf.sum(kl), [29.32074053]);
});

describe('a VAE of one vector', () => {
  const { stage1 } = parseConfig(
    { stage1: { embed_dim: 3, bottleneck: { kind: 'gaussian', shape: 'vector', latent_dim: 4 } } },
    'test',
  );
  const vae = gaussian(stage1, { features: 4, side: 2, batch: 2, parts: 1, seed: 3, dims: 48 });
  const start = tensorsOf(initialise(vae.learned, 1));
  const z = tensor([2, 2, 2, 3], 'z');
  const inputs = { noise: tensor([2, 4], 'ε') };
  const moved = { ...start, ...random(4, 0.5) };

  test('the decoder does not see the map, the KL does', () => {
    const [before, after] = [start, moved].map((p) => vae.pass(p, z, inputs));
    expectClose(after!.output, before!.output);
    expect(Math.abs(after!.terms.kl!.dataSync()[0]! - before!.terms.kl!.dataSync()[0]!)).toBeGreaterThan(0.1);
  });

  test('its gradient equals finite differences', () => {
    const loss = (p: Tensors) => tf.mul(48, vae.pass(p, z, inputs).loss);
    const { grads } = valueAndGradsOf(random(4, 0.5), (p) => loss({ ...start, ...p }));
    for (const [name, at] of [
      ['whitening.above', 1],
      ['whitening.above', 11],
      ['whitening.log_scale', 2],
      ['whitening.shift', 0],
    ] as const) {
      const by = (amount: number) => {
        const values = Float32Array.from(moved[name]!.dataSync());
        values[at]! += amount;
        return loss({ ...moved, [name]: tf.tensor(values, moved[name]!.shape) }).dataSync()[0]!;
      };
      expect(grads[name]!.dataSync()[at]).toBeCloseTo((by(1e-2) - by(-1e-2)) / 2e-2, 2);
    }
  });
});
