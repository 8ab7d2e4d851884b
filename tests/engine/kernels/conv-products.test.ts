/**
 * Convolutions as products of tiles against TF.js' cpu backend and against their definition, and where they are taken.
 */
import * as tf from '@tensorflow/tfjs-core';
import { onnxDevice } from '../../../src/engine/onnx-device.js';
import { cpuTarget, portableTarget, type Target, webgpuTarget } from '../../../src/engine/target.js';
import { trace } from '../../../src/engine/trace.js';
import { expectParity, noise } from '../../support/parity.js';

const always = onnxDevice({ threads: 2, target: { ...cpuTarget, tiles: () => [4, 4] as const } });

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

type Case = [tiles: [number, number], image: number[], filters: number[], pad: number[][]];
const masked: Case[] = [
  [
    [1, 1],
    [2, 5, 7, 3],
    [2, 3, 3, 4],
    [
      [1, 0],
      [1, 1],
    ],
  ],
  [
    [2, 1],
    [2, 5, 7, 3],
    [2, 3, 3, 4],
    [
      [1, 0],
      [1, 1],
    ],
  ],
  [
    [2, 2],
    [2, 5, 7, 3],
    [2, 3, 3, 4],
    [
      [1, 0],
      [1, 1],
    ],
  ],
  [
    [2, 4],
    [3, 8, 8, 3],
    [2, 3, 3, 4],
    [
      [1, 0],
      [1, 1],
    ],
  ],
  [
    [4, 4],
    [1, 8, 6, 3],
    [2, 3, 3, 2],
    [
      [1, 0],
      [1, 1],
    ],
  ],
  [
    [4, 2],
    [2, 7, 9, 3],
    [3, 7, 3, 4],
    [
      [3, 0],
      [3, 3],
    ],
  ],
  [
    [4, 1],
    [2, 7, 8, 3],
    [3, 7, 3, 4],
    [
      [3, 0],
      [3, 3],
    ],
  ],
  [
    [2, 1],
    [2, 5, 3, 3],
    [3, 7, 3, 4],
    [
      [3, 0],
      [3, 3],
    ],
  ],
  [
    [1, 1],
    [2, 4, 5, 3],
    [1, 2, 3, 4],
    [
      [0, 0],
      [1, 0],
    ],
  ],
  [
    [1, 2],
    [2, 4, 5, 3],
    [1, 2, 3, 4],
    [
      [0, 0],
      [1, 0],
    ],
  ],
  [
    [1, 4],
    [2, 4, 8, 3],
    [1, 2, 3, 4],
    [
      [0, 0],
      [1, 0],
    ],
  ],
  [
    [1, 1],
    [2, 4, 5, 3],
    [1, 3, 3, 4],
    [
      [0, 0],
      [3, 0],
    ],
  ],
  [
    [1, 1],
    [2, 4, 5, 3],
    [1, 1, 3, 4],
    [
      [0, 0],
      [0, 0],
    ],
  ],
  [
    [2, 2],
    [2, 4, 5, 3],
    [3, 3, 3, 4],
    [
      [0, 0],
      [0, 0],
    ],
  ],
];
test.each(masked)('tiles of %p, image [%p], filters [%p], padding %p', async (tiles, x, f, pad) => {
  const device = onnxDevice({ threads: 2, target: { ...cpuTarget, tiles: () => tiles } });
  const inputs = { x: noise(x, 'x'), f: noise(f, 'f', 1 / 3), b: noise([f[3]!], 'b') };
  const fn = ({ x, f, b }: Record<string, tf.Tensor>) =>
    tf.fused.conv2d({
      x: x as tf.Tensor4D,
      filter: f as tf.Tensor4D,
      strides: 1,
      pad: [[0, 0], ...pad, [0, 0]] as tf.backend_util.ExplicitPadding,
      bias: b!,
    });
  // The sums of F(2, 7) cancel more than others: its filters' gradients have twice the rounding of F(4, 3).
  const tolerance = tiles[1] === 2 && f[1] === 7 ? { atol: 1e-4 } : undefined;
  await expectParity(`${tiles} ${x} ${f}`, { inputs, fn, tolerance }, device);
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
/** How many of the convolutions, one after the other, are left to the runtime. */
async function left(image: number[], filters: number[][], target: Target, pad: 'same' | 'valid' = 'same') {
  const specs = { inputs: { x: { shape: image, dtype: 'float32' as const } } };
  const constants = Object.fromEntries(filters.map((shape, i) => [`f${i}`, noise(shape)]));
  const run = ({ inputs }: { inputs?: Record<string, tf.Tensor> }, c: Record<string, tf.Tensor>) => {
    const through = (x: tf.Tensor4D, _: number[], i: number) =>
      tf.conv2d(x, c[`f${i}`] as tf.Tensor4D, 1, pad);
    return { out: { y: filters.reduce(through, inputs!.x as tf.Tensor4D) } };
  };
  const { graph } = await trace('where', specs, constants, run, { target });
  return graph.nodes.filter((node) => plain.includes(node.op)).length;
}

test('3×3: taken for small images with many channels, on the CPU only', async () => {
  const [image, filter] = [
    [4, 16, 16, 128],
    [3, 3, 128, 128],
  ];
  expect(await left(image, [filter], cpuTarget)).toBe(0);
  expect(await left(image, [filter], cpuTarget, 'valid')).toBe(1);
  for (const target of [webgpuTarget, portableTarget]) expect(await left(image, [filter], target)).toBe(1);
  for (const other of [
    [4, 64, 64, 128],
    [1, 16, 16, 128],
    [4, 18, 16, 128],
  ])
    expect(await left(other, [filter], cpuTarget)).toBe(1);
  expect(await left([4, 16, 16, 32], [[3, 3, 32, 128]], cpuTarget)).toBe(1);
  expect(await left(image, [[4, 4, 128, 128]], cpuTarget)).toBe(1);
});

test('not square: always taken on the CPU; 1×1 where the image lies in rows', async () => {
  const image = [4, 5, 7, 8];
  const masked = [2, 3, 8, 8];
  const single = [1, 1, 8, 8];
  expect(await left(image, [masked, single], cpuTarget)).toBe(0);
  expect(await left(image, [[5, 5, 8, 8], single], cpuTarget)).toBe(2);
  for (const target of [webgpuTarget, portableTarget])
    expect(await left(image, [masked, single], target)).toBe(2);
});
