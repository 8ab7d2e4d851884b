/** Codes on several grids: against plain loops, finite differences, and level by level. */
import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { stream } from '../../../src/base/rng.js';
import { type Config, configSchema } from '../../../src/config/schema.js';
import type { Tensors } from '../../../src/engine/device.js';
import { valueAndGradsOf } from '../../../src/nn/gradients.js';
import { initialise, under } from '../../../src/nn/params.js';
import { hierarchy } from '../../../src/stage1-vqgan/bottlenecks/hierarchy.js';
import { bottleneckOf } from '../../../src/stage1-vqgan/bottlenecks/index.js';
import type { Bottleneck } from '../../../src/stage1-vqgan/latent.js';
import { modelOf } from '../../../src/stage1-vqgan/model.js';
import { expectClose } from '../../support/close.js';
import { startOf, stepOf } from '../../support/networks.js';
import {
  beside,
  type Image,
  plainConv,
  plainDoubling,
  plus,
  quantised,
  relu,
} from '../../support/plain-layers.js';
import { wave } from '../../support/wave.js';
import { runStep, tensorsOf } from '../tiny.js';

type Levels = Config['stage1']['bottleneck']['levels'] | object[];

/** 16×16 pixels, a bottom grid of 4×4 below eight features. */
const configOf = (levels: Levels, stage1: object = {}): Config =>
  configSchema.parse({
    data: { size: 16 },
    stage1: {
      network: 'strided',
      ch: 4,
      ch_mult: [1, 2, 2],
      num_res_blocks: 1,
      codes: 5,
      embed_dim: 2,
      bottleneck: { kind: 'hierarchy', levels },
      codebook: { init: 'uniform', restart_after: 0 },
      disc: { weight: 0 },
      perceptual: { kind: 'none' },
      batch_size: 2,
      ema: 0,
      clip: 0,
      ...stage1,
    },
  });

const two = [{ kind: 'ema' }, { kind: 'nearest', codes: 7, embed_dim: 3 }];

/** Parameters as they start, the codebooks spread out. */
function parametersOf({ learned, own }: Bottleneck): Tensors {
  const p = tensorsOf(initialise({ ...learned, ...own }, 4));
  const books = Object.keys(p).filter((name) => name.endsWith('codebook'));
  return { ...p, ...Object.fromEntries(books.map((name, i) => [name, wave(p[name]!.shape, 0.9 + i)])) };
}

const z = wave([2, 4, 4, 8], 0.7, 4);

test('grids, channels and names are those of the levels, the top first', () => {
  const { latent, channels, terms } = bottleneckOf(configOf(two));
  expect(latent).toEqual({
    kind: 'codes',
    grids: [
      { name: 'top', height: 2, width: 2, vocab: 5 },
      { name: 'bottom', height: 4, width: 4, vocab: 7 },
    ],
  });
  expect(channels).toEqual({ in: 8, out: 5 });
  expect(terms).toEqual(
    ['codebook', 'commitment'].concat(
      ['top', 'bottom'].flatMap((name) => [`codebook_${name}`, `commitment_${name}`]),
    ),
  );
  const three = bottleneckOf(configOf([...two, { kind: 'lfq', codes: 8 }]));
  expect(three.latent).toMatchObject({
    grids: [{ name: 'top', height: 1 }, { name: 'middle' }, { name: 'bottom', vocab: 8 }],
  });
  expect(three.channels.out).toBe(2 + 3 + 3);
});

test('the optimiser moves the networks and codes learned by gradient, not averages', () => {
  const names = Object.keys(modelOf(configOf(two)).trained);
  expect(names).toContain('bottleneck.bottom.codebook');
  expect(names).toContain('bottleneck.top.encode.halvings.0.weight');
  expect(names).not.toContain('bottleneck.top.codebook');
});

const lists = (t: tf.Tensor) => t.arraySync() as Image;

