/** What keeps the discriminator from wrecking a run: its warm-up, its norms, its regularisers. */
import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { float32, type HostTensors, int32 } from '../../src/base/tensor.js';
import { parseConfig } from '../../src/config/layers.js';
import type { Config } from '../../src/config/schema.js';
import type { Tensors } from '../../src/engine/device.js';
import { valueAndGradsOf } from '../../src/nn/gradients.js';
import { treeOf, under } from '../../src/nn/params.js';
import type { Augmentation } from '../../src/stage1-vqgan/adversary/augment.js';
import {
  discriminator,
  discriminatorSpecs,
  spectrum,
} from '../../src/stage1-vqgan/adversary/discriminator.js';
import { discriminatorLoss, gradientDirection, lecamLoss, r1Penalty } from '../../src/stage1-vqgan/losses.js';
import { networksOf } from '../../src/stage1-vqgan/model.js';
import { firstActingStep, startsOf } from '../../src/stage1-vqgan/starts.js';
import { expectClose } from '../support/close.js';
import { startOf, stepOf } from '../support/networks.js';
import { wave } from '../support/wave.js';
import { runStep, tensorsOf, tinyConfig } from './tiny.js';

const images = wave([2, 8, 8, 3], 0.7);
const configOf = (disc: object, stage1: object = {}): Config =>
  tinyConfig({
    ch: 4,
    z_channels: 3,
    attn_resolutions: [],
    disc: { weight: 0.5, ch: 4, layers: 1, ...disc },
    ...stage1,
  });
const inputsAt = (step: number): Tensors => ({
  images,
  lr: tf.scalar(2e-3),
  step: tf.scalar(step),
  updates: tf.scalar(step),
  disc_step: tf.scalar(step),
});
const judgeOf = (config: Config, params: Tensors) => (x: tf.Tensor) =>
  discriminator(treeOf(discriminatorSpecs(config.stage1.disc), params), x);

test('LeCam: by hand', () => {
  const loss = lecamLoss(tf.tensor1d([1, 3]), tf.tensor1d([-1, 0]), {
    real: tf.scalar(0.5),
    fake: tf.scalar(-0.5),
  });
  expectClose(loss, [(1.5 ** 2 + 3.5 ** 2) / 2 + (1.5 ** 2 + 0.5 ** 2) / 2]); // 7.25 + 1.25
});

describe('a step with LeCam', () => {
  const config = configOf({ lecam: 0.3 });
  const program = stepOf(config, undefined, { adversarial: true });
  const state: Tensors = {
    ...tensorsOf(startOf(config)),
    'disc_lecam.real': tf.scalar(0.4),
    'disc_lecam.fake': tf.scalar(-0.2),
  };
  const { state: next, outputs } = runStep(program, state, inputsAt(1));
  const disc = under('disc', state);
  const plain = configOf({});
  const { outputs: usual } = runStep(stepOf(plain, undefined, { adversarial: true }), state, inputsAt(1));

  test('reports the loss without it', () => {
    expectClose(outputs.discriminator!, usual.discriminator!);
  });

  test('adds its gradient, with the means as they were, and moves them by a hundredth', () => {
    // The reconstruction: that of a step whose rate is 0, read from what the discriminator makes of it.
    const real = judgeOf(config, disc)(images);
    expectClose(next['disc_lecam.real']!, tf.add(0.99 * 0.4, tf.mul(0.01, tf.mean(real))));
    const fake = tf.div(tf.sub(next['disc_lecam.fake']!, 0.99 * -0.2), 0.01); // mean D(x̂)
    expectClose(tf.neg(fake), outputs.generator!, { atol: 1e-4, rtol: 1e-3 });
    const bias = 'disc_adam.m.conv_out.bias';
    const { state: without } = runStep(
      stepOf(plain, undefined, { adversarial: true }),
      Object.fromEntries(Object.entries(state).filter(([name]) => !name.startsWith('disc_lecam'))),
      inputsAt(1),
    );
    // The last bias is a summand of every logit: d/db of the term is 2·(mean D(x) − α_F) + 2·(mean D(x̂) − α_R).
    const slope = tf.mul(2, tf.add(tf.add(tf.mean(real), 0.2), tf.sub(fake, 0.4)));
    const difference = tf.mul(2, tf.sub(next[bias]!, without[bias]!)); // β₁ = 0.5
    expectClose(difference, tf.reshape(tf.mul(0.3, slope), [1]), { atol: 1e-4, rtol: 1e-3 });
  });

  test('the state returned has exactly the program’s names', () => {
    expect(Object.keys(next).sort()).toEqual(Object.keys(program.state).sort());
    expect(startOf(plain)).not.toHaveProperty(['disc_lecam.real']);
  });
});

