/** An optimiser step of stage 1 in micro-batches against the same step at once, on ONNX Runtime. */
import { stream } from '../../src/base/rng.js';
import type { HostTensors } from '../../src/base/tensor.js';
import { parseConfig } from '../../src/config/layers.js';
import type { Config } from '../../src/config/schema.js';
import type { ImageSet } from '../../src/data/dataset.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { expectedMemory } from '../../src/stage1-vqgan/memory.js';
import { networksOf } from '../../src/stage1-vqgan/model.js';
import { stage1Runner } from '../../src/stage1-vqgan/runner.js';
import { firstAdversarialStep, startsOf } from '../../src/stage1-vqgan/starts.js';
import { stepInputs } from '../../src/stage1-vqgan/step-inputs.js';
import { expectSameUpTo } from '../support/close.js';
import { startOf, stepOf } from '../support/networks.js';

const device = onnxDevice({ threads: 1 });

/** Batches of 4; codes that start at step 2 and restart at step 4, for there are almost as many as encoder outputs. */
const config = (accumulate: number, stage1: object = {}): Config =>
  parseConfig(
    {
      data: { size: 8, flip: true },
      stage1: {
        ...{ ch: 4, ch_mult: [1, 1], attn_resolutions: [], z_channels: 6, embed_dim: 4, codes: 40 },
        codebook: { init: 'data', warmup: 1, restart_after: 2 },
        perceptual: { kind: 'none' },
        disc: { ch: 4, layers: 1, weight: 0 },
        ...{ batch_size: 4, accumulate, steps: 20, lr: 1e-3, warmup: 0 },
        ...{ optimizer: 'adamw', weight_decay: 0.01, clip: 0.5, ema: 0.99 },
        ...stage1,
      },
    },
    'test',
  );

/** Six noisy pictures of 10 × 10. */
const images: ImageSet = {
  count: 6,
  names: Array.from('abcdef'),
  labels: new Int32Array(6),
  read: async (index: number) => {
    const rng = stream('picture', index);
    return { width: 10, height: 10, data: Uint8Array.from({ length: 300 }, () => rng.below(256)) };
  },
};

const inputsAt = (of: Config, step: number) =>
  stepInputs(networksOf(of), of, images, { step, starts: startsOf(of) });

const prepared = (of: Config) =>
  stage1Runner(networksOf(of), undefined, of.stage1, device, {
    adversarial: firstAdversarialStep(startsOf(of)) === 1,
    onSwitch: () => {},
  });

/** The state and the outputs of every entry after each of the first steps. */
async function afterSteps(of: Config, steps: number) {
  const runner = await prepared(of);
  runner.load(startOf(of));
  const all: { state: HostTensors; outputs: HostTensors[] }[] = [];
  for (let step = 1; step <= steps; step++) {
    const outputs = await runner.run(await inputsAt(of, step));
    all.push({ state: await runner.read(), outputs });
  }
  await runner.dispose();
  return all;
}

const steps = 4;
const codebook = 'model.bottleneck.codebook';
const atOnce = await afterSteps(config(1), steps);

test('among the steps compared are the start of the codes and a restart', () => {
  const book = (step: number) => atOnce[step - 1]!.state[codebook]!;
  expect(book(1)).toEqual(startOf(config(1))[codebook]);
  expect(book(2)).not.toEqual(book(1));
  const idle = (step: number) => atOnce[step - 1]!.state.codebook_idle!.data;
  const chosen = new Set(atOnce[3]!.outputs[0]!.codes!.data);
  const restarted = Array.from(idle(4).keys()).filter(
    (code) => idle(3)[code] === 1 && idle(4)[code] === 0 && !chosen.has(code),
  );
  expect(restarted).not.toEqual([]);
});

test('micro-batches: all parameters, moments and averages as at once', async () => {
  const n = 4;
  const inParts = await afterSteps(config(n), steps);
  for (const [i, { state, outputs }] of inParts.entries()) {
    expectSameUpTo(1e-3, state, atOnce[i]!.state);
    expect(outputs).toHaveLength(i === 1 ? 2 * n : n); // the codes' first step looks at its batch before
    const codes = outputs.slice(-n).flatMap(({ codes }) => Array.from(codes!.data));
    expect(codes).toEqual(Array.from(atOnce[i]!.outputs[0]!.codes!.data));
  }
});

