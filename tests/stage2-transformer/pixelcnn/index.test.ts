import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import type { HostTensors } from '../../../src/base/tensor.js';
import { onnxDevice } from '../../../src/engine/onnx-device.js';
import { initialise } from '../../../src/nn/params.js';
import { frozenEvaluation } from '../../../src/stage2-transformer/step.js';
import { withoutPartial } from '../../../src/train/accumulation.js';
import { expectClose, expectSameUpTo } from '../../support/close.js';
import { expectParity, ids } from '../../support/parity.js';
import { bottom, livelyWeights, pixelcnnOf, tensorsOf, top } from '../../support/pixelcnn.js';
import { pixelcnnTraining } from '../../support/steps.js';

const given = { name: 'given', height: 3, width: 2, vocab: 4 };
const canvas = { codes: ids([2, 32], 4).data as Int32Array, labels: Int32Array.of(-1, 1) };

test('value and gradient of every parameter: of two grids, a given one, classes, attention', async () => {
  const o = { given: [given], classes: ['a', 'b'], attention_every: 1, layers: 2, width: 4 };
  const prior = pixelcnnOf(
    [
      { ...top, height: 1 },
      { ...bottom, height: 3, width: 4 },
    ],
    o,
  );
  const codes = ids([2, 6 + 3 + 12], 4).data as Int32Array;
  const { batched } = prior.feed('eval', 0, { codes, labels: canvas.labels });
  await expectParity('nats', {
    inputs: { ...livelyWeights(prior.learned), ...batched },
    fn: (inputs) => prior.nats(inputs, inputs, 'train'),
    tolerance: { atol: 1e-4, rtol: 1e-3 },
  });
});

test('cells that are given cost nothing; losses are per token that is drawn, and of each grid', () => {
  const prior = pixelcnnOf([top, bottom], { given: [given], classes: ['a', 'b'] });
  const weights = livelyWeights(prior.learned);
  const inputs = tensorsOf(prior.feed('eval', 0, canvas).batched!);
  const nats = prior.nats(tensorsOf(weights), inputs, 'train');
  expect(nats.shape).toEqual([2, 32]);
  const [zeros, ofTop, ofBottom] = tf.split(nats, [6, 6, 20], 1) as [tf.Tensor, tf.Tensor, tf.Tensor];
  expectClose(zeros, tf.zeros([2, 6]));
  const program = frozenEvaluation(prior, weights, { batch: 2, precision: 'f32' });
  const losses = program.run(inputs, tensorsOf(weights));
  expectClose(losses.loss_top!, tf.mean(ofTop, 1));
  expectClose(losses.loss_bottom!, tf.mean(ofBottom, 1));
  expectClose(losses.loss!, tf.div(tf.add(tf.sum(ofTop, 1), tf.sum(ofBottom, 1)), 26));
});

test('training starts near ln K', () => {
  const grid = { name: 'codes', height: 8, width: 8, vocab: 64 };
  const prior = pixelcnnOf([grid], { layers: 8, width: 24 });
  const { batched } = prior.feed('eval', 0, {
    codes: ids([2, 64], 64).data as Int32Array,
    labels: canvas.labels,
  });
  const nats = prior.nats(tensorsOf(initialise(prior.learned, 0)), tensorsOf(batched!), 'train');
  expect(tf.mean(nats).dataSync()[0]).toBeCloseTo(Math.log(64), 1);
});

test('micro-batches: losses of all grids, parameters and moments as at once', async () => {
  const twoSteps = async (accumulate: number) => {
    const { program, start, inputs } = pixelcnnTraining(accumulate);
    const runner = withoutPartial(program, await onnxDevice({ threads: 1 }).prepareStep(program));
    runner.load(start);
    const runs = Array.from({ length: 2 * accumulate }, (_, i) => inputs(i + 1));
    const outputs = await runner.run(runs);
    const state = await runner.read();
    await runner.dispose();
    const mean = (name: string, step: number) =>
      meanIn(outputs.slice(step * accumulate, (step + 1) * accumulate), name);
    return {
      state,
      losses: ['loss', 'loss_top', 'loss_bottom'].flatMap((name) => [mean(name, 0), mean(name, 1)]),
    };
  };
  const [one, two] = [await twoSteps(1), await twoSteps(2)];
  expect(two.losses).toEqual(one.losses.map((loss) => expect.closeTo(loss, 5)));
  expect(one.losses[0]).toBeCloseTo((6 * one.losses[2]! + 20 * one.losses[4]!) / 26, 5);
  expectSameUpTo(3e-4, two.state, one.state); // the first layer's filters are seven wide: their gradients round twice as much
});

const meanIn = (outputs: readonly HostTensors[], name: string): number =>
  outputs.reduce((sum, output) => sum + output[name]!.data[0]!, 0) / outputs.length;
