/** What a program may not do while it is traced, and what the tracer merges. */
import * as tf from '@tensorflow/tfjs-core';
import type { GraphProgram, Tensors } from '../../src/engine/device.js';
import { trace } from '../../src/engine/trace.js';
import { randomFeatures } from '../../src/perceptual/distances.js';
import { device, noise } from '../support/parity.js';

const x = { shape: [2, 3], dtype: 'float32' } as const;

const program = (run: GraphProgram['run']): GraphProgram => ({
  name: 'a program',
  inputs: { x },
  constants: {},
  run,
});

test('an unsupported kernel is named, and who called it', async () => {
  function asksForAtan({ x }: Tensors): Tensors {
    return { y: tf.atan(x!) };
  }
  await expect(device.prepare(program(asksForAtan))).rejects.toThrow(
    /tracing a program: the kernel Atan cannot be traced \(called by .*trace\.test\.ts:\d+/,
  );
});

test('a host read is refused, and named', async () => {
  function reads({ x }: Tensors): Tensors {
    return { y: tf.mul(x!, x!.dataSync()[0]!) };
  }
  await expect(device.prepare(program(reads))).rejects.toThrow(
    /tracing a program: a symbolic tensor has no value.*called by .*trace\.test\.ts:\d+/,
  );
});

test.each([
  ['randomNormal', () => tf.randomNormal([2, 3])],
  ['randomUniform', () => tf.randomUniform([2, 3])],
  ['truncatedNormal', () => tf.truncatedNormal([2, 3])],
  ['dropout', ({ x }: Tensors) => tf.dropout(x!, 0.5)],
])('host randomness is refused: %s', async (_, draw) => {
  const draws = (inputs: Tensors): Tensors => ({ y: tf.add(inputs.x!, draw(inputs)) });
  await expect(device.prepare(program(draws))).rejects.toThrow(
    /draws on the host while the program is traced.*called by/,
  );
});

test('a tensor of another backend is refused', async () => {
  await tf.setBackend('cpu');
  const foreign = tf.tensor2d([1, 2, 3, 4, 5, 6], [2, 3]);
  await expect(device.prepare(program(({ x }) => ({ y: tf.add(x!, foreign) })))).rejects.toThrow(
    /another backend/,
  );
});

test('after a failure the backend is the one of before, and tracing works', async () => {
  await tf.setBackend('cpu');
  await expect(device.prepare(program(({ x }) => ({ y: tf.atan(x!) })))).rejects.toThrow();
  expect(tf.getBackend()).toBe('cpu');
  const graph = await device.prepare(program(({ x }) => ({ y: tf.neg(x!) })));
  const given = noise([2, 3]);
  expect(Array.from((await graph.run({ x: given })).y!.data)).toEqual(Array.from(given.data, (v) => -v));
});

const nodes = async (run: (x: tf.Tensor) => tf.Tensor, shape: readonly number[] = x.shape) => {
  const { graph } = await trace('nodes', { inputs: { x: { ...x, shape } } }, {}, ({ inputs }) => ({
    out: { y: run(inputs!.x!) },
  }));
  return graph.nodes.map((node) => node.op);
};

test('what a program states twice is computed once', async () => {
  expect(await nodes((x) => tf.add(tf.exp(tf.mul(x, 2)), tf.square(tf.exp(tf.mul(x, 2)))))).toEqual([
    'Mul',
    'Exp',
    'Mul',
    'Add',
  ]);
});

test('what nothing depends on is left out, neutral numbers too', async () => {
  const ops = await nodes((x) => {
    tf.log(x);
    return tf.add(tf.mul(tf.neg(x), tf.onesLike(x)), tf.zeros([2, 3]));
  });
  expect(ops).toEqual(['Neg']);
});

test('two convolutions with a norm between them need no transposition but at the border', async () => {
  const filter = noise([3, 3, 4, 4], 'filter');
  const ops = await nodes(
    (x) => {
      const weights = tf.tensor4d(filter.data as Float32Array, [3, 3, 4, 4]);
      const y = tf.conv2d(x as tf.Tensor4D, weights, 1, 'same');
      const centred = tf.sub(y, tf.mean(y, [1, 2], true)) as tf.Tensor4D;
      return tf.mean(tf.conv2d(tf.mul(centred, tf.tensor1d([1, 2, 3, 4])), weights, 1, 'same'), [1, 2, 3]);
    },
    [2, 8, 8, 4],
  );
  expect(ops.filter((op) => op === 'Transpose')).toHaveLength(1);
});

test('a frozen network that is stated twice runs once', async () => {
  const { constants, distance } = randomFeatures(14);
  const { graph } = await trace(
    'twice',
    {
      inputs: {
        x: { shape: [1, 14, 14, 3], dtype: 'float32' },
        y: { shape: [1, 14, 14, 3], dtype: 'float32' },
      },
    },
    constants,
    ({ inputs }, frozen) => ({
      out: { a: distance(frozen, inputs!.x!, inputs!.y!), b: distance(frozen, inputs!.x!, inputs!.y!) },
    }),
  );
  expect(graph.nodes.filter((node) => node.op === 'Conv')).toHaveLength(8);
});

describe('splitting what was joined', () => {
  const inputs = { a: { shape: [2, 2], dtype: 'float32' }, b: { shape: [2, 2], dtype: 'float32' } } as const;
  const operators = async (run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor[]) => {
    const { graph } = await trace('joined', { inputs }, {}, ({ inputs }) => ({
      out: Object.fromEntries(run(inputs!.a!, inputs!.b!).map((t, i) => [`${i}`, tf.neg(t)])),
    }));
    return graph.nodes.map(({ op }) => op).filter((op) => op === 'Concat' || op === 'Split');
  };
  const joined = (a: tf.Tensor, b: tf.Tensor) => tf.concat([a, b]);

  test('at the same places gives the pieces themselves', async () => {
    expect(await operators((a, b) => tf.split(joined(a, b), 2))).toEqual([]);
  });

  test('elsewhere, or after a transposition, is a copy', async () => {
    expect(await operators((a, b) => tf.split(joined(a, b), 4))).toEqual(['Concat', 'Split']);
    expect(await operators((a, b) => tf.split(joined(a, b), 2, 1))).toEqual(['Concat', 'Split']);
    expect(await operators((a, b) => tf.split(tf.transpose(joined(a, b), [1, 0]), 2, 1))).toEqual([
      'Concat',
      'Split',
    ]);
  });
});