test('without clipping moments are those of the mean; codes that start uniform and never restart need no candidates', async () => {
  const plain = { codebook: { init: 'uniform', warmup: 0, restart_after: 0 }, ema: 0, clip: 0 };
  const [one, two] = [await afterSteps(config(1, plain), 3), await afterSteps(config(2, plain), 3)];
  expectSameUpTo(1e-3, two[2]!.state, one[2]!.state);
  const { state, inputs } = stepOf(config(2, plain), undefined, { adversarial: false });
  expect(Object.keys(state).filter((name) => name.startsWith('partial.codebook'))).toEqual([]);
  expect(Object.keys(inputs)).toEqual(['images', 'lr', 'step', 'updates', 'first', 'last']);
});

test.each([
  ['cosine', { bottleneck: { kind: 'cosine', gradient: 'rotation' } }],
  ['fsq', { bottleneck: { kind: 'fsq', levels: [5, 4] }, codes: 20 }],
])('the bottleneck %s: two micro-batches as at once', async (_, keys) => {
  const [one, two] = [await afterSteps(config(1, keys), steps), await afterSteps(config(2, keys), steps)];
  for (const [i, { state, outputs }] of two.entries()) {
    expectSameUpTo(1e-3, state, one[i]!.state);
    const codes = outputs.slice(-2).flatMap(({ codes }) => Array.from(codes!.data));
    expect(codes).toEqual(Array.from(one[i]!.outputs[0]!.codes!.data));
  }
});

const gan = { disc: { ch: 4, layers: 1, weight: 0.8, start: 2 } };

/** Each image by itself: no statistics of a batch. */
const byItself = { ...gan.disc, norm: 'spectral', lecam: 0.3, r1: 1 };

test.each([
  ['BatchNorm', gan],
  ['spectral norm, LeCam and R1', { disc: byItself }],
])(
  'with %s nothing moves, to the bit, before the last micro-batch; then everything does',
  async (_, keys) => {
    const of = config(2, keys);
    const runner = await prepared(of);
    runner.load(startOf(of));
    for (let step = 1; step <= 3; step++) await runner.run(await inputsAt(of, step));
    const before = await runner.read();
    const [first, last] = await inputsAt(of, 4);
    await runner.run([first!]);
    expect(await runner.read()).toEqual(before);
    const [outputs] = await runner.run([last!]);
    const after = await runner.read();
    await runner.dispose();
    const still = Object.keys(after).filter((name) =>
      after[name]!.data.every((x, i) => x === before[name]!.data[i]),
    );
    // Inside the hinge's margin real and fake pull that bias equally; a vector of one number is 1.
    expect(still.filter((name) => !/^disc.*\.conv_out\.bias$|^disc_u\.conv_out/.test(name))).toEqual([]);
    expect(outputs!.adaptive_weight!.data[0]).toBeGreaterThan(0);
  },
);

test('a discriminator that judges each image by itself, and what LeCam remembers, are as at once', async () => {
  const keys = {
    disc: { ...byItself, start: 1 },
    codebook: { init: 'uniform', warmup: 0, restart_after: 0 },
  };
  const [one, two] = await Promise.all(
    [1, 2].map(async (n) => (await afterSteps(config(n, keys), 1))[0]!.state),
  );
  const ofDisc = (state: HostTensors) =>
    Object.fromEntries(Object.entries(state).filter(([name]) => /^disc(_u|_lecam|_adam\.m)\./.test(name)));
  const names = Object.keys(ofDisc(two!));
  for (const name of ['disc_u.layers.0.conv.weight', 'disc_lecam.fake', 'disc_adam.m.conv_in.weight'])
    expect(names).toContain(name);
  expectSameUpTo(1e-3, ofDisc(two!), ofDisc(one!));
});

test('without micro-batches program and state know nothing of sums; with them checkpoints do not either', () => {
  const names = (n: number) => Object.keys(stepOf(config(n, gan), undefined, { adversarial: true }).state);
  expect(names(1).filter((name) => name.startsWith('partial.'))).toEqual([]);
  expect(names(2).filter((name) => !name.startsWith('partial.'))).toEqual(names(1));
  expect(Object.keys(startOf(config(2, gan)))).toEqual(Object.keys(startOf(config(1, gan))));
});

test('the expected memory falls by the activations that are not held at once', () => {
  const memoryOf = (of: Config) => expectedMemory(networksOf(of), of.stage1);
  const of = (n: number) => memoryOf(config(n, { batch_size: 64 }));
  expect(of(2) - of(4)).toBeGreaterThan(0);
  expect((of(2) - of(4)) / (of(4) - of(8))).toBeCloseTo(2);
  expect(of(2)).toBeLessThan(of(1));
});
