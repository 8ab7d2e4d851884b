import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { stream } from '../../../src/base/rng.js';
import { onnxDevice } from '../../../src/engine/onnx-device.js';
import { countParams, initialise } from '../../../src/nn/params.js';
import { blankCanvas } from '../../../src/stage2-transformer/canvas.js';
import type { Passes } from '../../../src/stage2-transformer/passes.js';
import type { Drawing } from '../../../src/stage2-transformer/prior.js';
import { frozenEvaluation } from '../../../src/stage2-transformer/step.js';
import { withoutPartial } from '../../../src/train/accumulation.js';
import { expectClose, expectSameUpTo } from '../../support/close.js';
import { livelyMaskgit, maskgitOf } from '../../support/maskgit.js';
import { expectParity, ids } from '../../support/parity.js';
import { bottom, tensorsOf, top } from '../../support/pixelcnn.js';
import { maskgitTraining } from '../../support/steps.js';

const passes: Passes = {
  steps: 4,
  order: 'confidence',
  choiceTemperature: 2,
  revise: 0.2,
};

const drawing = (rows: number, o: Partial<Drawing> = {}): Drawing => ({
  choice: { temperature: 1, topK: 0, topP: 1 },
  passes,
  growth: 'linear',
  random: Array.from({ length: rows }, (_, row) => stream('drawn', row)),
  ...o,
});

test('value and gradient of every parameter: two grids, a given one, classes, smoothing, wrong codes', async () => {
  const given = { name: 'given', height: 1, width: 3, vocab: 4 };
  const prior = maskgitOf([top, bottom], { given: [given], classes: ['a', 'b'], substitute: 0.5 });
  const canvas = { codes: ids([3, 29], 4).data as Int32Array, labels: Int32Array.of(-1, 1, 0) };
  const { batched } = prior.feed('train', 1, canvas);
  await expectParity('nats', {
    inputs: { ...livelyMaskgit(prior.learned), ...batched },
    fn: (inputs) => prior.nats(inputs, inputs, 'train'),
    tolerance: { atol: 1e-4, rtol: 1e-3 },
  });
  const nats = prior.nats(tensorsOf(livelyMaskgit(prior.learned)), tensorsOf(batched!), 'train');
  expectClose(tf.slice(nats, [0, 0], [3, 3]), tf.zeros([3, 3]));
});

test('norms, gates and rotary positions of the blocks: value and gradients, and a draw that has them', async () => {
  const options = { norm: 'rms', mlp: 'swiglu', qk_norm: true, positions: 'rope', width: 16 } as const;
  const prior = maskgitOf([top, bottom], { classes: ['a', 'b'], ...options });
  const canvas = { codes: ids([2, 26], 5).data as Int32Array, labels: Int32Array.of(-1, 1) };
  const { batched } = prior.feed('train', 1, canvas);
  const weights = livelyMaskgit(prior.learned);
  await expectParity('nats', {
    inputs: { ...weights, ...batched },
    fn: (inputs) => prior.nats(inputs, inputs, 'train'),
    tolerance: { atol: 1e-3, rtol: 1e-3 },
  });
  const drawer = await prior.open(onnxDevice({ threads: 2 }), weights, { batch: 1, cfgScale: 1 });
  const drawn = await drawer.draw(blankCanvas(26, Int32Array.of(1)), drawing(1));
  await drawer.dispose();
  expect(drawn.every((code) => code >= 0)).toBe(true);
});

test('rotary positions without classes: cells differ even where all of them are masked', () => {
  const prior = maskgitOf([top, bottom], { positions: 'rope', width: 16 });
  const weights = tensorsOf(livelyMaskgit(prior.learned));
  const inputs = {
    ids: tf.fill([1, 26], 7, 'int32'),
    targets: tf.zeros([1, 26], 'int32'),
    weights: tf.ones([1, 26]),
  };
  const nats = prior.nats(weights, inputs, 'eval').dataSync();
  expect(new Set(Array.from(nats, (n) => n.toFixed(3))).size).toBeGreaterThan(20);
});

