import { float32 } from '../../../src/base/tensor.js';
import { initialise, specsOf, treeOf } from '../../../src/nn/params.js';
import { widened, wideningSpecs } from '../../../src/stage1-vqgan/autoencoder/strided.js';
import { eager, expectParity, noise } from '../../support/parity.js';

const made = (upsampling: 'transposed' | 'nearest') => {
  const specs = wideningSpecs(4, [6, 3], { width: 8, blocks: 1, upsampling });
  const weights = initialise(specsOf(specs), 3);
  return { specs, weights };
};

/** Pixels in the middle of the picture of a grid that is the same everywhere, where its border does not reach. */
async function ofEven(upsampling: 'transposed' | 'nearest'): Promise<number[][]> {
  const { specs, weights } = made(upsampling);
  const [side, channels] = [12, 4];
  const grid = float32([1, side, side, channels]);
  grid.data.forEach((_, i) => {
    grid.data[i] = [1, -0.5, 2, 0.25][i % channels]!;
  });
  const { y } = await eager({ grid, ...weights }, ({ grid, ...p }) => ({
    y: widened(treeOf(specs, p), grid!),
  }));
  expect(y!.shape).toEqual([1, 4 * side, 4 * side, 3]);
  const inside = [16, 17, 18, 19].flatMap((row) => [16, 17, 18, 19].map((column) => 4 * side * row + column));
  return inside.map((at) => Array.from(y!.data.subarray(3 * at, 3 * at + 3)));
}

test('nearest: what is even stays even; transposed convolutions put a lattice on it', async () => {
  const spread = (pixels: number[][]) =>
    Math.max(
      ...[0, 1, 2].map((c) => Math.max(...pixels.map((p) => p[c]!)) - Math.min(...pixels.map((p) => p[c]!))),
    );
  expect(spread(await ofEven('nearest'))).toBeLessThan(1e-5);
  expect(spread(await ofEven('transposed'))).toBeGreaterThan(0.02);
});

test.each(['nearest', 'transposed'] as const)(
  '%s: value and gradient are those of the cpu backend',
  (upsampling) => {
    const { specs, weights } = made(upsampling);
    return expectParity(upsampling, {
      inputs: { x: noise([2, 3, 3, 4]), ...weights },
      fn: ({ x, ...p }) => widened(treeOf(specs, p), x!),
    });
  },
);
