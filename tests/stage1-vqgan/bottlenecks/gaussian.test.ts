/** The VAE's bottleneck against hand-computed numbers, closed forms in plain arithmetic, and finite differences. */
import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { parseConfig } from '../../../src/config/layers.js';
import { valueAndGradsOf } from '../../../src/nn/gradients.js';
import { initialise } from '../../../src/nn/params.js';
import { bitsPerNumber, gaussian, klByUnit } from '../../../src/stage1-vqgan/bottlenecks/gaussian.js';
import { unbound } from '../../../src/stage1-vqgan/bottlenecks/none.js';
import type { Place } from '../../../src/stage1-vqgan/latent.js';
import { likelihoodLoss, pixelLoss } from '../../../src/stage1-vqgan/losses.js';
import { expectClose } from '../../support/close.js';
import { noise } from '../../support/parity.js';
import { wave } from '../../support/wave.js';
import { tensorsOf } from '../tiny.js';

const place: Place = { features: 4, side: 2, batch: 2, parts: 1, seed: 3, dims: 48 };
const configOf = (bottleneck: object, more: object = {}) =>
  parseConfig({ stage1: { embed_dim: 3, bottleneck: { kind: 'gaussian', ...bottleneck }, ...more } }, 'test')
    .stage1;
/** As seen from N(0, I), with a diagonal covariance. */
const kls = (away: tf.Tensor, logvar: tf.Tensor) => klByUnit({ away, variance: tf.exp(logvar), logvar });
const tensor = (shape: number[], key: string, scale = 1) => {
  const { data } = noise(shape, key, scale);
  return tf.tensor(data as Float32Array, shape);
};

describe('the KL', () => {
  test('by hand: N(0, 1) is 0 nats away, N(1, 1) a half, N(0, e²) ½(e² − 3)', () => {
    const away = tf.tensor2d([[0, 1, 0]]);
    const logvar = tf.tensor2d([[0, 0, 2]]);
    expectClose(kls(away, logvar), [0, 0.5, (Math.E ** 2 - 3) / 2]);
  });

  // numpy, float64: kl = 0.5 * ((mu - m0)**2 + exp(lv) - 1 - lv), summed over positions, mean over images
  test('numpy’s numbers: by unit, and from means of other Gaussians', () => {
    const mean = wave([2, 2, 2, 3], 0.7);
    const logvar = wave([2, 2, 2, 3], 1.3, 0.5);
    expectClose(kls(mean, logvar), [1.06149106, 1.00903602, 1.15163119]);
    const away = tf.sub(mean, wave([1, 2, 2, 3], 2.1, 0.3));
    expectClose(tf.sum(kls(away, logvar)), [3.450026383]);
  });

  test('its gradient: μ − μ₀ and ½(σ² − 1), over the images', () => {
    const at = { away: tensor([2, 3], 'a'), logvar: tensor([2, 3], 'b', 0.5) };
    const { grads } = valueAndGradsOf(at, ({ away, logvar }) => tf.sum(kls(away, logvar)));
    expectClose(grads.away, tf.div(at.away, 2));
    expectClose(grads.logvar, tf.mul(0.25, tf.sub(tf.exp(at.logvar), 1)));
  });
});

/** A posterior with means and log-variances of one's own: z of a grid is both, one behind the other. */
const grid = gaussian(configOf({}), place);
const zOf = (mean: tf.Tensor, logvar: tf.Tensor) => tf.concat([mean, logvar], 3);