test('grids with fewer codes: smoothing gives none to codes that a grid has not', () => {
  const prior = maskgitOf([top, bottom], { label_smoothing: 0.5 });
  const weights = tensorsOf(livelyMaskgit(prior.learned));
  const canvas = { codes: ids([2, 26], 5).data as Int32Array, labels: new Int32Array(2).fill(-1) };
  const inputs = { ...tensorsOf(prior.feed('train', 1, canvas).batched!), weights: tf.ones([2, 26]) };
  const costs = [0, 1, 2, 3, 4, 5, 6].map((code) =>
    prior.nats(weights, { ...inputs, targets: tf.fill([2, 26], code, 'int32') }, 'eval'),
  );
  const meanOf = (from: number, to: number, codes: number) =>
    tf.mean(tf.stack(costs.slice(0, codes).map((cost) => tf.slice(cost, [0, from], [2, to - from]))), 0);
  const alike = tf.concat([meanOf(0, 6, 5), meanOf(6, 26, 7)], 1);
  const right = prior.nats(weights, inputs, 'eval');
  expectClose(prior.nats(weights, inputs, 'train'), tf.mul(tf.add(right, alike), 0.5), { atol: 1e-4 });
});

test('as many parameters as the formula says, with and without classes', () => {
  const grid = { name: 'codes', height: 1, width: 64, vocab: 512 };
  const [d, K, T, L] = [32, 512, 64, 3];
  const sizes = { layers: L, heads: 4, width: d };
  // Table, positions, blocks, last norm, head.
  const plain = (K + 1) * d + T * d + L * (12 * d * d + 13 * d) + 2 * d + K * d;
  expect(countParams(maskgitOf([grid], sizes).learned)).toBe(plain);
  expect(countParams(maskgitOf([grid], { ...sizes, classes: ['a', 'b'] }).learned)).toBe(plain + 3 * d);
});

test('every cell is told by all that is visible, and by nothing that is masked', () => {
  const prior = maskgitOf([top], { classes: ['a', 'b'] });
  const weights = tensorsOf(livelyMaskgit(prior.learned));
  const canvas = { codes: Int32Array.of(0, 1, 2, 3, 4, 0), labels: Int32Array.of(0) };
  const { ids: shown, targets } = tensorsOf(prior.feed('eval', 0, canvas).batched!) as Record<
    string,
    tf.Tensor
  >;
  const masked = [...shown!.dataSync()].flatMap((id, i) => (i > 0 && id === top.vocab ? [i - 1] : []));
  expect(masked.length).toBeGreaterThan(0);
  expect(masked.length).toBeLessThan(6);
  const weightsOfAll = tf.ones([1, 6]);
  const natsOf = (ids: ArrayLike<number>): number[] => [
    ...prior
      .nats(
        weights,
        { ids: tf.tensor([...Array.from(ids)], [1, 7], 'int32'), targets: targets!, weights: weightsOfAll },
        'eval',
      )
      .dataSync(),
  ];
  const before = natsOf(shown!.dataSync());
  for (let token = 0; token < 7; token++) {
    const changed = Array.from(shown!.dataSync());
    changed[token] = token === 0 ? changed[token]! + 1 : (changed[token]! + 1) % top.vocab;
    const after = natsOf(changed);
    for (const [cell, nats] of after.entries()) expect(Math.abs(nats - before[cell]!)).toBeGreaterThan(1e-6);
  }
});

test('training starts near ln K', () => {
  const prior = maskgitOf([{ name: 'codes', height: 8, width: 8, vocab: 64 }], { width: 32 });
  const { batched } = prior.feed('train', 1, {
    codes: ids([4, 64], 64).data as Int32Array,
    labels: new Int32Array(4).fill(-1),
  });
  const nats = prior.nats(tensorsOf(initialise(prior.learned, 0)), tensorsOf(batched!), 'train');
  expect(tf.mean(nats).dataSync()[0]).toBeCloseTo(Math.log(64), 1);
});

test('the bound of a validation is the mean over canvases of what a masked cell costs', () => {
  const prior = maskgitOf([top]);
  const weights = livelyMaskgit(prior.learned);
  const canvas = { codes: ids([4, 6], 5).data as Int32Array, labels: new Int32Array(4).fill(-1) };
  const inputs = tensorsOf(prior.feed('eval', 0, canvas).batched!);
  const alike = prior.nats(tensorsOf(weights), { ...inputs, weights: tf.ones([4, 6]) }, 'eval');
  const hidden = tf.cast(tf.greater(inputs.weights!, 0), 'float32');
  const wanted = tf.div(tf.sum(tf.mul(alike, hidden), 1), tf.sum(hidden, 1));
  const evaluation = frozenEvaluation(prior, weights, { batch: 4, precision: 'f32' });
  expectClose(evaluation.run(inputs, tensorsOf(weights)).loss!, wanted);
});