test('a pass, its codes and its terms are those of plain loops', () => {
  const bottleneck = bottleneckOf(configOf(two));
  const p = parametersOf(bottleneck);
  const w = (name: string) => lists(p[`${name}.weight`]!);
  const b = (name: string) => p[`${name}.bias`]!.arraySync() as number[];
  const layer = (x: Image, name: string, stride = 1) =>
    plainConv(x, w(name), b(name), stride, Math.floor((w(name).length - 1) / 2));
  const block = (x: Image, name: string) =>
    relu(plus(x, layer(relu(layer(relu(x), `${name}.conv1`)), `${name}.conv2`)));
  const up = (x: Image, name: string) => plainDoubling(x, w(name), b(name));

  const f = lists(z);
  const high = block(
    layer(relu(layer(f, 'top.encode.halvings.0', 2)), 'top.encode.conv_out'),
    'top.encode.blocks.0',
  );
  const top = quantised(layer(high, 'top.project'), p['top.codebook']!.arraySync() as number[][]);
  const told = up(
    block(layer(top.q, 'bottom.decode.conv_in'), 'bottom.decode.blocks.0'),
    'bottom.decode.doublings.0',
  );
  const low = layer(beside(told, f), 'bottom.project');
  const bottom = quantised(low, p['bottom.codebook']!.arraySync() as number[][]);
  expect(new Set(top.codes.flat(2)).size).toBeGreaterThan(1);
  expect(new Set(bottom.codes.flat(2)).size).toBeGreaterThan(2);
  const output = tf.tensor(beside(up(top.q, 'bottom.enlarge'), bottom.q));

  const passed = bottleneck.pass(p, z, {});
  expectClose(passed.output, output);
  expect(passed.codes.map((codes) => codes.arraySync())).toEqual([top.codes, bottom.codes]);
  expectClose(passed.terms.commitment_top!, [top.error]);
  expectClose(passed.terms.commitment_bottom!, [bottom.error]);
  expectClose(passed.terms.commitment!, [top.error + bottom.error]);
  expectClose(passed.terms.codebook!, [bottom.error]); // averages have none
  expectClose(passed.loss, [0.25 * top.error + 1.25 * bottom.error]);

  expect(bottleneck.encode(p, z).map((codes) => codes.arraySync())).toEqual([top.codes, bottom.codes]);
  expectClose(bottleneck.decode(p, passed.codes), output);
});

test('the gradient passes straight through both levels: that of codes which move along with z', () => {
  const config = configOf([{ kind: 'ema' }, { kind: 'ema', codes: 7 }]);
  const bottleneck = bottleneckOf(config);
  const p = parametersOf(bottleneck);
  const { inner, codes } = bottleneck.pass(p, z, {});
  const pull = wave([2, 4, 4, 4], 1.3);
  /** q = z + constant; commitment against the constant q. */
  const along = (name: string, i: number, level: Bottleneck): Bottleneck => {
    const q = level.decode(under(name, p), [codes[i]!]);
    return {
      ...level,
      pass: (_, z) => ({
        output: tf.add(z, tf.sub(q, inner![i]!)),
        codes: [],
        terms: {},
        loss: tf.mul(0.25, tf.mean(tf.square(tf.sub(z, q)))),
      }),
    };
  };
  const single = (side: number, codes: number) =>
    bottleneckOf(
      configSchema.parse({
        data: { size: side },
        stage1: { ch_mult: [1], codes, embed_dim: 2, bottleneck: { kind: 'ema' } },
      }),
    );
  const moving = hierarchy(
    [
      { name: 'top', bottleneck: along('top', 0, single(2, 5)) },
      { name: 'bottom', bottleneck: along('bottom', 1, single(4, 7)) },
    ],
    { features: 8, blocks: 1 },
  );
  const lossOf = (bottleneck: Bottleneck, z: tf.Tensor, p: Tensors) => {
    const { output, loss } = bottleneck.pass(p, z, {});
    return tf.add(loss, tf.sum(tf.mul(output, pull)));
  };
  const own = Object.keys(p).filter((name) => name.endsWith('weight'));
  const at = { z, ...Object.fromEntries(own.map((name) => [name, p[name]!])) } as Tensors;
  const { grads } = valueAndGradsOf(at, ({ z, ...own }) => lossOf(bottleneck, z!, { ...p, ...own }));
  const rng = stream('direction');
  for (const name of ['z', ...own]) {
    const direction = tf.tensor(
      Array.from({ length: at[name]!.size }, () => rng.normal() / Math.sqrt(at[name]!.size)),
      at[name]!.shape,
    );
    const moved = (by: number) => {
      const { z, ...own } = { ...at, [name]: tf.add(at[name]!, tf.mul(by, direction)) } as Tensors;
      return lossOf(moving, z!, { ...p, ...own }).dataSync()[0]!;
    };
    const slope = (moved(4e-3) - moved(-4e-3)) / 8e-3;
    expectClose(tf.sum(tf.mul(grads[name]!, direction)), [slope], { atol: 2e-4, rtol: 5e-3 });
  }
});