test('with augmentation both losses are of what it was made to see', () => {
  const config = configOf({ norm: 'group', ch: 32, augment: ['translation', 'cutout'] });
  const { adversary } = networksOf(config);
  const { augmentation } = adversary!;
  const fed = tensorsOf(augmentation.feed(1, 2));
  const state = tensorsOf(startOf(config));
  const program = stepOf(config, undefined, { adversarial: true });
  const { outputs } = runStep(program, state, { ...inputsAt(1), ...fed });
  const plain = runStep(program, state, { ...inputsAt(1), ...tensorsOf(stillOf(augmentation)) });
  const judge = judgeOf(config, under('disc', state));
  const onReal = tf.mean(tf.relu(tf.sub(1, judge(augmentation.apply(images, fed)))));
  // hinge: twice the loss less what the real pictures bring is mean max(0, 1 + D(T x̂)); D is small at first, so that
  // it is 1 − the generator's loss.
  const onFake = tf.sub(tf.mul(2, outputs.discriminator!), onReal);
  expectClose(onFake, tf.sub(1, outputs.generator!), { atol: 1e-5, rtol: 1e-5 });
  expect(outputs.discriminator!.dataSync()[0]).not.toBe(plain.outputs.discriminator!.dataSync()[0]);
});

/** Fed so that nothing moves and nothing is covered. */
const stillOf = (augmentation: Augmentation): HostTensors =>
  Object.fromEntries(
    Object.entries(augmentation.feed(1, 2)).map(([name, { shape, dtype, data }]) => [
      name,
      dtype === 'int32'
        ? int32(
            shape,
            Int32Array.from(data, (_, i) => i % (shape[1] ?? 1)),
          )
        : float32(shape, new Float32Array(data.length).fill(1)),
    ]),
  );

describe('R1', () => {
  const config = configOf({ norm: 'group', r1: 10, ch: 8 });
  const disc = under('disc', tensorsOf(startOf(config)));

  const exact = (at: Tensors): tf.Tensor => {
    const { grads } = valueAndGradsOf({ x: images }, ({ x }) =>
      tf.sum(tf.mean(judgeOf(config, at)(x), [1, 2, 3])),
    );
    return tf.mean(tf.sum(tf.square(grads.x), [1, 2, 3]));
  };
  const direction = gradientDirection(judgeOf(config, disc), images);
  const { value, grads } = valueAndGradsOf(disc, (p) => r1Penalty(judgeOf(config, p), direction, images));

  test('is the squared length of the gradient', () => {
    expect(value.dataSync()[0]).toBeGreaterThan(1e-4);
    expectClose(value, exact(disc), { atol: 0, rtol: 0.002 });
  });

  test.each(['conv_in.weight', 'layers.0.conv.weight', 'layers.0.norm.gamma', 'conv_out.weight'])(
    'has the derivative of that length by %s',
    (name) => {
      const along = tf.mul(grads[name]!, tf.div(1, tf.norm(grads[name]!)));
      const h = 2e-4; // Short, as is the penalty's own step: the length jumps where a leaky ReLU switches.
      const at = (t: number) =>
        exact({ ...disc, [name]: tf.add(disc[name]!, tf.mul(along, t)) }).dataSync()[0]!;
      const numeric = (at(h) - at(-h)) / (2 * h);
      expectClose(tf.norm(grads[name]!), [numeric], { atol: 0, rtol: 0.01 });
    },
  );

  test('a step has it, γ/2 times', () => {
    const gradientOf = (r1: number) => {
      const of = configOf({ norm: 'group', r1, ch: 8 });
      const step = runStep(stepOf(of, undefined, { adversarial: true }), tensorsOf(startOf(of)), inputsAt(1));
      return tf.mul(2, step.state['disc_adam.m.conv_out.weight']!);
    };
    const wanted = tf.mul(grads['conv_out.weight']!, 5);
    expectClose(tf.sub(gradientOf(10), gradientOf(0)), wanted, { atol: 1e-4, rtol: 1e-2 });
  });
});

describe('norms', () => {
  const alone = (norm: string) => {
    const config = configOf({ norm });
    const judge = judgeOf(config, under('disc', tensorsOf(startOf(config))));
    const first = tf.slice(images, [0, 0, 0, 0], [1, 8, 8, 3]);
    const both = judge(images);
    return [judge(first), tf.slice(both, [0, 0, 0, 0], [1, ...both.shape.slice(1)])] as const;
  };

  test('with group an image is judged alike alone and in a batch', () => {
    const [one, ofTwo] = alone('group');
    expectClose(one, ofTwo, { atol: 1e-5 });
  });

  test('with batch it is not: the published one', () => {
    const [one, ofTwo] = alone('batch');
    expect(tf.max(tf.abs(tf.sub(one, ofTwo))).dataSync()[0]).toBeGreaterThan(1e-3);
  });

  test('channels that 32 groups do not divide are refused', () => {
    expect(() => parseConfig({ stage1: { disc: { ch: 24, norm: 'group' } } }, 'here')).toThrow(
      'Expected layers of at most 32 channels or a multiple of 32 for stage1.disc.ch but received 24, which leads to 48 channels.',
    );
    expect(() => parseConfig({ stage1: { disc: { ch: 24 } } }, 'here')).not.toThrow();
  });
});