test.each(['confidence', 'halton'] as const)(
  '%s: two grids with classes and guidance; a draw does not depend on the batch',
  async (order) => {
    const prior = maskgitOf([top, bottom], { classes: ['a', 'b'] });
    const weights = livelyMaskgit(prior.learned);
    const device = onnxDevice({ threads: 2 });
    const draw = async (rows: number, cfgScale: number): Promise<Int32Array> => {
      const drawer = await prior.open(device, weights, { batch: rows, cfgScale });
      try {
        const canvas = blankCanvas(
          26,
          Int32Array.from({ length: rows }, (_, row) => row % 2),
        );
        return await drawer.draw(canvas, drawing(rows, { passes: { ...passes, order } }));
      } finally {
        await drawer.dispose();
      }
    };
    const [many, one] = [await draw(5, 30), await draw(1, 30)];
    expect(many.subarray(0, 26)).toEqual(one);
    expect([...many].every((code, at) => code >= 0 && code < (at % 26 < 6 ? 5 : 7))).toBe(true);
    expect(await draw(1, 1)).not.toEqual(one);
  },
);

test('canvases that begin alike share their first pass, and are drawn as each by itself', async () => {
  const prior = maskgitOf([{ name: 'codes', height: 8, width: 8, vocab: 64 }], { width: 64, layers: 3 });
  const weights = livelyMaskgit(prior.learned);
  const device = onnxDevice({ threads: 2 });
  const draw = async (rows: number, first: number): Promise<Int32Array> => {
    const drawer = await prior.open(device, weights, { batch: rows, cfgScale: 1 });
    const random = Array.from({ length: rows }, (_, row) => stream('drawn', first + row));
    try {
      return await drawer.draw(blankCanvas(64, new Int32Array(rows).fill(-1)), drawing(rows, { random }));
    } finally {
      await drawer.dispose();
    }
  };
  const all = await draw(16, 0);
  expect(all.subarray(0, 64)).not.toEqual(all.subarray(64, 128));
  for (const row of [0, 7, 15]) expect(await draw(1, row)).toEqual(all.subarray(row * 64, (row + 1) * 64));
});

test('what a pass is told of cells is what the network says of them: the likeliest codes in one pass', async () => {
  const prior = maskgitOf([top]);
  const weights = livelyMaskgit(prior.learned);
  const drawer = await prior.open(onnxDevice({ threads: 2 }), weights, { batch: 1, cfgScale: 1 });
  const known = Int32Array.of(1, -1, -1, 4, -1, 0);
  const drawn = await drawer.draw(
    { codes: known, labels: Int32Array.of(-1) },
    drawing(1, { choice: { temperature: 1, topK: 1, topP: 1 }, passes: { ...passes, steps: 1 } }),
  );
  await drawer.dispose();
  const costs = Array.from({ length: 5 }, (_, code) => {
    const inputs = {
      ids: tf.tensor(
        [...known].map((id) => (id < 0 ? 5 : id)),
        [1, 6],
        'int32',
      ),
      targets: tf.fill([1, 6], code, 'int32'),
      weights: tf.ones([1, 6]),
    };
    return [...prior.nats(tensorsOf(weights), inputs, 'eval').dataSync()];
  });
  for (const [cell, code] of known.entries()) {
    const cheapest = costs.reduce((best, of, i) => (of[cell]! < costs[best]![cell]! ? i : best), 0);
    expect(drawn[cell]).toBe(code >= 0 ? code : cheapest);
  }
});

test('micro-batches: losses of all grids, parameters and moments as at once', async () => {
  const twoSteps = async (accumulate: number) => {
    const { program, start, inputs } = maskgitTraining(accumulate);
    const runner = withoutPartial(program, await onnxDevice({ threads: 1 }).prepareStep(program));
    runner.load(start);
    const outputs = await runner.run(Array.from({ length: 2 * accumulate }, (_, i) => inputs(i + 1)));
    const state = await runner.read();
    await runner.dispose();
    const losses = outputs.map(({ loss }) => loss!.data[0]!);
    return { state, loss: losses.reduce((sum, loss) => sum + loss, 0) / losses.length };
  };
  const [one, two] = [await twoSteps(1), await twoSteps(2)];
  expect(two.loss).toBeCloseTo(one.loss, 5);
  expectSameUpTo(1e-4, two.state, one.state);
});
