import '../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { hiddenUnits, relu2, swiglu } from '../../src/nn/feed-forward.js';
import { valueAndGradsOf } from '../../src/nn/gradients.js';
import { countParams, initialise, specsOf, treeOf } from '../../src/nn/params.js';
import { rmsNorm } from '../../src/nn/rms-norm.js';
import { type BlockOptions, blockSpecs, transformer } from '../../src/nn/transformer.js';
import { expectClose } from '../support/close.js';
import { wave } from '../support/wave.js';

test('RMSNorm: by hand, the same of a multiple, and its gradient that of the definition', () => {
  const gamma = tf.tensor1d([1, 2, -1, 0.5]);
  const x = tf.tensor2d([[1, -3, 5, 1]]); // the mean square is 9
  expectClose(rmsNorm({ gamma }, x), tf.tensor2d([[1 / 3, -2, -5 / 3, 1 / 6]]));
  expectClose(rmsNorm({ gamma }, tf.mul(x, 100)), rmsNorm({ gamma }, x));
  expectClose(rmsNorm({ gamma }, tf.zeros([1, 4])), tf.zeros([1, 4]));
  const at = { x: wave([2, 3, 8], 0.9), gamma: tf.add(1, wave([8], 0.4, 0.5)) };
  const upstream = wave([2, 3, 8], 0.7);
  const definition = ({ x, gamma }: typeof at) =>
    tf.mul(tf.div(x, tf.sqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-6))), gamma);
  const own = valueAndGradsOf(at, ({ x, gamma }) => tf.sum(tf.mul(rmsNorm({ gamma }, x), upstream)));
  const reference = valueAndGradsOf(at, (at) => tf.sum(tf.mul(definition(at), upstream)));
  expectClose(own.value, reference.value);
  for (const name of ['x', 'gamma'] as const) expectClose(own.grads[name], reference.grads[name]);
});

test('SwiGLU and ReLU²: by hand, and their gradients those of the definitions', () => {
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  expectClose(swiglu(tf.tensor2d([[2, -1, 3, 5]])), tf.tensor2d([[6 * sigmoid(2), -5 * sigmoid(-1)]]));
  expectClose(relu2(tf.tensor1d([-2, 0, 3])), [0, 0, 9]);
  const x = wave([3, 8], 0.9, 2);
  const definitions = {
    swiglu: (x: tf.Tensor) => {
      const [a, b] = tf.split(x, 2, 1) as [tf.Tensor, tf.Tensor];
      return tf.mul(tf.mul(a, tf.sigmoid(a)), b);
    },
    relu2: (x: tf.Tensor) => tf.square(tf.relu(x)),
  };
  for (const [own, definition] of [
    [swiglu, definitions.swiglu],
    [relu2, definitions.relu2],
  ] as const) {
    const of = (f: (x: tf.Tensor) => tf.Tensor) =>
      valueAndGradsOf({ x }, ({ x }) => {
        const y = f(tf.mul(x, 1));
        return tf.sum(tf.mul(y, wave(y.shape, 0.7)));
      });
    expectClose(of(own).value, of(definition).value);
    expectClose(of(own).grads.x, of(definition).grads.x);
  }
});

test('parameters: RMSNorm has no β, SwiGLU about as many weights, queries and keys a scale for each number of a head', () => {
  const plain: BlockOptions = { width: 64, heads: 4 };
  const names = (o: Partial<BlockOptions>) => Object.keys(specsOf(blockSpecs({ ...plain, ...o })));
  expect(names({ norm: 'layer', mlp: 'gelu', qk_norm: false })).toEqual(names({}));
  expect(names({ norm: 'rms' })).toEqual(names({}).filter((name) => !name.endsWith('beta')));
  expect(names({ qk_norm: true }).filter((name) => !names({}).includes(name))).toEqual([
    'query_norm.gamma',
    'key_norm.gamma',
  ]);
  expect(blockSpecs({ ...plain, qk_norm: true }).query_norm?.gamma.shape).toEqual([16]);
  expect([64, 256, 384, 768].map((width) => hiddenUnits(width, 'swiglu'))).toEqual([192, 704, 1024, 2048]);
  const count = (mlp: BlockOptions['mlp']) => countParams(blockSpecs({ width: 384, heads: 6, mlp }));
  expect(count('swiglu') / count('gelu')).toBeCloseTo(1, 3);
  expect(count('relu2')).toBe(count('gelu'));
});

test('queries and keys of unit size, whatever their weights; values as they are', () => {
  const o: BlockOptions = { width: 8, heads: 2, qk_norm: true };
  const specs = blockSpecs(o);
  const seen = (factor: number): tf.Tensor => {
    const weights = Object.entries(initialise(specsOf(specs), 1)).map(([name, { data, shape }]) => {
      const scaled = name === 'qkv.weight' ? data.map((v) => factor * v) : data;
      return [name, tf.tensor(scaled, [...shape])];
    });
    let qkv = tf.zeros([1]);
    const block = treeOf(specs, Object.fromEntries(weights));
    transformer(o, [block], wave([3, 8], 0.9), (given) => {
      qkv = given;
      return tf.zeros([3, 8]);
    });
    return tf.reshape(qkv, [3, 3, 2, 4]);
  };
  const [small, large] = [seen(10), seen(1000)];
  const [queriesAndKeys, values] = [
    (x: tf.Tensor) => tf.slice(x, [0, 0], [3, 2]),
    (x: tf.Tensor) => tf.slice(x, [0, 2]),
  ];
  expectClose(tf.mean(tf.square(queriesAndKeys(small)), -1), tf.ones([3, 2, 2]), { atol: 1e-3 });
  expectClose(queriesAndKeys(large), queriesAndKeys(small), { atol: 1e-3 });
  expectClose(values(large), tf.mul(values(small), 100), { atol: 1e-4 });
});