describe('spectral normalisation', () => {
  const config = configOf({ norm: 'spectral', layers: 1 }, { optimizer: 'adamw', weight_decay: 0.1 });
  const program = stepOf(config, undefined, { adversarial: true });
  const state = tensorsOf(startOf(config));
  const spectral = spectrum(discriminatorSpecs(config.stage1.disc), 'spectral');
  const disc = under('disc', state);
  const directions = spectral.directions(disc, under('disc_u', state));

  test('divides every filter, and every layer has a bias', () => {
    expect(Object.keys(disc)).toEqual(
      ['conv_in', 'layers.0.conv', 'conv_out'].flatMap((layer) => [`${layer}.weight`, `${layer}.bias`]),
    );
    const normalised = spectral.normalised(disc, directions);
    for (const name of Object.keys(disc)) {
      const change = tf.max(tf.abs(tf.sub(normalised[name]!, disc[name]!))).dataSync()[0]!;
      expect([name, change > 1e-3]).toEqual([name, name.endsWith('.weight')]);
    }
  });

  test('the vectors start from the seed, move by one iteration a step, and are no weights', () => {
    expect(Object.keys(under('disc_u', state))).toEqual(Object.keys(directions));
    const { state: next, outputs } = runStep(program, state, inputsAt(1));
    expect(Object.keys(next).sort()).toEqual(Object.keys(program.state).sort());
    for (const [name, { u }] of Object.entries(directions)) expectClose(next[`disc_u.${name}`]!, u);
    const judge = (x: tf.Tensor) =>
      discriminator(treeOf(discriminatorSpecs(config.stage1.disc), spectral.normalised(disc, directions)), x);
    expect(judge(images).shape).toEqual([2, 2, 2, 1]);
    const { state: still, outputs: same } = runStep(program, state, { ...inputsAt(1), lr: tf.scalar(0) });
    expectClose(still['disc.conv_in.weight']!, disc['conv_in.weight']!, { atol: 0, rtol: 0 });
    expectClose(same.generator!, outputs.generator!);
    const another = startOf({ ...config, seed: 1 })['disc_u.conv_in.weight']!.data;
    expect(another).not.toEqual(startOf(config)['disc_u.conv_in.weight']!.data);
    expect(Object.keys(startOf(configOf({}))).filter((name) => name.startsWith('disc_u'))).toEqual([]);
  });

  test('an image is judged alike alone and in a batch', () => {
    const judge = (x: tf.Tensor) =>
      discriminator(treeOf(discriminatorSpecs(config.stage1.disc), spectral.normalised(disc, directions)), x);
    const one = judge(tf.slice(images, [0, 0, 0, 0], [1, 8, 8, 3]));
    expectClose(one, tf.slice(judge(images), [0, 0, 0, 0], [1, 2, 2, 1]), { atol: 1e-5 });
  });
});

describe('warm-up', () => {
  const config = configOf({ warmup: 3, start: 5 });
  const program = stepOf(config, undefined, { adversarial: true });
  const state = tensorsOf(startOf(config));

  test('the discriminator learns and the generator does not hear of it', () => {
    const { state: next, outputs } = runStep(program, state, inputsAt(3));
    const { state: ae } = runStep(stepOf(config, undefined, { adversarial: false }), state, inputsAt(3));
    expectClose(outputs.adaptive_weight!, [0], { atol: 0 });
    expect(outputs.discriminator!.dataSync()[0]).toBeGreaterThan(0);
    expect(tf.norm(next['disc_adam.m.conv_in.weight']!).dataSync()[0]).toBeGreaterThan(0);
    for (const name of Object.keys(ae)) expectClose(next[name]!, ae[name]!, { atol: 1e-7 });
  });

  test('then it acts, in validation too', () => {
    const { outputs } = runStep(program, state, inputsAt(4));
    expect(outputs.adaptive_weight!.dataSync()[0]).toBeGreaterThan(0);
    expect(firstActingStep(startsOf(config), config.stage1.disc)).toBe(8);
  });
});

test('the discriminator’s loss is as before where nothing regularises it', () => {
  expectClose(discriminatorLoss('hinge', tf.tensor1d([0.5, 2]), tf.tensor1d([-2, 1])), [0.5 * (0.25 + 1)]);
});
