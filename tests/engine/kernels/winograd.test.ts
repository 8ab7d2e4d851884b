/** Convolutions as products of tiles against TF.js' cpu backend and against their definition, and where they are taken. */
import * as tf from '@tensorflow/tfjs-core';
import { onnxDevice } from '../../../src/engine/onnx-device.js';
import { cpuTarget, portableTarget, type Target, webgpuTarget } from '../../../src/engine/target.js';
import { trace } from '../../../src/engine/trace.js';
import { expectParity, noise } from '../../support/parity.js';

const always = onnxDevice({ threads: 2, target: { ...cpuTarget, winogradPays: () => true } });

type Convolution = [image: number[], filters: number[]];
const convolutions: Convolution[] = [
  [
    [1, 4, 4, 1],
    [3, 3, 1, 1],
  ],
  [
    [2, 8, 8, 3],
    [3, 3, 3, 5],
  ],
  [
    [3, 4, 12, 6],
    [3, 3, 6, 2],
  ],
  [
    [1, 16, 8, 7],
    [3, 3, 7, 4],
  ],
];

const convolved = ({ x, f, b }: Record<string, tf.Tensor>) =>
  tf.fused.conv2d({ x: x as tf.Tensor4D, filter: f as tf.Tensor4D, strides: 1, pad: 'same', bias: b! });

test.each(convolutions)('image [%p], filters [%p]: value and gradients', async (x, f) => {
  const inputs = { x: noise(x, 'x'), f: noise(f, 'f', 1 / 3), b: noise([f[3]!], 'b') };
  await expectParity(`${x} ${f}`, { inputs, fn: convolved }, always);
});

test('two in a row, from filters that are constants, too', async () => {
  const inputs = { x: noise([2, 8, 4, 3], 'x'), f: noise([3, 3, 3, 3], 'f', 1 / 3) };
  const frozen = noise([3, 3, 3, 4], 'frozen', 1 / 3);
  const fn = ({ x, f }: Record<string, tf.Tensor>) => {
    const once = tf.relu(tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, 'same'));
    return tf.conv2d(once as tf.Tensor4D, tf.tensor4d(frozen.data, [3, 3, 3, 4]), 1, 'same');
  };
  await expectParity('two', { inputs, fn }, always);
});

test('with as many channels as the models have, rounding is small', async () => {
  const [channels, side] = [256, 4];
  const f = noise([3, 3, channels, 1], 'f', 1 / Math.sqrt(9 * channels));
  const fn = ({ x }: Record<string, tf.Tensor>) =>
    tf.conv2d(x as tf.Tensor4D, tf.tensor4d(f.data, [3, 3, channels, 1]), 1, 'same');
  const inputs = { x: noise([4, side, side, channels], 'x') };
  await expectParity('rounding', { inputs, fn, tolerance: { atol: 1e-5, rtol: 0 } }, always);
});

const plain = ['Conv', 'FusedConv', 'nchwc.Conv'];
async function isPlain([image, filters]: Convolution, target: Target, pad: 'same' | 'valid' = 'same') {
  const specs = { inputs: { x: { shape: image, dtype: 'float32' as const } } };
  const run = ({ inputs }: { inputs?: Record<string, tf.Tensor> }, c: Record<string, tf.Tensor>) => ({
    out: { y: tf.conv2d(inputs!.x as tf.Tensor4D, c.f as tf.Tensor4D, 1, pad) },
  });
  const { graph } = await trace('where', specs, { f: noise(filters) }, run, { target });
  return graph.nodes.some((node) => plain.includes(node.op));
}

test('taken for small images with many channels, on the CPU only', async () => {
  const small: Convolution = [
    [4, 16, 16, 128],
    [3, 3, 128, 128],
  ];
  expect(await isPlain(small, cpuTarget)).toBe(false);
  expect(await isPlain(small, cpuTarget, 'valid')).toBe(true);
  for (const target of [webgpuTarget, portableTarget]) expect(await isPlain(small, target)).toBe(true);
  const others: Convolution[] = [
    [[4, 64, 64, 128], small[1]],
    [[1, 16, 16, 128], small[1]],
    [[4, 18, 16, 128], small[1]],
    [
      [4, 16, 16, 32],
      [3, 3, 32, 128],
    ],
    [small[0], [4, 4, 128, 128]],
    [small[0], [1, 1, 128, 128]],
  ];
  for (const other of others) expect(await isPlain(other, cpuTarget)).toBe(true);
});
