import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { configSchema } from '../../../src/config/schema.js';
import { initialise, over } from '../../../src/nn/params.js';
import { gptPrior } from '../../../src/stage2-transformer/gpt/index.js';
import { frozenEvaluation, priorStep } from '../../../src/stage2-transformer/step.js';
import { expectClose } from '../../support/close.js';

const settings = { ...configSchema.parse({}).prior, layers: 1, heads: 2, width: 8, dropout: 0, seed: 0 };
const given = { name: 'given', height: 1, width: 3, vocab: 4 };
const drawn = { name: 'drawn', height: 1, width: 2, vocab: 7 };
const canvas = { codes: Int32Array.of(0, 1, 2, 3, 4, 3, 2, 1, 0, 6), labels: Int32Array.of(-1, 0) };

const tensorsOf = (values: Record<string, { shape: readonly number[]; data: Float32Array | Int32Array }>) =>
  Object.fromEntries(Object.entries(values).map(([name, t]) => [name, tf.tensor(t.data, [...t.shape])]));
const asInts = (values: Parameters<typeof tensorsOf>[0]) =>
  Object.fromEntries(
    Object.entries(values).map(([name, t]) => [name, tf.tensor(t.data, [...t.shape], 'int32')]),
  );

test('cells that are given cost nothing, and a loss is per token that is drawn', () => {
  const prior = gptPrior(settings, [drawn], { classes: ['a', 'b'], grids: [given] });
  const free = gptPrior(settings, [given, drawn], { classes: ['a', 'b'], grids: [] });
  expect(prior.grids).toEqual([given, drawn]);
  expect(prior.learned).toEqual(free.learned);
  const weights = initialise(prior.learned, 1);
  const inputs = asInts(prior.feed('eval', 0, canvas).batched!);
  const [p, all] = [prior, free].map((which) => which.nats(tensorsOf(weights), inputs, 'train')) as [
    tf.Tensor,
    tf.Tensor,
  ];
  expect(p.shape).toEqual([2, 5]);
  expectClose(tf.slice(p, [0, 3], [2, 2]), tf.slice(all, [0, 3], [2, 2]));
  expect([...tf.slice(p, [0, 0], [2, 3]).dataSync()]).toEqual([0, 0, 0, 0, 0, 0]);

  const perToken = tf.mean(tf.slice(all, [0, 3], [2, 2]), 1);
  const evaluation = frozenEvaluation(prior, weights, { batch: 2, precision: 'f32' });
  expectClose(evaluation.run(inputs, tensorsOf(weights)).loss!, perToken);
  const config = { ...configSchema.parse({}).prior, ...settings, batch_size: 2 };
  const program = priorStep(config, prior);
  const state = Object.fromEntries(
    Object.entries(program.state).map(([name, { shape }]) => [name, tf.zeros([...shape])]),
  );
  const begun = { ...state, ...over('model', tensorsOf(weights)) };
  const { outputs } = program.step(begun, { ...inputs, lr: tf.scalar(0), step: tf.scalar(1) }, {});
  expectClose(outputs.loss!, tf.mean(perToken));
});
