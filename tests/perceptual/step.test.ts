/** The classifier's programs: what training normalises by the batch, evaluation has in its filters. */
import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { float32, type HostTensor, type HostTensors, scalar } from '../../src/base/tensor.js';
import type { GraphProgram } from '../../src/engine/device.js';
import { under } from '../../src/nn/params.js';
import {
  classifierEvaluation,
  classifierStep,
  foldProgram,
  initialClassifier,
} from '../../src/perceptual/step.js';
import { classLogits, pooling, trainedShapes } from '../../src/perceptual/trained-features.js';
import { expectClose } from '../support/close.js';
import { device, noise } from '../support/parity.js';

const sizes = { classes: 3, size: 16, batch: 4 };
const images = noise([4, 16, 16, 3], 'images', 0.5);
const targets = float32([4, 3], [0.9, 0.05, 0.05, 0, 1, 0, 0, 0, 1, 0.2, 0.4, 0.4]);

async function once(program: GraphProgram, inputs: HostTensors): Promise<HostTensors> {
  const graph = await device.prepare(program);
  const outputs = await graph.run(inputs);
  await graph.dispose();
  return outputs;
}

test('a batch that was seen often is evaluated as it is trained on; it is learned at a rate above 0 only', async () => {
  const runner = await device.prepareStep(classifierStep(sizes));
  const start = initialClassifier(3, 0);
  runner.load(start);
  const at = (lr: number) => ({ images, targets, lr: scalar(lr), step: scalar(1) });
  const [first] = await runner.run([at(0)]);
  for (let i = 0; i < 7; i++) await runner.run([at(0)]); // each time a tenth of the old statistics stays
  const state = await runner.read();
  expect(state['model.layers.3.weight']).toEqual(start['model.layers.3.weight']);
  expect(state['model.layers.3.mean']).not.toEqual(start['model.layers.3.mean']);

  const { logits } = await once(classifierEvaluation(sizes), { ...under('model', state), images });
  const rows = Array.from({ length: 4 }, (_, i) => [...logits!.data.slice(3 * i, 3 * i + 3)]);
  const loss = rows.map((row, i) => {
    const sum = row.reduce((total, v) => total + Math.exp(v), 0);
    return -row.reduce((total, v, k) => total + targets.data[3 * i + k]! * (v - Math.log(sum)), 0);
  });
  expect(first!.loss!.data[0]).toBeCloseTo(loss.reduce((a, b) => a + b) / 4, 4);
  const right = rows.filter((row, i) => {
    const wanted = [...targets.data.slice(3 * i, 3 * i + 3)];
    return row.indexOf(Math.max(...row)) === wanted.indexOf(Math.max(...wanted));
  });
  expect(first!.accuracy!.data[0]).toBeCloseTo(right.length / 4);

  for (let i = 0; i < 5; i++) await runner.run([at(1e-3)]);
  const [last] = await runner.run([at(1e-3)]);
  expect(last!.loss!.data[0]).toBeLessThan(first!.loss!.data[0]! - 0.2);
  await runner.dispose();
});

test('the folded filters normalise by the kept statistics, each image by itself', async () => {
  const model: Record<string, HostTensor> = under('model', initialClassifier(3, 0));
  for (const [name, { shape }] of Object.entries(model)) {
    if (/\.(mean|beta)$/.test(name)) model[name] = noise(shape, name, 0.3);
    const varied = noise(shape, name).data.map((v) => 0.5 + Math.abs(v));
    if (name.endsWith('.variance')) model[name] = float32(shape, Float32Array.from(varied));
  }
  const weights = await once(foldProgram(3), model);
  const shapes = Object.entries(weights).map(([name, { shape }]) => [name, [...shape]]);
  expect(Object.fromEntries(shapes)).toEqual(trainedShapes(3));

  await tf.setBackend('cpu');
  const tensor = (t: HostTensor) => tf.tensor(t.data, [...t.shape]);
  const of = (name: string) => tensor(model[`layers.2.${name}`]!);
  const x = tensor(noise([1, 2, 2, 64], 'x')) as tf.Tensor4D;
  const y = tf.conv2d(x, of('weight') as tf.Tensor4D, 1, 'same');
  const standard = tf.div(tf.sub(y, of('mean')), tf.sqrt(tf.add(of('variance'), 1e-5)));
  expectClose(
    tf.add(
      tf.conv2d(x, tensor(weights['layers.2.weight']!) as tf.Tensor4D, 1, 'same'),
      tensor(weights['layers.2.bias']!),
    ),
    tf.add(tf.mul(standard, of('gamma')), of('beta')),
    { atol: 1e-4 },
  );

  const all = await once(classifierEvaluation(sizes), { ...model, images });
  const alone: GraphProgram = {
    name: 'one',
    inputs: { images: { shape: [1, 16, 16, 3], dtype: 'float32' } },
    constants: weights,
    run: ({ images }, constants) => ({ logits: classLogits(constants, images!, pooling) }),
  };
  const third = float32([1, 16, 16, 3], images.data.slice(2 * 768, 3 * 768) as Float32Array);
  const { logits } = await once(alone, { images: third });
  expectClose(logits!, float32([1, 3], all.logits!.data.slice(6, 9) as Float32Array), {
    atol: 1e-4,
    rtol: 1e-4,
  });
});
