import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../src/base/tensor.js';
import { valueAndGradsOf } from '../../src/nn/gradients.js';
import { lpipsVgg16, randomFeatures, vgg16Shapes } from '../../src/perceptual/distances.js';
import {
  adaptiveWeight,
  discriminatorLoss,
  generatorLoss,
  pixelLoss,
} from '../../src/stage1-vqgan/losses.js';
import { expectClose } from '../support/close.js';
import { preferring } from '../support/parts.js';
import { wave } from '../support/wave.js';
import { tensorsOf } from './tiny.js';

const real = tf.tensor1d([2, 0.5]);
const fake = tf.tensor1d([-3, 0.25]);

test('pixel losses are means over all values', () => {
  const [x, y] = [tf.tensor1d([1, 2, 3, 4]), tf.tensor1d([1, 0, 3, 5])];
  expectClose(pixelLoss('l1', x, y), [3 / 4]);
  expectClose(pixelLoss('l2', x, y), [5 / 4]);
});

test('hinge: ½ (mean [0, 0.5] + mean [0, 1.25])', () => {
  expectClose(discriminatorLoss('hinge', real, fake), [0.4375]);
});

test('vanilla: ½ (mean log(1 + e⁻ʳ) + mean log(1 + eᶠ))', () => {
  const wanted =
    (Math.log1p(Math.exp(-2)) +
      Math.log1p(Math.exp(-0.5)) +
      Math.log1p(Math.exp(-3)) +
      Math.log1p(Math.exp(0.25))) /
    4;
  expectClose(discriminatorLoss('vanilla', real, fake), [wanted]);
});

test('the generator wants high logits', () => {
  expectClose(generatorLoss(fake), [2.75 / 2]);
});

test('λ: weight · min(‖a‖ / (‖b‖ + 10⁻⁴), cap)', () => {
  const disc = { weight: 0.8, weight_cap: 3 } as Parameters<typeof adaptiveWeight>[2];
  expectClose(adaptiveWeight(tf.tensor1d([3, 4]), tf.tensor1d([0, 2]), disc), [(0.8 * 5) / 2.0001]);
  expectClose(adaptiveWeight(tf.tensor1d([3, 4]), tf.tensor1d([0, 0]), disc), [2.4]);
});

describe('perceptual distance', () => {
  const [x, y] = [wave([2, 4, 4, 3], 0.7), wave([2, 4, 4, 3], 0.9)];
  const one = (t: tf.Tensor, i: number) => tf.slice(t, i, 1);

  test('two taps of VGG16 with waves for weights: value and gradient are PyTorch’s', () => {
    const weights: HostTensors = {};
    let i = 0;
    for (const [name, shape] of Object.entries(vgg16Shapes(2))) {
      const t = name.startsWith('lin')
        ? tf.abs(wave(shape, 0.5 + 0.1 * Number(name[3])))
        : name.endsWith('bias')
          ? wave(shape, 0.2, 0.1)
          : wave(shape, 0.31 + 0.01 * i++, 2 * Math.sqrt(2 / (9 * shape[1]!)));
      weights[name] = { dtype: 'float32', shape, data: t.dataSync() as Float32Array };
    }
    const net = lpipsVgg16(weights, 2);
    const { value, grads } = valueAndGradsOf({ x: one(x, 0) }, (p) =>
      net.distance(tensorsOf(net.constants), p.x, one(y, 0)),
    );
    expectClose(value, [0.071219], { rtol: 1e-4 });
    const first = tf.slice(tf.reshape(grads.x, [-1]), 0, 6);
    const wanted = [0.00249764, 0.00642633, -0.01455481, -0.01702415, 0.022084, -0.02395494];
    expectClose(first, wanted, { atol: 1e-6, rtol: 1e-3 });
  });

  test('the full VGG16 has 13 convolutions and 5 weightings, 14.7 M values', () => {
    const shapes = Object.values(vgg16Shapes());
    expect(shapes).toHaveLength(2 * 13 + 5);
    // torchvision's vgg16().features holds 14,714,688 values
    expect(shapes.reduce((sum, s) => sum + s.reduce((p, n) => p * n, 1), 0)).toBe(
      14_714_688 + 64 + 128 + 256 + 512 + 512,
    );
  });

  test('random features: orthogonal filters of length √2, the same in every run', () => {
    const { constants } = randomFeatures(4);
    expect(Object.keys(constants)).toHaveLength(3);
    for (const { shape, data } of Object.values(constants)) {
      const columns = tf.tensor2d(data, [9 * shape[2]!, shape[3]!]);
      expectClose(tf.matMul(columns, columns, true, false), tf.mul(2, tf.eye(shape[3]!)), { atol: 1e-5 });
    }
    expect(randomFeatures(4).constants).toEqual(constants);
  });

  test('random features: 0 for equal images, the mean over the batch otherwise, a finite gradient on black', () => {
    const net = randomFeatures(4);
    const constants = tensorsOf(net.constants);
    expectClose(net.distance(constants, x, x), [0]);
    const apart = [0, 1].map((i) => net.distance(constants, one(x, i), one(y, i)));
    expectClose(net.distance(constants, x, y), tf.mean(tf.stack(apart)));
    expectClose(
      preferring(1, () => net.distance(constants, x, y)),
      tf.mean(tf.stack(apart)),
    );
    expect(apart[0]!.dataSync()[0]).toBeGreaterThan(0.1);
    const black = valueAndGradsOf({ x: tf.zerosLike(x) }, (p) => net.distance(constants, p.x, y));
    expectClose(tf.sum(black.grads.x), tf.sum(black.grads.x)); // finite
  });
});
