import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import type { Config } from '../../src/config/schema.js';
import type { Tensors } from '../../src/engine/device.js';
import { valueAndGradsOf } from '../../src/nn/gradients.js';
import { treeOf, under } from '../../src/nn/params.js';
import type { Perceptual } from '../../src/perceptual/distances.js';
import { discriminator, discriminatorSpecs } from '../../src/stage1-vqgan/adversary/discriminator.js';
import { decoded } from '../../src/stage1-vqgan/autoencoder/index.js';
import { nearestCode } from '../../src/stage1-vqgan/bottlenecks/nearest.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import { expectClose } from '../support/close.js';
import { startOf, stepOf } from '../support/networks.js';
import { wave } from '../support/wave.js';
import { runStep, tensorsOf, tinyConfig } from './tiny.js';

const images = wave([2, 8, 8, 3], 0.7);
const small = (stage1: object = {}) => tinyConfig({ ch: 4, z_channels: 3, attn_resolutions: [], ...stage1 });

/** Stands in for the perceptual networks, which take their time on this backend. */
const net: Perceptual = {
  constants: { 'perceptual.mix': { dtype: 'float32', shape: [3], data: Float32Array.of(1, -2, 0.5) } },
  distance: (c, x, y) => tf.mean(tf.square(tf.sum(tf.mul(tf.sub(x, y), c['perceptual.mix']!), -1))),
};
const gan = {
  disc: { weight: 0.5, weight_cap: 3, ch: 4, layers: 1 },
  perceptual: { kind: 'random-features' },
};

function inputsAt(step: number, more: Tensors = {}): Tensors {
  const now = tf.scalar(step);
  return { images, lr: tf.scalar(2e-3), step: now, updates: now, disc_step: now, ...more };
}

const encoded = (config: Config, model: Tensors) =>
  modelOf(config).net.encode(under('encoder', model), images);

/** The whole generator objective on one tape, λ given as a number. */
function objective(config: Config, flat: Tensors, disc: Tensors, lambda: number) {
  const z = encoded(config, flat);
  const { output, loss } = nearestCode(config.stage1).pass({ codebook: flat['bottleneck.codebook']! }, z);
  const reconstruction = decoded(modelOf(config).net, under('decoder', flat), output);
  const error = tf.add(
    tf.mean(tf.abs(tf.sub(images, reconstruction))),
    tf.mul(config.stage1.perceptual.weight, net.distance(tensorsOf(net.constants), images, reconstruction)),
  );
  const adversarial = tf.neg(
    tf.mean(discriminator(treeOf(discriminatorSpecs(config.stage1.disc), disc), reconstruction)),
  );
  return {
    error,
    adversarial,
    reconstruction,
    total: tf.add(tf.add(error, loss), tf.mul(lambda, adversarial)),
  };
}