describe('a pass', () => {
  const mean = tensor([2, 2, 2, 3], 'mean');
  const logvar = tensor([2, 2, 2, 3], 'logvar', 0.5);
  const epsilon = tensor([2, 2, 2, 3], 'epsilon');

  test('the decoder sees mean + σ·ε in training and the mean otherwise', () => {
    const { output, mode } = grid.pass({}, zOf(mean, logvar), { noise: epsilon });
    expectClose(output, tf.add(mean, tf.mul(tf.exp(tf.mul(0.5, logvar)), epsilon)));
    expectClose(mode!, mean);
    expectClose(grid.pass({}, zOf(mean, logvar), {}).output, mean);
    expectClose(grid.encode({}, zOf(mean, logvar))[0]!, mean);
  });

  test('the reparametrised gradient equals finite differences', () => {
    const weights = tensor([2, 2, 2, 3], 'weights');
    const value = (z: tf.Tensor) => {
      const passed = grid.pass({}, z, { noise: epsilon });
      return tf.add(tf.sum(tf.mul(tf.tanh(passed.output), weights)), tf.mul(20, passed.loss));
    };
    const z = zOf(mean, logvar);
    const { grads } = valueAndGradsOf({ z }, (p) => value(p.z));
    const at = (i: number, by: number) => {
      const moved = Float32Array.from(z.dataSync());
      moved[i]! += by;
      return value(tf.tensor(moved, z.shape)).dataSync()[0]!;
    };
    for (const i of [0, 4, 17, 30, 47]) {
      const slope = (at(i, 1e-2) - at(i, -1e-2)) / 2e-2;
      expect(grads.z.dataSync()[i]).toBeCloseTo(slope, 2);
    }
  });

  test('the loss is the KL a number of the image; weight and warm-up scale it, free bits floor each unit', () => {
    const kl = kls(mean, logvar);
    const loss = (o: object, step?: number) =>
      gaussian(configOf(o), place).pass({}, zOf(mean, logvar), {
        noise: epsilon,
        ...(step !== undefined && { step: tf.scalar(step) }),
      }).loss;
    const plain = tf.div(tf.sum(kl), 48);
    expectClose(loss({}), plain);
    expectClose(loss({ kl_weight: 3 }), tf.mul(3, plain));
    expectClose(loss({ kl_warmup: 10 }, 4), tf.mul(0.4, plain));
    expectClose(loss({ kl_warmup: 10 }, 40), plain);
    const floor = Array.from(kl.dataSync()).sort((a, b) => a - b)[1]! + 0.1;
    expectClose(loss({ free_bits: floor }), tf.div(tf.sum(tf.maximum(kl, floor)), 48));
  });

  test('log-variances beyond −30 and 20 count as these, and nothing is infinite', () => {
    const extreme = tf.fill([2, 2, 2, 3], 90);
    const { terms, output } = grid.pass({}, zOf(mean, extreme), { noise: epsilon });
    expectClose(output, tf.add(mean, tf.mul(Math.exp(10), epsilon)), { rtol: 1e-4 });
    expect(Number.isFinite(terms.kl!.dataSync()[0])).toBe(true);
  });

  test('a unit is active when its mean varies', () => {
    const still = tf.concat([tensor([2, 2, 2, 1], 'moves'), tf.fill([2, 2, 2, 2], 3)], 3);
    const { terms } = grid.pass({}, zOf(still, logvar), { noise: epsilon });
    expectClose(terms.active_units!, [1]);
  });
});