describe('care for the codebooks', () => {
  const images = wave([2, 16, 16, 3], 0.7);
  const books = ['top', 'bottom'].map((name) => `model.bottleneck.${name}.codebook`);
  const trained = (codebook: object, stage1: object = {}) => {
    const config = configOf([{ kind: 'ema' }, { kind: 'ema', codes: 7 }], {
      codebook,
      steps: 100,
      ...stage1,
    });
    const program = stepOf(config, undefined, { adversarial: false });
    const step = (state: Tensors, n: number) => {
      const { runs } = bottleneckOf(config).feed('train', n, new Int32Array(2));
      const clock = { step: tf.scalar(n), updates: tf.scalar(n) };
      const inputs = { images, lr: tf.scalar(0), ...clock, ...tensorsOf(runs?.[0] ?? {}) };
      return runStep(program, state, inputs);
    };
    return { bottleneck: bottleneckOf(config), program, step, state: tensorsOf(startOf(config)) };
  };

  test('after the warm-up codes are what the level makes of the batch, the bottom’s with the top quantised', () => {
    const { bottleneck, program, step, state } = trained({ init: 'data', warmup: 1, restart_after: 0 });
    expect(program.inputs).toMatchObject({ 'top.pick': { shape: [5] }, 'bottom.pick': { shape: [7] } });
    const waiting = step(state, 1);
    for (const name of books) expectClose(waiting.state[name]!, state[name]!, { atol: 0 });
    expectClose(waiting.outputs.commitment!, [0]);

    const { runs } = bottleneck.feed('train', 2, new Int32Array(2));
    const picks = tensorsOf(runs![0]!);
    const inputs: Tensors = { step: tf.scalar(2), ...picks };
    const begun = bottleneck.begin!(under('model.bottleneck', state), z, inputs);
    const passed = bottleneck.pass(begun.p, z, { ...inputs, ...begun.inputs });
    for (const [i, name] of ['top', 'bottom'].entries()) {
      const rows = tf.reshape(passed.inner![i]!, [-1, 2]);
      const picked = tf.gather(rows, picks[`${name}.pick`] as tf.Tensor1D);
      expectClose(begun.p[`${name}.codebook`]!, picked, { atol: 1e-6 });
    }
    const after = step(waiting.state, 2);
    for (const name of books)
      expect(tf.max(tf.abs(tf.sub(after.state[name]!, state[name]!))).dataSync()[0]).toBeGreaterThan(1e-3);
  });

  test('averages that nothing chooses stay where they are from the first step on', () => {
    const { step, state } = trained({ init: 'uniform', restart_after: 0 });
    const far = { ...state, ...Object.fromEntries(books.map((name) => [name, withFar(state[name]!)])) };
    let now = far;
    for (let n = 1; n <= 3; n++) now = step(now, n).state;
    for (const name of books)
      expectClose(tf.slice(now[name]!, 0, 1), tf.slice(far[name]!, 0, 1), { rtol: 1e-3 });
    for (const name of ['top', 'bottom'])
      expectClose(tf.slice(now[`${name}.codebook_counts`]!, 0, 1), [0.99 ** 3]);
  });

  test('a dead code becomes an output of its level, and counts 1', () => {
    const { step, state } = trained({ init: 'uniform', restart_after: 2 });
    const far = { ...state, ...Object.fromEntries(books.map((name) => [name, withFar(state[name]!)])) };
    const once = step(far, 1).state;
    const twice = step(once, 2).state;
    for (const [i, name] of ['top', 'bottom'].entries()) {
      expect(once[`${name}.codebook_idle`]!.dataSync()[0]).toBe(1);
      expect(twice[`${name}.codebook_idle`]!.dataSync()[0]).toBe(0);
      expect(twice[`${name}.codebook_counts`]!.dataSync()[0]).toBe(1);
      expect(tf.max(tf.abs(tf.slice(twice[books[i]!]!, 0, 1))).dataSync()[0]).toBeLessThan(50);
    }
  });

  test('in micro-batches: as at once, with restarts; what a level hands on has its name', () => {
    const levels = [{ kind: 'nearest' }, { kind: 'nearest', codes: 7 }];
    const of = (accumulate: number) =>
      configOf(levels, { accumulate, steps: 100, codebook: { init: 'uniform', restart_after: 1 } });
    const states = [1, 2].map((n) => {
      const config = of(n);
      const program = stepOf(config, undefined, { adversarial: false });
      let state = tensorsOf(startOf(config));
      for (const [name, { shape }] of Object.entries(program.state)) state[name] ??= tf.zeros([...shape]);
      for (let step = 1; step <= 2; step++) {
        const { runs } = bottleneckOf(config).feed('train', step, new Int32Array(2));
        expect(runs).toHaveLength(n);
        for (let i = 0; i < n; i++) {
          const part = { first: tf.scalar(Number(i === 0)), last: tf.scalar(Number(i === n - 1)) };
          const batch = n === 1 ? images : tf.slice(images, [i, 0, 0, 0], [1, -1, -1, -1]);
          const clock = { step: tf.scalar(step), updates: tf.scalar(step) };
          const inputs = { images: batch, lr: tf.scalar(1e-3), ...clock, ...(n > 1 && part) };
          state = { ...state, ...runStep(program, state, { ...inputs, ...tensorsOf(runs![i]!) }).state };
        }
      }
      return state;
    });
    const [whole, parts] = states as [Tensors, Tensors];
    expect(parts).toHaveProperty(['partial.codebook.top.uses']);
    for (const name of [
      ...books,
      'top.codebook_idle',
      'bottom.codebook_idle',
      'model.bottleneck.top.project.weight',
    ])
      expectClose(parts[name]!, whole[name]!, { atol: 1e-4 });
  });

  test('in the step that starts them, micro-batches first look at all of it, unquantised', () => {
    const config = configOf([{ kind: 'nearest' }, { kind: 'fsq' }], {
      accumulate: 2,
      steps: 100,
      codebook: { init: 'data', warmup: 1 },
    });
    const { runs } = bottleneckOf(config).feed('train', 2, new Int32Array(2));
    expect(runs!.map((run) => [run.step?.data[0], run.last?.data[0], run['top.start']?.data[0]])).toEqual([
      [1.5, 0, 0],
      [1.5, 0, 1],
      [undefined, undefined, 0],
      [undefined, undefined, 0],
    ]);
    expect(Object.keys(runs![2]!)).toEqual(['top.pick', 'top.own', 'top.start']);
  });
});

/** The first code where nothing comes near it. */
const withFar = (book: tf.Tensor): tf.Tensor =>
  tf.concat([tf.fill([1, book.shape[1]!], 100), tf.slice(book, [1, 0])]);

test('each level warns of its own codes', () => {
  const watch = bottleneckOf(configOf(two)).watch();
  const line = { codebook_usage: 0.3, codebook_usage_top: 0.9, codebook_usage_bottom: 0.01 };
  expect(watch(100, line)).toMatch(/^At step 100 only 1 % of the codes of grid bottom are in use/);
});