describe.each([3, 1e4])('a full step, weight cap %d, against one tape', (weight_cap) => {
  const config = small({ ...gan, disc: { ...gan.disc, weight_cap } });
  const state = tensorsOf(startOf(config));
  const [model, disc] = [under('model', state), under('disc', state)];
  const program = stepOf(config, net, { adversarial: true });
  const { state: next, outputs } = runStep(program, state, inputsAt(1));

  /** λ by differentiating both terms from the whole network down to the last filter. */
  const filter = 'decoder.conv_out.weight';
  const slope = (which: 'error' | 'adversarial') => {
    const { grads } = valueAndGradsOf({ w: model[filter]! }, ({ w }) => {
      return objective(config, { ...model, [filter]: w }, disc, 0)[which];
    });
    return tf.norm(grads.w).dataSync()[0]!;
  };
  const lambda = 0.5 * Math.min(slope('error') / (slope('adversarial') + 1e-4), weight_cap);

  test('the state returned has exactly the program’s names and shapes', () => {
    const shapes = (t: Record<string, { shape: readonly number[] }>) =>
      Object.fromEntries(Object.entries(t).map(([name, { shape }]) => [name, [...shape]]));
    expect(shapes(next)).toEqual(shapes(program.state));
  });

  test('λ and the objective', () => {
    expectClose(outputs.adaptive_weight!, [lambda], { rtol: 1e-4 });
    if (weight_cap === 3) expect(lambda).toBe(1.5);
    else expect(lambda).toBeGreaterThan(1.5);
    expectClose(outputs.loss!, objective(config, model, disc, lambda).total, { rtol: 1e-4 });
  });

  test('the generator’s gradients: twice the first moments, as β₁ = 0.5', () => {
    const { grads } = valueAndGradsOf(model, (p) => objective(config, p, disc, lambda).total);
    for (const [name, grad] of Object.entries(grads)) {
      expectClose(next[`adam.m.${name}`]!, tf.mul(0.5, grad), { atol: 2e-6, rtol: 1e-3 });
    }
  });

  test('the discriminator’s gradients: hinge on the same reconstruction, as a constant', () => {
    const { reconstruction } = objective(config, model, disc, 0);
    const { value, grads } = valueAndGradsOf(disc, (p) => {
      const tree = treeOf(discriminatorSpecs(config.stage1.disc), p);
      const real = tf.mean(tf.relu(tf.sub(1, discriminator(tree, images))));
      const fake = tf.mean(tf.relu(tf.add(1, discriminator(tree, reconstruction))));
      return tf.div(tf.add(real, fake), 2);
    });
    expectClose(outputs.discriminator!, value, { rtol: 1e-4 });
    for (const [name, grad] of Object.entries(grads)) {
      expectClose(next[`disc_adam.m.${name}`]!, tf.mul(0.5, grad), { atol: 1e-6, rtol: 1e-3 });
    }
  });
});

test('the loss falls over 8 steps on one batch, with every term on', () => {
  const config = small({
    ...gan,
    clip: 1,
    ema: 0.9,
    codebook: { init: 'data', warmup: 0, restart_after: 5 },
  });
  const program = stepOf(config, net, { adversarial: true });
  let state = tensorsOf(startOf(config));
  const pick = tf.tensor1d([3, 30, 8, 1, 20, 11, 16], 'int32');
  const losses: number[] = [];
  for (let step = 1; step <= 8; step++) {
    const result = tf.tidy(
      () => runStep(program, state, inputsAt(step, { pick })) as unknown as tf.TensorContainer,
    );
    const { state: next, outputs } = result as unknown as { state: Tensors; outputs: Tensors };
    state = next;
    const [l1, perceptual] = [outputs.l1!, outputs.perceptual!].map((t) => t.dataSync()[0]!);
    losses.push(l1! + perceptual!);
  }
  expect(losses.at(-1)!).toBeLessThan(0.85 * losses[0]!);
});

test('clipping bounds the common norm of the generator’s gradients', () => {
  const config = small({ clip: 0.01 });
  const state = tensorsOf(startOf(config));
  const { state: next } = runStep(stepOf(config, undefined, { adversarial: false }), state, inputsAt(1));
  const moments = Object.entries(next).filter(([name]) => name.startsWith('adam.m.'));
  const squares = moments.map(([, m]) => tf.sum(tf.square(tf.mul(2, m))));
  expectClose(tf.sqrt(tf.addN(squares)), [0.01], { rtol: 1e-3 });
});

test('the average follows by min(decay, (1 + t)/(10 + t))', () => {
  const config = small({ ema: 0.9 });
  const state = tensorsOf(startOf(config));
  const { state: next } = runStep(stepOf(config, undefined, { adversarial: false }), state, inputsAt(1));
  const name = 'decoder.conv_out.weight';
  const wanted = tf.add(tf.mul(state[`model.${name}`]!, 2 / 11), tf.mul(next[`model.${name}`]!, 9 / 11));
  expectClose(next[`ema.${name}`]!, wanted);
});

test('without care, average and discriminator the program knows only model and moments', () => {
  const program = stepOf(small(), undefined, { adversarial: false });
  const roots = new Set(Object.keys(program.state).map((name) => name.split('.')[0]));
  expect([...roots]).toEqual(['model', 'adam']);
  expect(Object.keys(program.inputs)).toEqual(['images', 'lr', 'step', 'updates']);
});

