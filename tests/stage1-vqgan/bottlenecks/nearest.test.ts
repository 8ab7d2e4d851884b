/** The quantiser is tested by its gradients: which loss term moves what, and by how much. */
import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { valueAndGradsOf } from '../../../src/nn/gradients.js';
import { nearestCode } from '../../../src/stage1-vqgan/bottlenecks/nearest.js';
import { expectClose } from '../../support/close.js';
import { tinyConfig } from '../tiny.js';

const codebook = tf.tensor2d([
  [0, 0],
  [1, 0],
  [0, 2],
]);
/** [1, 1, 3, 2]; nearest codes 1, 2, 1. */
const z = tf.tensor4d([0.8, 0.1, -0.2, 1.5, 1.4, -0.4], [1, 1, 3, 2]);
const q = tf.tensor4d([1, 0, 0, 2, 1, 0], [1, 1, 3, 2]);
const bottleneck = (legacy_beta: boolean) =>
  nearestCode(tinyConfig({ codes: 3, embed_dim: 2, beta: 0.25, legacy_beta }).stage1);

test('codes are the nearest rows, of equals the first; decoding looks them up', () => {
  const { encode, decode } = bottleneck(false);
  const codes = encode({ codebook }, z);
  expect(codes.dtype).toBe('int32');
  expectClose(codes, tf.tensor([1, 2, 1], [1, 1, 3], 'int32'));
  expectClose(decode({ codebook }, codes), q);
  expectClose(encode({ codebook }, tf.tensor4d([0.5, 0], [1, 1, 1, 2])), tf.tensor([0], [1, 1, 1], 'int32'));
});

test('the output is q, its gradient goes to z unchanged and not to the codebook', () => {
  const weights = tf.tensor4d([1, 2, 3, 4, 5, 6], [1, 1, 3, 2]);
  const { value, grads } = valueAndGradsOf({ z, codebook }, (p) => {
    const { output, loss } = bottleneck(false).pass(p, p.z);
    return tf.add(tf.sum(tf.mul(output, weights)), tf.mul(0, loss));
  });
  expectClose(value, tf.sum(tf.mul(q, weights)));
  expectClose(grads.z, weights);
  expectClose(grads.codebook, tf.zeros([3, 2]));
});

describe.each([
  { legacy: false, onCodebook: 1, onCommitment: 0.25 },
  { legacy: true, onCodebook: 0.25, onCommitment: 1 },
])('legacy_beta $legacy: $onCodebook × codebook + $onCommitment × commitment', (o) => {
  const { value, grads } = valueAndGradsOf({ z, codebook }, (p) => bottleneck(o.legacy).pass(p, p.z).loss);
  const pull = tf.div(tf.mul(2, tf.sub(z, q)), 6); // gradient of mean (z − q)² to z

  test('the value', () => {
    const mean = tf.mean(tf.square(tf.sub(z, q)));
    expectClose(value, tf.mul(o.onCodebook + o.onCommitment, mean));
    const { terms } = bottleneck(o.legacy).pass({ codebook }, z);
    expectClose(terms.codebook!, mean);
    expectClose(terms.commitment!, mean);
  });

  test('z is moved by commitment alone', () => {
    expectClose(grads.z, tf.mul(o.onCommitment, pull));
  });

  test('codes are moved by the codebook term alone, each by the sum over its uses', () => {
    const [first, second, third] = tf.unstack(tf.reshape(tf.neg(pull), [3, 2]));
    const wanted = tf.stack([tf.zeros([2]), tf.add(first!, third!), second!]);
    expectClose(grads.codebook, tf.mul(o.onCodebook, wanted));
  });
});

test('not active: z passes as it is, all terms are 0 and nothing is moved by them', () => {
  const off = tf.scalar(0);
  const { value, grads } = valueAndGradsOf({ z, codebook }, (p) => {
    const { output, loss } = bottleneck(false).pass(p, p.z, off);
    return tf.add(tf.sum(output), loss);
  });
  expectClose(value, tf.sum(z));
  expectClose(grads.z, tf.onesLike(z));
  expectClose(grads.codebook, tf.zeros([3, 2]));
  expectClose(bottleneck(false).pass({ codebook }, z, tf.scalar(1)).output, q);
});
