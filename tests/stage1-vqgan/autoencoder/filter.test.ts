import type * as tf from '@tensorflow/tfjs-core';
import { float32 } from '../../../src/base/tensor.js';
import { photoFilter } from '../../../src/stage1-vqgan/autoencoder/filter.js';
import { eager, expectParity, noise } from '../../support/parity.js';

/** [1, side, side, 3] of a colour at each place. */
const picture = (side: number, colour: (y: number, x: number) => readonly number[]) =>
  float32(
    [1, side, side, 3],
    Float32Array.from(
      Array.from({ length: side * side }, (_, i) => colour(Math.floor(i / side), i % side)).flat(),
    ),
  );

async function filtered(x: ReturnType<typeof picture>): Promise<number[]> {
  const { y } = await eager({ x }, ({ x }) => ({ y: photoFilter(x!) }));
  return Array.from(y!.data);
}

test('plain colour stays, up to the border', async () => {
  const y = await filtered(picture(6, () => [0.3, -0.5, 0.9]));
  y.forEach((v, i) => {
    expect(v).toBeCloseTo([0.3, -0.5, 0.9][i % 3]!, 6);
  });
});

test('a pattern from pixel to pixel becomes its mean: brightness away from the border, colour too', async () => {
  const sign = (y: number, x: number) => ((x + y) % 2 === 0 ? 1 : -1);
  const grey = await filtered(picture(10, (y, x) => [0.5, 0.5, 0.5].map((mean) => mean + 0.25 * sign(y, x))));
  const coloured = await filtered(picture(10, (_, x) => [x % 2, 0.5, 0.5]));
  for (let y = 2; y < 8; y++)
    for (let x = 2; x < 8; x++) {
      const at = 3 * (10 * y + x);
      expect(grey[at]).toBeCloseTo(0.5, 6);
      expect(coloured[at]).toBeCloseTo(0.5, 6);
    }
});

test('a point of light spreads as [−1 4 10 4 −1] / 16, a point of colour as [1 4 6 4 1] / 16', async () => {
  const side = 9;
  const at = (y: number, x: number) => 3 * (side * y + x);
  const light = await filtered(picture(side, (y, x) => (y === 4 && x === 4 ? [1, 1, 1] : [0, 0, 0])));
  const taps = [-1, 4, 10, 4, -1].map((v) => v / 16);
  for (let k = -2; k <= 2; k++) expect(light[at(4, 4 + k)]).toBeCloseTo(taps[2]! * taps[k + 2]!, 6);
  // Red beside so much less blue that brightness stays: luma counts red 0.299, blue 0.114.
  const blue = -0.299 / 0.114;
  const red = await filtered(picture(side, (y, x) => (y === 4 && x === 4 ? [1, 0, blue] : [0, 0, 0])));
  const soft = [1, 4, 6, 4, 1].map((v) => v / 16);
  for (let k = -2; k <= 2; k++) {
    expect(red[at(4 + k, 4)]).toBeCloseTo(soft[2]! * soft[k + 2]!, 5);
    expect(red[at(4 + k, 4) + 2]).toBeCloseTo(blue * soft[2]! * soft[k + 2]!, 5);
  }
});

test.each([
  [1, 8, 8],
  [2, 16, 8],
  [3, 5, 7],
])('the engine computes it as the reference does: %i of %i × %i', async (...shape) => {
  const inputs = { x: noise([...shape, 3], 'x') };
  await expectParity('photo filter', { inputs, fn: ({ x }) => photoFilter(x!) as tf.Tensor4D });
});