describe('care for the codebook', () => {
  const book = 'model.bottleneck.codebook';
  const pick = tf.tensor1d([3, 30, 8, 1, 20, 11, 16], 'int32');
  const care = (codebook: object) => {
    const config = small({ codebook, ema: 0.9, steps: 100 });
    const state = tensorsOf(startOf(config));
    const z = tf.reshape(encoded(config, under('model', state)), [-1, 5]);
    return {
      program: stepOf(config, undefined, { adversarial: false }),
      state,
      rows: tf.gather(z, pick),
    };
  };
  const still = { lr: tf.scalar(0) };

  test('warm-up: nothing is quantised, no loss of the codebook, no idle time', () => {
    const { program, state } = care({ init: 'data', warmup: 2, restart_after: 1 });
    const { state: next, outputs } = runStep(program, state, inputsAt(2, { pick, ...still }));
    expectClose(outputs.codebook!, [0]);
    expectClose(outputs.commitment!, [0]);
    expectClose(next[book]!, state[book]!, { atol: 0, rtol: 0 });
    expectClose(next.codebook_idle!, [0, 0, 0, 0, 0, 0, 0]);
  });

  test('the step after it starts the codes from the picked encoder outputs and quantises with them', () => {
    const { program, state, rows } = care({ init: 'data', warmup: 2, restart_after: 0 });
    const { state: next, outputs } = runStep(program, state, inputsAt(3, { pick, ...still }));
    expectClose(next[book]!, rows, { atol: 0, rtol: 0 });
    expectClose(next['ema.bottleneck.codebook']!, rows, { atol: 0, rtol: 0 });
    expectClose(next['adam.m.bottleneck.codebook']!, tf.zeros([7, 5]), { atol: 0 });
    const codes = outputs.codes!.dataSync();
    Array.from(pick.dataSync()).forEach((row, code) => {
      expect(codes[row]).toBe(code);
    });
    expect(next).not.toHaveProperty('codebook_idle');
    const after = runStep(program, next, inputsAt(4, { pick: tf.zerosLike(pick), ...still })).state;
    expectClose(after[book]!, rows, { atol: 0, rtol: 0 });
  });

  test('the warm-up takes at most a tenth of the run', () => {
    const { program, state, rows } = care({ init: 'data', warmup: 50, restart_after: 0 });
    expectClose(runStep(program, state, inputsAt(11, { pick, ...still })).state[book]!, rows, {
      atol: 0,
      rtol: 0,
    });
  });

  test('a code unused for restart_after steps becomes its pick, average and moments start anew', () => {
    const { program, state, rows } = care({ init: 'uniform', restart_after: 3 });
    const far = tf.concat([tf.fill([2, 5], 100), tf.slice(rows, [2, 0], [5, 5])]); // codes 0 and 1 are out of reach
    let now: Tensors = { ...state, [book]: far };
    for (const name of ['adam.m', 'adam.v']) now[`${name}.bottleneck.codebook`] = tf.ones([7, 5]);
    for (let step = 1; step <= 2; step++)
      now = runStep(program, now, inputsAt(step, { pick, ...still })).state;
    expectClose(now.codebook_idle!, [2, 2, 0, 0, 0, 0, 0]);
    expectClose(now[book]!, far, { atol: 0, rtol: 0 });
    now = runStep(program, now, inputsAt(3, { pick, ...still })).state;
    expectClose(now.codebook_idle!, [0, 0, 0, 0, 0, 0, 0]);
    expectClose(now[book]!, rows, { atol: 0, rtol: 0 });
    const firstTwo = (name: string) => tf.slice(now[`${name}.bottleneck.codebook`]!, [0, 0], [2, 5]);
    expectClose(firstTwo('ema'), tf.slice(rows, [0, 0], [2, 5]), { atol: 0, rtol: 0 });
    expectClose(firstTwo('adam.m'), tf.zeros([2, 5]), { atol: 0 });
    expectClose(firstTwo('adam.v'), tf.zeros([2, 5]), { atol: 0 });
    expect(now['adam.v.bottleneck.codebook']!.dataSync()[10]).toBeGreaterThan(0);
  });
});

