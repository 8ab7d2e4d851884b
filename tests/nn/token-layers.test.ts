import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { crossEntropy, softCrossEntropy } from '../../src/nn/cross-entropy.js';
import { gelu } from '../../src/nn/gelu.js';
import { valueAndGradsOf } from '../../src/nn/gradients.js';
import { layerNorm } from '../../src/nn/layer-norm.js';
import { linear } from '../../src/nn/linear.js';
import { lookup } from '../../src/nn/lookup.js';
import { expectClose } from '../support/close.js';
import { wave } from '../support/wave.js';

test('linear: all leading axes at once, with and without a bias', () => {
  const x = tf.tensor3d([[[1, 2]], [[3, 4]]]); // [2, 1, 2]
  const weight = tf.tensor2d([
    [1, 0, 2],
    [0, 1, 3],
  ]);
  const bias = tf.tensor1d([10, 20, 30]);
  expectClose(linear({ weight, bias }, x), tf.tensor3d([[[11, 22, 38]], [[13, 24, 48]]]));
  expectClose(linear({ weight }, tf.tensor2d([[1, 2]])), tf.tensor2d([[1, 2, 8]]));
});

// The layers below: closed forms against TF.js's own derivation of the definition.
const upstream = wave([2, 3, 8], 0.7);

test('layer norm: PyTorch values', () => {
  const x = wave([2, 3, 8], 0.9);
  const params = { gamma: tf.add(1, wave([8], 0.4, 0.5)), beta: wave([8], 0.6) };
  const y = layerNorm(params, x);
  expectClose(tf.slice(y, [1, 2, 0], [1, 1, 4]), [-1.171784, -0.390431, 1.349547, 2.895518]);
});

test('layer norm: gradients', () => {
  const at = { x: wave([2, 3, 8], 0.9), gamma: tf.add(1, wave([8], 0.4, 0.5)), beta: wave([8], 0.6) };
  const definition = ({ x, gamma, beta }: typeof at) => {
    const centred = tf.sub(x, tf.mean(x, -1, true));
    const std = tf.sqrt(tf.add(tf.mean(tf.square(centred), -1, true), 1e-5));
    return tf.add(tf.mul(tf.div(centred, std), gamma), beta);
  };
  const own = valueAndGradsOf(at, ({ x, gamma, beta }) =>
    tf.sum(tf.mul(layerNorm({ gamma, beta }, x), upstream)),
  );
  const reference = valueAndGradsOf(at, (at) => tf.sum(tf.mul(definition(at), upstream)));
  expectClose(own.value, reference.value);
  for (const name of ['x', 'gamma', 'beta'] as const) expectClose(own.grads[name], reference.grads[name]);
});

test('gelu: PyTorch values and derivatives', () => {
  const x = tf.tensor1d([-3, -1, -0.25, 0, 0.5, 2]);
  expectClose(gelu(x), [-0.0040497, -0.1586553, -0.1003234, 0, 0.3457312, 1.9544997], { atol: 2e-6 });
  const { grads } = valueAndGradsOf({ x }, ({ x }) => tf.sum(gelu(tf.mul(x, 1))));
  expectClose(grads.x, [-0.0119456, -0.0833155, 0.3046266, 0.5, 0.8674951, 1.0852318], { atol: 2e-6 });
});

test('cross entropy: by hand, and with logits that would overflow', () => {
  const logits = tf.tensor2d([
    [0, Math.log(3), 0],
    [1000, 0, 0],
  ]);
  const targets = tf.tensor1d([1, 0], 'int32');
  expectClose(crossEntropy(logits, targets), [Math.log(5 / 3), 0]);
  const { grads } = valueAndGradsOf({ logits }, ({ logits }) =>
    tf.sum(tf.mul(crossEntropy(tf.mul(logits, 1), targets), [1, 2])),
  );
  expectClose(grads.logits, tf.tensor2d([0.2, 0.6 - 1, 0.2, 0, 0, 0], [2, 3]));
});

test('cross entropy of shares: of one class as of its number; a class that is meant a little pulls a little', () => {
  const logits = tf.tensor2d([
    [0, Math.log(3), 0],
    [1000, 0, 0],
  ]);
  const certain = tf.tensor2d([0, 1, 0, 1, 0, 0], [2, 3]);
  expectClose(softCrossEntropy(logits, certain), [Math.log(5 / 3), 0]);
  const shares = tf.tensor2d([0.1, 0.8, 0.1, 1, 0, 0], [2, 3]);
  expectClose(softCrossEntropy(logits, shares), [Math.log(5) - 0.8 * Math.log(3), 0]);
  const { grads } = valueAndGradsOf({ logits }, ({ logits }) =>
    tf.sum(tf.mul(softCrossEntropy(tf.mul(logits, 1), shares), [1, 2])),
  );
  expectClose(grads.logits, tf.tensor2d([0.2 - 0.1, 0.6 - 0.8, 0.2 - 0.1, 0, 0, 0], [2, 3]));
});

test('cross entropy with label smoothing: as of the shares that it makes of a target', () => {
  const logits = tf.tensor2d([
    [0, Math.log(3), 0],
    [1000, 0, 0],
  ]);
  const targets = tf.tensor1d([1, 0], 'int32');
  // 0.3 over three codes: 0.8 for the target, 0.1 for each other.
  expectClose(crossEntropy(logits, targets, { smoothing: 0.3 }), [Math.log(5) - 0.8 * Math.log(3), 200]);
  const { grads } = valueAndGradsOf({ logits }, ({ logits }) =>
    tf.sum(tf.mul(crossEntropy(tf.mul(logits, 1), targets, { smoothing: 0.3 }), [1, 2])),
  );
  expectClose(grads.logits, tf.tensor2d([0.2 - 0.1, 0.6 - 0.8, 0.2 - 0.1, 0.4, -0.2, -0.2], [2, 3]));
  // Over the first two: 0.85 and 0.15.
  const ofTwo = crossEntropy(logits, targets, { smoothing: 0.3, codes: 2 });
  expectClose(ofTwo, [Math.log(5) - 0.85 * Math.log(3), 150]);
});

test('look-up: rows of the table; its gradient sums by id', () => {
  const table = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
  const ids = tf.tensor2d([[2, 0, 2]], [1, 3], 'int32');
  expectClose(
    lookup(table, ids),
    tf.tensor3d([
      [
        [5, 6],
        [1, 2],
        [5, 6],
      ],
    ]),
  );
  const { grads } = valueAndGradsOf({ table }, ({ table }) =>
    tf.sum(
      tf.mul(
        lookup(table, ids),
        tf.tensor3d([
          [
            [1, 2],
            [3, 4],
            [5, 6],
          ],
        ]),
      ),
    ),
  );
  expectClose(grads.table, tf.tensor2d([3, 4, 0, 0, 6, 8], [3, 2]));
});

test('nothing is left behind under tidy', () => {
  const at = { x: wave([6, 8], 0.3), gamma: tf.ones([8]), beta: tf.zeros([8]) };
  const targets = tf.tensor1d([0, 1, 2, 3, 4, 5], 'int32');
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    valueAndGradsOf(at, ({ x, gamma, beta }) =>
      tf.mean(crossEntropy(gelu(layerNorm({ gamma, beta }, tf.mul(x, 2))), targets)),
    );
  });
  expect(tf.memory().numTensors).toBe(before);
});
