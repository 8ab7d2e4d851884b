/** The perceptual network that comes with vqgen, in the half precision that it is kept in. */
import '../support/cpu.js';
import fs from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { parseConfig } from '../../src/config/layers.js';
import { valueAndGradsOf } from '../../src/nn/gradients.js';
import { loadPerceptual, loadTrained, loadTrainedFeatures } from '../../src/perceptual/load.js';
import { expectClose } from '../support/close.js';
import { wave } from '../support/wave.js';

const tensorsOf = (hosts: Record<string, { shape: readonly number[]; data: ArrayLike<number> }>) =>
  Object.fromEntries(
    Object.entries(hosts).map(([name, t]) => [name, tf.tensor(Float32Array.from(t.data), [...t.shape])]),
  );

const size = 8;
const x = wave([2, size, size, 3], 0.37);
const y = wave([2, size, size, 3], 0.05);
const one = (t: tf.Tensor, i: number) => tf.slice(t, [i, 0, 0, 0], [1, -1, -1, -1]);

test('is small, and says what it was trained on', async () => {
  const { file, classes, size } = await loadTrained();
  expect(fs.statSync(file).size).toBeLessThan(4 * 2 ** 20);
  expect(classes).toHaveLength(87);
  expect(classes).toEqual(
    expect.arrayContaining(['airplane', 'truck', 'Dress', 'T-Shirt', 'Apple 10', 'Tomato 11']),
  );
  expect(size).toBe(32);
});

test('distance: 0 for equal images, the mean over the batch otherwise, a finite gradient on black', async () => {
  const net = await loadTrainedFeatures(size);
  const constants = tensorsOf(net.constants);
  expectClose(net.distance(constants, x, x), [0]);
  const apart = [0, 1].map((i) => net.distance(constants, one(x, i), one(y, i)));
  expectClose(net.distance(constants, x, y), tf.mean(tf.stack(apart)), { rtol: 1e-4 });
  expect(apart[0]!.dataSync()[0]).toBeGreaterThan(0.01);
  const black = valueAndGradsOf({ x: tf.fill([1, size, size, 3], -1) }, (p) =>
    net.distance(constants, p.x, one(y, 0)),
  );
  expect(tf.max(tf.abs(black.grads.x)).dataSync()[0]).toBeGreaterThan(0);
  expect(Number.isFinite(tf.sum(tf.abs(black.grads.x)).dataSync()[0])).toBe(true);
});

test('takes images of any size, and is the default of a config', async () => {
  for (const size of [8, 13]) {
    const net = await loadTrainedFeatures(size);
    const images = wave([1, size, size, 3], 0.2);
    expect(net.features(tensorsOf(net.constants), images).shape).toEqual([1, 192]);
  }
  const ours = await loadPerceptual(parseConfig({ data: { size }, stage1: { disc: { weight: 0 } } }, 'test'));
  expect(ours).toMatchObject({ name: (await loadTrainedFeatures(size)).name });
});

test('weights of another kind are refused', async () => {
  const config = (weights: string) =>
    parseConfig({ stage1: { perceptual: { kind: 'vqgen', weights } } }, 'test');
  await expect(loadPerceptual(config('/none'))).rejects.toThrow(
    /^Expected a safetensors file for stage1\.perceptual\.weights but received \/none, which does not exist/,
  );
});