describe('codes that are averages', () => {
  const name = 'model.bottleneck.codebook';
  const pick = tf.tensor1d([3, 30, 8, 1, 20, 11, 16], 'int32');
  const ema = (codebook: object) => {
    const config = small({ bottleneck: { kind: 'ema', decay: 0.9 }, codebook, steps: 100 });
    return { config, program: stepOf(config, undefined, { adversarial: false }) };
  };

  test('the optimiser knows nothing of them: they follow what chose them, whatever the rate', () => {
    const { config, program } = ema({ init: 'uniform', restart_after: 0 });
    expect(Object.keys(program.state).filter((key) => key.includes('codebook'))).toEqual([
      name,
      'codebook_counts',
    ]);
    const state = tensorsOf(startOf(config));
    expectClose(state.codebook_counts!, tf.ones([7]));
    const z = encoded(config, under('model', state));
    const { state: next, outputs } = runStep(program, state, inputsAt(1));
    expect(outputs).not.toHaveProperty('codebook');
    const rows = tf.reshape(z, [-1, 5]).arraySync() as number[][];
    const chosen = Array.from(outputs.codes!.dataSync());
    const uses = [0, 1, 2, 3, 4, 5, 6].map((k) => chosen.filter((code) => code === k).length);
    expectClose(
      next.codebook_counts!,
      uses.map((n) => 0.9 + 0.1 * n),
    );
    const before = state[name]!.arraySync() as number[][];
    const wanted = before.map((code, k) =>
      code.map((x, d) => {
        const sum = rows.reduce((total, row, n) => total + (chosen[n] === k ? row[d]! : 0), 0);
        return (0.9 * x + 0.1 * sum) / (0.9 + 0.1 * uses[k]!);
      }),
    );
    expectClose(next[name]!, tf.tensor2d(wanted), { atol: 1e-4 });
  });

  test('they wait through the warm-up, and one that restarts counts anew', () => {
    const { config, program } = ema({ init: 'data', warmup: 2, restart_after: 1 });
    const state = tensorsOf(startOf(config));
    const waiting = runStep(program, state, inputsAt(2, { pick })).state;
    expectClose(waiting[name]!, state[name]!, { atol: 0, rtol: 0 });
    expectClose(waiting.codebook_counts!, tf.ones([7]), { atol: 0 });
    const started = runStep(program, waiting, inputsAt(3, { pick })).state;
    expectClose(started.codebook_counts!, tf.ones([7]), { atol: 0 });
    const far = { ...started, [name]: tf.concat([tf.fill([1, 5], 100), tf.slice(started[name]!, [1, 0])]) };
    const z = encoded(config, under('model', far));
    const after = runStep(program, far, inputsAt(4, { pick })).state;
    expectClose(tf.slice(after[name]!, [0, 0], [1, 5]), tf.gather(tf.reshape(z, [-1, 5]), [3]), {
      atol: 1e-6,
    });
    expect(after.codebook_counts!.dataSync()[0]).toBe(1);
    expect(Math.max(...after.codebook_counts!.dataSync())).toBeGreaterThan(1);
  });
});

test.each([{ kind: 'fsq', levels: [3, 4] }, { kind: 'lfq' }])(
  '$kind: neither codebook nor care for one, at any cadence',
  (bottleneck) => {
    const config = small({
      bottleneck,
      codes: bottleneck.kind === 'fsq' ? 12 : 16,
      codebook: { init: 'data', warmup: 5, restart_after: 3 },
    });
    const program = stepOf(config, undefined, { adversarial: false });
    expect(Object.keys(program.state).filter((key) => /codebook|bottleneck/.test(key))).toEqual([]);
    expect(program.inputs).not.toHaveProperty('pick');
    expect(
      Math.max(...runStep(program, tensorsOf(startOf(config)), inputsAt(1)).outputs.codes!.dataSync()),
    ).toBeGreaterThan(0);
  },
);