describe('class means', () => {
  const config = configOf({ class_means: true, classes: ['a', 'b'] });
  const bottleneck = gaussian(config, place);
  const p = { class_means: tensor([2, 2, 2, 3], 'means') };
  const labels = tf.tensor1d([1, 0], 'int32');

  test('the KL is that of two Gaussians with these means; the means get its gradient, the decoder does not see them', () => {
    const [mean, logvar] = [tensor([2, 2, 2, 3], 'mean'), tensor([2, 2, 2, 3], 'logvar', 0.5)];
    const of = (means: tf.Tensor) =>
      bottleneck.pass({ class_means: means }, zOf(mean, logvar), { noise: tf.zerosLike(mean), labels });
    const ofLabels = tf.gather(p.class_means, labels);
    expectClose(of(p.class_means).terms.kl!, tf.sum(kls(tf.sub(mean, ofLabels), logvar)));
    expectClose(of(p.class_means).output, mean);
    const { grads } = valueAndGradsOf(p, (q) => tf.mul(48, of(q.class_means).loss));
    const pull = tf.div(tf.sub(ofLabels, mean), 2);
    expectClose(grads.class_means, tf.stack([tf.unstack(pull)[1]!, tf.unstack(pull)[0]!]));
  });

  test('of vectors they begin where no codes of another class lie', () => {
    const o = { class_means: true, classes: ['a', 'b', 'c'], shape: 'vector', latent_dim: 64 };
    const { class_means } = tensorsOf(initialise(gaussian(configOf(o), place).learned, 1));
    const [a, b, c] = tf.unstack(class_means!) as [tf.Tensor, tf.Tensor, tf.Tensor];
    for (const [one, other] of [
      [a, b],
      [a, c],
      [b, c],
    ] as const)
      expect(tf.norm(tf.sub(one, other)).dataSync()[0]).toBeGreaterThan(16);
  });

  test('labels and noise are fed, by seed, phase and step', () => {
    const fed = bottleneck.feed('train', 5, Int32Array.of(1, 0)).batched!;
    expect(Array.from(fed.labels!.data)).toEqual([1, 0]);
    expect(fed.noise!.shape).toEqual([2, 2, 2, 3]);
    const again = bottleneck.feed('train', 5, Int32Array.of(1, 0)).batched!;
    expect(again.noise!.data).toEqual(fed.noise!.data);
    for (const other of [
      bottleneck.feed('train', 6, Int32Array.of(1, 0)),
      bottleneck.feed('eval', 5, Int32Array.of(1, 0)),
    ])
      expect(other.batched!.noise!.data).not.toEqual(fed.noise!.data);
  });
});

describe('one vector an image', () => {
  const shapes = { shape: 'vector', latent_dim: 5 };

  test.each([
    ['gaussian', gaussian(configOf(shapes), place)],
    ['none', unbound(configOf({ ...shapes, kind: 'none' }), place)],
  ])('%s: to numbers and back', (_, bottleneck) => {
    expect(bottleneck.latent).toMatchObject({ shape: [5] });
    const p = tensorsOf(initialise(bottleneck.learned, 1));
    const z = tensor([2, 2, 2, bottleneck.channels.in], 'z');
    const [latent] = bottleneck.encode(p, z);
    expect(latent!.shape).toEqual([2, 5]);
    const back = bottleneck.decode(p, [latent!]);
    expect(back.shape).toEqual([2, 2, 2, bottleneck.channels.out]);
    expectClose(bottleneck.pass(p, z, {}).output, back);
  });
});

describe('the bound', () => {
  test('by hand: an error of one grey level and no KL', () => {
    // ½·log₂(2πe) bits for a Gaussian as wide as a level
    expect(bitsPerNumber((2 / 255) ** 2, 0, 3072)).toBeCloseTo(2.0471, 4);
    expect(bitsPerNumber((2 / 255) ** 2, 3072 * Math.LN2, 3072)).toBeCloseTo(3.0471, 4);
    // numpy: the density of residuals of this size, times (2/255)^3072, and 100 nats
    expect(bitsPerNumber(0.01, 100, 3072)).toBeCloseTo(5.76648366, 6);
  });

  test('the likelihood’s loss is its nats a number, and its gradient that of the error over twice itself', () => {
    const x = tensor([2, 4, 4, 3], 'x', 0.5);
    const y = tensor([2, 4, 4, 3], 'y', 0.5);
    const squared = tf.mean(tf.square(tf.sub(x, y)));
    const wanted = tf.mul(0.5, tf.log(tf.mul(2 * Math.PI * Math.E, squared)));
    const error = (y: tf.Tensor) => pixelLoss('nll', x, y);
    expectClose(likelihoodLoss(error(y)), wanted, { atol: 1e-4 });
    const slope = (loss: (y: tf.Tensor) => tf.Tensor) => valueAndGradsOf({ y }, (p) => loss(p.y)).grads.y;
    const ofLikelihood = slope((y) => likelihoodLoss(error(y)));
    expectClose(ofLikelihood, tf.div(slope(error), tf.mul(2, squared)), { atol: 1e-5 });
  });
});
